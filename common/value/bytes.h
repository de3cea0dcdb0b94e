// Plain bytes as an encoded value: a msgpack bin.
//
// Thread: any; plain functions.
#pragma once

#include <string>
#include <string_view>

#include "common/status.h"

namespace kiln::value {

// Longest, bytes: what a msgpack bin can say. Beyond it ResourceExhausted.
inline constexpr uint64_t kMaxBytes = 0xffffffff;

// Errors: ResourceExhausted (longer than kMaxBytes).
Result<std::string> EncodeBytes(std::string_view bytes);

// Returns: the bytes of a bin, or of a text, inside `value`.
// Errors:  InvalidArgument (the value is neither), DataLoss (not a value).
Result<std::string_view> DecodeBytes(std::string_view value);

}  // namespace kiln::value
