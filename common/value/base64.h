// Bytes as text: RFC 4648, section 4, with padding.
//
// Thread: any; plain functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kiln::value {

std::string EncodeBase64(std::string_view bytes);

// Returns: nothing unless `text` is what EncodeBase64 writes (no line breaks, no missing padding).
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace kiln::value
