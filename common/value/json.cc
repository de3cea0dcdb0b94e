#include "common/value/json.h"

#include <nlohmann/json.hpp>

#include "common/value/base64.h"
#include "common/value/value.h"

namespace kiln::value {
namespace {

using nlohmann::json;

// Carries a Status out of the JSON library's callbacks; caught in ParseJson.
struct Refused {
  Status status;
};

[[noreturn]] void Refuse(const std::string& why) {
  throw Refused{{Code::kInvalidArgument, why}};
}

// Its one member, if `node` is {key: "text"}.
const std::string* OnlyMember(const json& node, const char* key) {
  if (!node.is_object() || node.size() != 1) return nullptr;
  auto member = node.find(key);
  if (member == node.end()) return nullptr;
  if (!member->is_string()) Refuse(std::string("\"") + key + "\" must be text");
  return member->get_ptr<const std::string*>();
}

std::optional<ObjectId> AsRef(const json& node) {
  const std::string* text = OnlyMember(node, "$ref");
  if (text == nullptr) return std::nullopt;
  std::optional<ObjectId> id = ParseRef(*text);
  if (!id) Refuse("not a ref: \"" + *text + "\"; a ref has 16 hexadecimal digits");
  return id;
}

json RefExtension(ObjectId id) {
  std::vector<uint8_t> bytes(sizeof id);
  for (size_t i = 0; i < sizeof id; ++i) bytes[i] = static_cast<uint8_t>(id >> (56 - 8 * i));
  return json::binary(std::move(bytes), static_cast<uint8_t>(kRefExtension));
}

// Puts refs and bytes in the place of the objects that stand for them.
// Requires: `node` is no deeper than kMaxJsonDepth.
void Substitute(json* node, std::vector<ObjectId>* contained) {
  if (std::optional<ObjectId> id = AsRef(*node)) {
    contained->push_back(*id);
    *node = RefExtension(*id);
  } else if (const std::string* text = OnlyMember(*node, "$bytes")) {
    std::optional<std::string> bytes = DecodeBase64(*text);
    if (!bytes) Refuse("\"$bytes\" must be base64 text");
    *node = json::binary({bytes->begin(), bytes->end()});
  } else if (node->is_structured()) {
    for (json& child : *node) Substitute(&child, contained);
  }
}

json ParseBounded(std::string_view text) {
  auto check_depth = [](int depth, json::parse_event_t, json&) {
    if (depth > static_cast<int>(kMaxJsonDepth)) {
      Refuse("bad JSON: nested deeper than " + std::to_string(kMaxJsonDepth) + " levels");
    }
    return true;
  };
  return json::parse(text, check_depth);
}

// "[json.exception.parse_error.101] parse error at line 1, column 3: .." without the brackets.
std::string Readable(std::string_view what) {
  size_t end = what.find("] ");
  return std::string(end == what.npos ? what : what.substr(end + 2));
}

}  // namespace

Result<JsonArgument> ParseJson(std::string_view text) {
  if (text.size() > kMaxJsonBytes) {
    return Status(Code::kResourceExhausted, "JSON text of " + std::to_string(text.size()) +
                                                " bytes; the limit is " +
                                                std::to_string(kMaxJsonBytes));
  }
  try {
    json document = ParseBounded(text);
    JsonArgument argument;
    argument.ref = AsRef(document);
    if (argument.ref) return argument;
    Parts parts;
    if (!document.is_null()) {
      Substitute(&document, &argument.contained);
      parts.kind = Kind::kMsgpack;
      json::to_msgpack(document, nlohmann::detail::output_adapter<char>(parts.body));
    }
    argument.value = parts.ToString();
    return argument;
  } catch (const Refused& refused) {
    return refused.status;
  } catch (const json::exception& e) {
    return Status(Code::kInvalidArgument, "bad JSON: " + Readable(e.what()));
  }
}

}  // namespace kiln::value
