#include "common/value/ndarray.h"

#include <array>
#include <msgpack.hpp>

namespace kiln::value {
namespace {

struct ItemName {
  std::string_view dtype;
  size_t size_bytes;
};

// In the order of ItemType.
constexpr std::array<ItemName, 11> kItems = {{{"|b1", 1},
                                              {"|i1", 1},
                                              {"<i2", 2},
                                              {"<i4", 4},
                                              {"<i8", 8},
                                              {"|u1", 1},
                                              {"<u2", 2},
                                              {"<u4", 4},
                                              {"<u8", 8},
                                              {"<f4", 4},
                                              {"<f8", 8}}};

Status Broken(const std::string& what) {
  return {Code::kDataLoss, "not an array: " + what};
}

std::string_view AsText(const msgpack::object& object) {
  if (object.type != msgpack::type::STR) return {};
  return {object.via.str.ptr, object.via.str.size};
}

Status ReadDtype(const msgpack::object& object, NdarrayView* array) {
  for (size_t i = 0; i < kItems.size(); ++i) {
    if (kItems[i].dtype != AsText(object)) continue;
    array->type = static_cast<ItemType>(i);
    return {};
  }
  return Broken("unknown dtype \"" + std::string(AsText(object)) + "\"");
}

Status ReadShape(const msgpack::object& object, NdarrayView* array) {
  if (object.type != msgpack::type::ARRAY) return Broken("its shape is not a list");
  for (uint32_t i = 0; i < object.via.array.size; ++i) {
    const msgpack::object& length = object.via.array.ptr[i];
    if (length.type != msgpack::type::POSITIVE_INTEGER) return Broken("a length is not a number");
    array->shape.push_back(length.via.u64);
  }
  return {};
}

Status ReadBody(std::string_view body, NdarrayView* array) {
  msgpack::unpack_limit limit(kMaxAxes, /*map=*/8, /*str=*/64, 0, 0, /*depth=*/2);
  msgpack::object_handle handle =
      msgpack::unpack(body.data(), body.size(), nullptr, nullptr, limit);
  const msgpack::object& object = handle.get();
  if (object.type != msgpack::type::MAP) return Broken("its body is not a map");
  bool has_dtype = false, has_shape = false;
  for (uint32_t i = 0; i < object.via.map.size; ++i) {
    const msgpack::object_kv& entry = object.via.map.ptr[i];
    Status status;
    if (AsText(entry.key) == "dtype") {
      has_dtype = true;
      status = ReadDtype(entry.val, array);
    } else if (AsText(entry.key) == "shape" && !has_shape) {
      has_shape = true;
      status = ReadShape(entry.val, array);
    }
    if (!status.ok()) return status;
  }
  if (!has_dtype || !has_shape) return Broken("dtype or shape is missing");
  return {};
}

}  // namespace

std::string_view DtypeName(ItemType type) {
  return kItems[static_cast<size_t>(type)].dtype;
}

size_t ItemBytes(ItemType type) {
  return kItems[static_cast<size_t>(type)].size_bytes;
}

Result<NdarrayView> ParseNdarray(const View& view) {
  NdarrayView array;
  try {
    if (Status status = ReadBody(view.body, &array); !status.ok()) return status;
  } catch (const msgpack::unpack_error& e) {
    return Broken(e.what());
  }
  if (view.buffers.size() != 1) return Broken("it has not one buffer");
  size_t count = 1;
  for (size_t length : array.shape) {
    if (__builtin_mul_overflow(count, length, &count)) return Broken("its shape overflows");
  }
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, array.item_bytes(), &bytes) ||
      bytes != view.buffers[0].size()) {
    return Broken("its shape does not fit its bytes");
  }
  array.data = view.buffers[0].data();
  array.count = count;
  return array;
}

}  // namespace kiln::value
