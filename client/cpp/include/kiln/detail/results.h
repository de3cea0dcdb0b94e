// Refs on the results of what was submitted.
//
// Not part of the API. Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "kiln/ref.h"

namespace kiln::detail {

template <typename T>
struct ElementOf {
  static_assert(
      !std::is_same_v<T, T>,
      "kiln: SubmitMany needs a function that returns a vector, and CallMany a method that does");
};
template <typename T>
struct ElementOf<std::vector<T>> {
  using Type = T;
};

template <typename T>
struct IsTuple : std::false_type {};
template <typename... T>
struct IsTuple<std::tuple<T...>> : std::true_type {};
template <typename A, typename B>
struct IsTuple<std::pair<A, B>> : std::true_type {};

// Takes over one reference that `runtime` counts for the caller; so do the next two.
template <typename T>
Ref<T> MakeRef(const std::shared_ptr<Runtime>& runtime, Id id) {
  return Ref<T>(std::make_shared<const RefHandle>(runtime, id));
}

// Refs on `count` results, in a row from `first`.
template <typename T>
std::vector<Ref<T>> MakeRefs(const std::shared_ptr<Runtime>& runtime, Id first, uint32_t count) {
  std::vector<Ref<T>> refs;
  refs.reserve(count);
  for (uint32_t i = 0; i < count; ++i) refs.push_back(MakeRef<T>(runtime, first + i));
  return refs;
}

// Returns: std::tuple<Ref<A>, Ref<B>, ...> for a tuple or pair of A, B, ...
template <typename Tuple>
auto MakeTupleOfRefs(const std::shared_ptr<Runtime>& runtime, Id first) {
  return [&]<size_t... I>(std::index_sequence<I...>) {
    return std::tuple<Ref<std::tuple_element_t<I, Tuple>>...>{
        MakeRef<std::tuple_element_t<I, Tuple>>(runtime, first + I)...};
  }
  (std::make_index_sequence<std::tuple_size_v<Tuple>>());
}

}  // namespace kiln::detail
