// Arrays of numbers that travel without being copied.
//
//   kiln::WritableArray<double> a = session.Create<double>({1000, 1000});  // lies in the store
//   a(0, 0) = 1;
//   kiln::Ref<kiln::Array<double>> ref = session.Put(std::move(a));        // sealed, not copied
//
//   kiln::Array<double> Scale(const kiln::Array<double>& in, double factor) {
//     auto out = kiln::MakeArray<double>(in.shape());                      // in the store as well
//     for (size_t i = 0; i < in.size(); ++i) out[i] = in[i] * factor;
//     return out;
//   }
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kiln/detail/value.h"

namespace kiln {

namespace detail {

// Numbers that arrays hold: 1 to 8 bytes, not bool.
template <typename T>
inline constexpr bool kIsNumber =
    std::is_arithmetic_v<T> && !std::is_same_v<T, bool> && sizeof(T) <= 8;

// NumPy's name for T: "<f8".
template <typename T>
constexpr std::string_view Dtype() {
  static_assert(kIsNumber<T>);
  constexpr std::string_view kFloats[] = {"<f4", "<f8"};
  constexpr std::string_view kSigned[] = {"|i1", "<i2", "<i4", "<i8"};
  constexpr std::string_view kUnsigned[] = {"|u1", "<u2", "<u4", "<u8"};
  constexpr size_t kIndex = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
  if constexpr (std::is_floating_point_v<T>) {
    return kFloats[kIndex - 2];
  } else {
    return std::is_signed_v<T> ? kSigned[kIndex] : kUnsigned[kIndex];
  }
}

}  // namespace detail

template <typename T>
class Array;

// An array being filled, by its maker alone; in the store if it is large, so that making it an
// object (Session::Put, or returning it from a task) copies nothing. Its elements are not
// initialised.
//
// Thread: one at a time, or different elements.
template <typename T>
class WritableArray {
  static_assert(detail::kIsNumber<T>, "kiln: arrays hold numbers of 1 to 8 bytes, not bool");

 public:
  WritableArray(WritableArray&&) noexcept = default;
  WritableArray& operator=(WritableArray&&) noexcept = default;

  T* data() { return reinterpret_cast<T*>(numbers_.data); }
  size_t size() const { return numbers_.count; }
  const std::vector<size_t>& shape() const { return shape_; }
  std::span<T> span() { return {data(), size()}; }
  T* begin() { return data(); }
  T* end() { return data() + size(); }

  // Element in C order. Requires: i < size().
  T& operator[](size_t i) { return data()[i]; }
  // Element of a matrix. Requires: two axes, both indexes inside.
  T& operator()(size_t row, size_t column) { return data()[row * shape_[1] + column]; }

  // Not part of the API.
  WritableArray(detail::NewNumbers numbers, std::vector<size_t> shape)
      : numbers_(std::move(numbers)), shape_(std::move(shape)) {}

 private:
  friend class Array<T>;

  detail::NewNumbers numbers_;
  std::vector<size_t> shape_;
};

// Numbers in C order with a shape, immutable; usually a view of the store. Copies share the memory.
//
// Thread: any.
template <typename T>
class Array {
  static_assert(detail::kIsNumber<T>, "kiln: arrays hold numbers of 1 to 8 bytes, not bool");

 public:
  using value_type = T;

  // No elements.
  Array() = default;
  // The filled array; copies nothing.
  Array(WritableArray<T> filled)  // NOLINT(google-explicit-constructor): `return out;` in tasks
      : data_(filled.data()),
        size_(filled.size()),
        shape_(std::move(filled.shape_)),
        owner_(std::move(filled.numbers_.owner)),
        claim_(std::move(filled.numbers_.claim)) {}
  // One axis; the vector is kept, not copied.
  explicit Array(std::vector<T> values) {
    auto kept = std::make_shared<const std::vector<T>>(std::move(values));
    data_ = kept->data();
    size_ = kept->size();
    shape_ = {size_};
    owner_ = std::move(kept);
  }

  const T* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Length of each axis; the product is size().
  const std::vector<size_t>& shape() const { return shape_; }
  // All elements in C order. Valid while this array or a copy lives.
  std::span<const T> span() const { return {data_, size_}; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

  // Element in C order. Requires: i < size().
  const T& operator[](size_t i) const { return data_[i]; }
  // Element of a matrix. Requires: two axes, both indexes inside.
  const T& operator()(size_t row, size_t column) const { return data_[row * shape_[1] + column]; }

  // Not part of the API.
  Array(const T* data, std::vector<size_t> shape, size_t size, std::shared_ptr<const void> owner)
      : data_(data), size_(size), shape_(std::move(shape)), owner_(std::move(owner)) {}
  const std::shared_ptr<const void>& owner() const { return owner_; }
  const std::shared_ptr<detail::RoomClaim>& claim() const { return claim_; }

 private:
  const T* data_ = nullptr;
  size_t size_ = 0;
  std::vector<size_t> shape_ = {0};
  std::shared_ptr<const void> owner_;
  std::shared_ptr<detail::RoomClaim> claim_;
};

// An array to fill: for results of tasks. Inside a task it lies in the store if it is large;
// elsewhere in private memory, use Session::Create there.
// Throws: ObjectStoreFullError, std::length_error (more than memory could hold).
template <typename T>
WritableArray<T> MakeArray(std::vector<size_t> shape) {
  std::shared_ptr<detail::Runtime> runtime = detail::CurrentTaskRuntime();
  auto numbers = detail::CreateNumbers(runtime.get(), detail::Dtype<T>(), shape, sizeof(T));
  return {std::move(numbers), std::move(shape)};
}
template <typename T>
WritableArray<T> MakeArray(size_t size) {
  return MakeArray<T>(std::vector<size_t>{size});
}

}  // namespace kiln
