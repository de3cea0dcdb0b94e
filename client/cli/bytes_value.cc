#include "client/cli/bytes_value.h"

#include <cstring>

#include "common/value/value.h"

namespace kiln::cli {

std::optional<BytesPlace> FindBytes(std::string_view head) {
  value::ValueHeader header;
  if (head.size() < sizeof header + 2) return std::nullopt;
  std::memcpy(&header, head.data(), sizeof header);
  if (header.magic != value::kMagic || header.version != value::kVersion) return std::nullopt;
  if (header.kind != value::Kind::kMsgpack || header.buffer_count != 0) return std::nullopt;

  // msgpack: bin 8, 16 and 32 are 0xc4 to 0xc6 and a big-endian length of 1, 2 and 4 bytes.
  auto byte = [&](size_t i) { return static_cast<unsigned char>(head[sizeof header + i]); };
  if (byte(0) < 0xc4 || byte(0) > 0xc6) return std::nullopt;
  size_t length_bytes = size_t{1} << (byte(0) - 0xc4);
  if (head.size() < sizeof header + 1 + length_bytes) return std::nullopt;
  uint64_t size_bytes = 0;
  for (size_t i = 1; i <= length_bytes; ++i) size_bytes = size_bytes << 8 | byte(i);
  if (header.body_bytes != 1 + length_bytes + size_bytes) return std::nullopt;
  return BytesPlace{sizeof header + 1 + length_bytes, size_bytes};
}

}  // namespace kiln::cli
