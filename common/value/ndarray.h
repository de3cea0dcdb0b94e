// Arrays of numbers as values: kind kNdarray, body {"dtype": "<f8", "shape": [2, 3]}, one buffer.
//
// Thread: any; plain data.
// See:    docs/wire.md, "Values".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "common/value/value.h"

namespace kiln::value {

// Axes of an array, as NumPy. Beyond it DataLoss.
inline constexpr size_t kMaxAxes = 32;

enum class ItemType : uint8_t {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kFloat32,
  kFloat64,
};

// NumPy's name: "|b1", "<i4", "<f8", ...
std::string_view DtypeName(ItemType type);
size_t ItemBytes(ItemType type);

struct NdarrayView {
  ItemType type = ItemType::kFloat64;
  std::vector<size_t> shape;  // empty: one number
  const std::byte* data = nullptr;
  size_t count = 0;  // elements, in C order

  size_t item_bytes() const { return ItemBytes(type); }
};

// Requires: view.kind is kNdarray.
// Errors:   DataLoss (unknown dtype, or the shape does not fit the buffer).
Result<NdarrayView> ParseNdarray(const View& view);

}  // namespace kiln::value
