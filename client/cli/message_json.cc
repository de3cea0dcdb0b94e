#include "client/cli/message_json.h"

#include <google/protobuf/descriptor.h>

#include <utility>

namespace kiln::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using nlohmann::ordered_json;

// The value of a field; with `index` >= 0, of that element of a repeated one.
ordered_json FieldToJson(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection& r = *message.GetReflection();
  auto pick = [&](auto single, auto element) {
    return index < 0 ? (r.*single)(message, field) : (r.*element)(message, field, index);
  };
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return pick(&Reflection::GetInt32, &Reflection::GetRepeatedInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return pick(&Reflection::GetInt64, &Reflection::GetRepeatedInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return pick(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return pick(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return pick(&Reflection::GetDouble, &Reflection::GetRepeatedDouble);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return pick(&Reflection::GetFloat, &Reflection::GetRepeatedFloat);
    case FieldDescriptor::CPPTYPE_BOOL:
      return pick(&Reflection::GetBool, &Reflection::GetRepeatedBool);
    case FieldDescriptor::CPPTYPE_ENUM:
      return pick(&Reflection::GetEnum, &Reflection::GetRepeatedEnum)->name();
    case FieldDescriptor::CPPTYPE_STRING:
      return pick(&Reflection::GetString, &Reflection::GetRepeatedString);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(index < 0 ? r.GetMessage(message, field)
                              : r.GetRepeatedMessage(message, field, index));
  }
  return nullptr;
}

ordered_json MapToJson(const Message& message, const FieldDescriptor* field) {
  const Reflection& r = *message.GetReflection();
  ordered_json map = ordered_json::object();
  for (int i = 0; i < r.FieldSize(message, field); ++i) {
    const Message& entry = r.GetRepeatedMessage(message, field, i);
    const auto* type = entry.GetDescriptor();
    ordered_json key = FieldToJson(entry, type->map_key(), -1);
    map[key.is_string() ? key.get<std::string>() : key.dump()] =
        FieldToJson(entry, type->map_value(), -1);
  }
  return map;
}

}  // namespace

ordered_json ToJson(const Message& message) {
  const auto* type = message.GetDescriptor();
  const Reflection& r = *message.GetReflection();
  ordered_json document = ordered_json::object();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    ordered_json& value = document[field->name()];
    if (field->is_map()) {
      value = MapToJson(message, field);
    } else if (field->is_repeated()) {
      value = ordered_json::array();
      for (int k = 0; k < r.FieldSize(message, field); ++k) {
        value.push_back(FieldToJson(message, field, k));
      }
    } else if (field->has_presence() && !r.HasField(message, field)) {
      value = nullptr;
    } else {
      value = FieldToJson(message, field, -1);
    }
  }
  return document;
}

std::string DumpJson(const ordered_json& document) {
  return document.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace kiln::cli
