// Names of types for messages.
//
// Not part of the API.
#pragma once

#include <string>
#include <string_view>

namespace kiln::detail {

// "int", "geometry::Point": as the compiler writes it.
template <typename T>
std::string TypeName() {
  std::string_view text =
      __PRETTY_FUNCTION__;  // "... [with T = int; std::string = ...]" or "[T = int]"
  size_t start = text.find("T = ") + 4;
  return std::string(text.substr(start, text.find_first_of(";]", start) - start));
}

}  // namespace kiln::detail
