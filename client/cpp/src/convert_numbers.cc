#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "kiln/array.h"
#include "kiln/detail/msgpack.h"
#include "kiln/detail/value.h"

namespace kiln::detail {
namespace {

// Calls `use` with a null pointer to the type that `dtype` names; bool counts as a byte.
// Requires: dtype is one of ndarray.h.
template <typename Use>
void WithType(std::string_view dtype, Use use) {
  if (dtype == Dtype<int8_t>()) return use(static_cast<int8_t*>(nullptr));
  if (dtype == Dtype<int16_t>()) return use(static_cast<int16_t*>(nullptr));
  if (dtype == Dtype<int32_t>()) return use(static_cast<int32_t*>(nullptr));
  if (dtype == Dtype<int64_t>()) return use(static_cast<int64_t*>(nullptr));
  if (dtype == Dtype<uint16_t>()) return use(static_cast<uint16_t*>(nullptr));
  if (dtype == Dtype<uint32_t>()) return use(static_cast<uint32_t*>(nullptr));
  if (dtype == Dtype<uint64_t>()) return use(static_cast<uint64_t*>(nullptr));
  if (dtype == Dtype<float>()) return use(static_cast<float*>(nullptr));
  if (dtype == Dtype<double>()) return use(static_cast<double*>(nullptr));
  return use(static_cast<uint8_t*>(nullptr));
}

template <typename From, typename To>
void Convert(const Numbers& numbers, std::string_view dtype, std::byte* out) {
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    throw Mismatch("expected an array " + std::string(dtype) + ", got reals (" +
                   std::string(numbers.dtype) + ")");
  } else {
    for (size_t i = 0; i < numbers.count; ++i) {
      From from;
      std::memcpy(&from, numbers.data + i * sizeof from, sizeof from);
      if constexpr (std::is_integral_v<From> && std::is_integral_v<To>) {
        if (!std::in_range<To>(from)) {
          throw Mismatch("expected an array " + std::string(dtype) + ", got " +
                         std::to_string(from) + " at position " + std::to_string(i));
        }
      }
      To to = static_cast<To>(from);
      std::memcpy(out + i * sizeof to, &to, sizeof to);
    }
  }
}

}  // namespace

void ConvertNumbers(const Numbers& numbers, std::string_view dtype, std::byte* out) {
  WithType(numbers.dtype, [&]<typename From>(From*) {
    WithType(dtype, [&]<typename To>(To*) { Convert<From, To>(numbers, dtype, out); });
  });
}

}  // namespace kiln::detail
