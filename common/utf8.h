// Text from processes that may write anything, made fit for the wire: protobuf's strings and JSON
// are UTF-8, and a message with one byte that is not cannot be read at all.
//
// Thread: any; plain functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kiln {

// `text` cut to `most` bytes at a character's boundary, with bytes that are no UTF-8 as "?".
std::string CleanText(std::string_view text, size_t most);

}  // namespace kiln
