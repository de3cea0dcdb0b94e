#include "common/value/bytes.h"

#include <msgpack.hpp>

#include "common/value/value.h"

namespace kiln::value {

Result<std::string> EncodeBytes(std::string_view bytes) {
  if (bytes.size() > kMaxBytes) {
    return Status(Code::kResourceExhausted, "bytes of length " + std::to_string(bytes.size()) +
                                                " are too long; one value takes at most " +
                                                std::to_string(kMaxBytes));
  }
  msgpack::sbuffer head(16);
  msgpack::packer<msgpack::sbuffer>(head).pack_bin(static_cast<uint32_t>(bytes.size()));
  Parts parts;
  parts.kind = Kind::kMsgpack;
  parts.body.reserve(head.size() + bytes.size());
  parts.body.append(head.data(), head.size()).append(bytes);
  return parts.ToString();
}

Result<std::string_view> DecodeBytes(std::string_view value) {
  Result<View> view = ParseValue(value);
  if (!view.ok()) return view.status();
  std::string_view body = view->body;
  if (view->kind == Kind::kMsgpack && !body.empty()) {
    // Length of the length that follows the first byte: bin 8, 16, 32, then str 8, 16, 32.
    auto type = static_cast<unsigned char>(body[0]);
    size_t length_bytes = type >= 0xc4 && type <= 0xc6   ? size_t{1} << (type - 0xc4)
                          : type >= 0xd9 && type <= 0xdb ? size_t{1} << (type - 0xd9)
                                                         : 0;
    bool fixed_text = type >= 0xa0 && type <= 0xbf;
    if ((length_bytes > 0 || fixed_text) && body.size() > length_bytes) {
      uint64_t length = fixed_text ? type & 0x1f : 0;
      for (size_t i = 1; i <= length_bytes; ++i) {
        length = length << 8 | static_cast<unsigned char>(body[i]);
      }
      body.remove_prefix(1 + length_bytes);
      if (body.size() == length) return body;
      return Status(Code::kDataLoss, "a bytes value does not have the length it says");
    }
  }
  return Status(Code::kInvalidArgument,
                "the object is neither bytes nor text; get it as JSON or as an encoded value");
}

}  // namespace kiln::value
