// What KILN_ACTOR and Session::Create make of a class: its constructors and methods as functions
// over encoded values.
//
// Not part of the API. Thread: any.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kiln/detail/actor_registry.h"
#include "kiln/detail/call.h"

namespace kiln {

// For KILN_ACTOR: a constructor that programs in other languages, and those that load the class as
// a task library, may call.
template <typename... P>
struct Constructor {};

namespace detail {

template <typename M>
struct MethodTraits {
  static_assert(!std::is_same_v<M, M>,
                "kiln: this is not a pointer to a member function, such as &Counter::Increment");
};
#define KILN_DETAIL_METHOD_TRAITS(qualifiers)            \
  template <typename R, typename C, typename... P>       \
  struct MethodTraits<R (C::*)(P...) qualifiers> {       \
    using Class = C;                                     \
    using Result = R;                                    \
    using Parameters = ::kiln::detail::Parameters<P...>; \
  };
KILN_DETAIL_METHOD_TRAITS()
KILN_DETAIL_METHOD_TRAITS(const)
KILN_DETAIL_METHOD_TRAITS(&)
KILN_DETAIL_METHOD_TRAITS(const&)
KILN_DETAIL_METHOD_TRAITS(noexcept)
KILN_DETAIL_METHOD_TRAITS(const noexcept)
KILN_DETAIL_METHOD_TRAITS(&noexcept)
KILN_DETAIL_METHOD_TRAITS(const& noexcept)
#undef KILN_DETAIL_METHOD_TRAITS

// Of C's methods, for actors of class T, which is C or derived from it.
template <typename T, typename M>
struct MethodOf {
  using Traits = MethodTraits<M>;
  using Result = ResultOf<typename Traits::Result>;

  static std::vector<PartsPtr> Invoke(void* instance, const MethodPointer& pointer,
                                      std::span<const Incoming> arguments, uint32_t num_returns,
                                      bool each) {
    return InvokeWith(typename Traits::Parameters(), static_cast<T*>(instance), pointer.As<M>(),
                      arguments, num_returns, each);
  }

  static MethodEntry Describe(std::string name, M method) {
    return {std::move(name), Signature(typename Traits::Parameters()), MethodPointer::Of(method),
            &Invoke};
  }

  // Throws: std::invalid_argument (not in KILN_ACTOR).
  static const std::string& NameOf(M method) {
    static_assert(std::is_base_of_v<typename Traits::Class, T>,
                  "kiln: this method belongs to another class than the actor");
    return MethodNameOf(&ClassKey<T>, &Invoke, MethodPointer::Of(method));
  }

 private:
  template <typename... P>
  static std::vector<PartsPtr> InvokeWith(Parameters<P...>, T* instance, M method,
                                          std::span<const Incoming> arguments, uint32_t num_returns,
                                          bool each) {
    return InvokeCallable<typename Traits::Result, P...>(
        [instance, method](auto&&... passed) -> decltype(auto) {
          return (instance->*method)(std::forward<decltype(passed)>(passed)...);
        },
        arguments, num_returns, each);
  }
  template <typename... P>
  static std::string Signature(Parameters<P...>) {
    return ParameterNames<P...>();
  }
};

template <typename T, typename... P>
ConstructorEntry DescribeConstructor(bool listed) {
  InstanceMaker make = [](std::span<const Incoming> arguments) {
    return WithArguments<P...>(arguments, [](auto&&... passed) {
      return std::shared_ptr<void>(std::make_shared<T>(std::forward<decltype(passed)>(passed)...));
    });
  };
  return {ParameterNames<P...>(), sizeof...(P), make, listed};
}

// --- KILN_ACTOR ----------------------------------------------------------------------------------

// One item of KILN_ACTOR, as it is written there: "&Counter::Increment" -> "Increment". The text of
// all of them is `items`; the first is cut off.
std::string TakeItemName(std::string_view* items);

template <typename T>
struct ActorItems {
  std::string_view names;
  std::vector<MethodEntry> methods = {};
  std::vector<ConstructorEntry> constructors = {};

  template <typename M>
  void Add(M method) {
    static_assert(std::is_base_of_v<typename MethodTraits<M>::Class, T>,
                  "kiln: KILN_ACTOR lists a method of another class");
    methods.push_back(MethodOf<T, M>::Describe(TakeItemName(&names), method));
  }
  template <typename... P>
  void Add(Constructor<P...>) {
    TakeItemName(&names);
    constructors.push_back(DescribeConstructor<T, P...>(/*listed=*/true));
  }
};

// `text`: the items as they are written.
template <typename T, typename... Item>
bool RegisterActorClass(const char* name, const char* text, Item... items) {
  ActorItems<T> all{text};
  (all.Add(items), ...);
  if constexpr (std::is_default_constructible_v<T>) {
    all.constructors.push_back(DescribeConstructor<T>(/*listed=*/true));
  }
  return RegisterActor(&ClassKey<T>, name, std::move(all.methods), std::move(all.constructors));
}

// --- Session::Create -----------------------------------------------------------------------------

// What Create passes a value as: text as std::string, a filled array as Array, a ref by its value.
template <typename A>
struct ConstructorParameter {
  using Value = ResultOf<FreeParameter<A>>;
  using Whole = Value;
};
template <typename T>
struct ConstructorParameter<Ref<T>> {
  using Value = T;
  using Whole = Ref<T>;
};

// The parameters that a constructor of T is called with for arguments of types A.
template <typename T, typename... A>
constexpr auto ParametersFor() {
  if constexpr (std::is_constructible_v<T, typename ConstructorParameter<A>::Value...>) {
    return Parameters<typename ConstructorParameter<A>::Value...>();
  } else if constexpr (std::is_constructible_v<T, typename ConstructorParameter<A>::Whole...>) {
    return Parameters<typename ConstructorParameter<A>::Whole...>();
  } else {
    static_assert(!std::is_same_v<T, T>,
                  "kiln: no constructor of this class takes these arguments");
    return Parameters<>();
  }
}

// Has every process of this program know the constructor: workers find it by its signature. Hidden,
// so that each library that is loaded has its own.
template <typename T, typename... P>
struct __attribute__((visibility("hidden"))) CreatedBy {
  static inline const bool registered =
      RegisterConstructor(&ClassKey<T>, DescribeConstructor<T, P...>(/*listed=*/false));
};

template <typename T, typename... P>
ActorConstructor ConstructorFor(Parameters<P...>) {
  (void)CreatedBy<T, P...>::registered;
  return ConstructorOf(&ClassKey<T>, ParameterNames<P...>());
}

}  // namespace detail
}  // namespace kiln
