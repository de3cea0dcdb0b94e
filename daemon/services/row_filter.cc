#include "daemon/services/row_filter.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cctype>

namespace kiln::services {
namespace {

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string Columns(const google::protobuf::Descriptor* row_type) {
  std::string names;
  for (int i = 0; i < row_type->field_count(); ++i) {
    names += (i > 0 ? ", " : "") + row_type->field(i)->name();
  }
  return names;
}

}  // namespace

Result<RowFilter> RowFilter::Parse(const google::protobuf::RepeatedPtrField<std::string>& filters,
                                   const google::protobuf::Descriptor* row_type) {
  RowFilter result;
  for (const std::string& filter : filters) {
    size_t sign = filter.find('=');
    bool equal = sign == std::string::npos || sign == 0 || filter[sign - 1] != '!';
    std::string name = sign == std::string::npos ? "" : filter.substr(0, equal ? sign : sign - 1);
    const google::protobuf::FieldDescriptor* column = row_type->FindFieldByName(name);
    if (!column) {
      return Status(Code::kInvalidArgument, "the filter \"" + filter +
                                                "\" must be COLUMN=VALUE or COLUMN!=VALUE with one "
                                                "of the columns " +
                                                Columns(row_type));
    }
    result.conditions_.push_back({column, Lower(filter.substr(sign + 1)), equal});
  }
  return result;
}

bool RowFilter::Matches(const google::protobuf::Message& row) const {
  for (const Condition& condition : conditions_) {
    std::string text;
    if (condition.column->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
      text = row.GetReflection()->GetString(row, condition.column);
    } else {
      google::protobuf::TextFormat::PrintFieldValueToString(row, condition.column, -1, &text);
    }
    if ((Lower(text) == condition.value) != condition.equal) return false;
  }
  return true;
}

}  // namespace kiln::services
