// Tells an object of plain bytes by the beginning of its encoded value.
//
// See: common/value/value.h; docs/wire.md, "Values".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace kiln::cli {

struct BytesPlace {
  uint64_t offset_bytes;  // from the start of the value
  uint64_t size_bytes;
};

// Where the bytes lie in the value whose first bytes are `head`, at least 37 of them or all.
// Returns: nothing unless the whole value is one msgpack bin.
std::optional<BytesPlace> FindBytes(std::string_view head);

}  // namespace kiln::cli
