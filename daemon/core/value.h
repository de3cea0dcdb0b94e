// Where a sealed object's bytes are.
//
// Thread: plain data.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace kiln::core {

// A page-aligned part of the store segment.
struct Slice {
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;  // of the value; the arena rounds up to pages
  bool operator==(const Slice&) const = default;
};

// The encoded value itself, or its place in the segment.
using Value = std::variant<std::string, Slice>;

inline uint64_t SizeBytes(const Value& value) {
  return value.index() == 0 ? std::get<0>(value).size() : std::get<1>(value).size_bytes;
}

}  // namespace kiln::core
