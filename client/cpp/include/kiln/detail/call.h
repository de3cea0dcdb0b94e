// Calling a task function: what its parameters accept at the caller, and how a worker calls it.
//
// Not part of the API. Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "kiln/detail/numbers.h"
#include "kiln/error.h"

namespace kiln::detail {

// --- types ---------------------------------------------------------------------------------------

template <typename T>
inline constexpr bool kIsRef = false;
template <typename T>
inline constexpr bool kIsRef<Ref<T>> = true;

template <typename T>
struct RefTarget {};
template <typename T>
struct RefTarget<Ref<T>> {
  using Type = T;
};

// T of vector<T>, span<const T>, Array<T>, WritableArray<T> of numbers: all the same value.
template <typename T>
struct NumberOf {
  using Type = void;
};
template <typename T>
requires kIsNumber<T>
struct NumberOf<std::vector<T>> {
  using Type = T;
};
template <typename T>
struct NumberOf<std::span<T>> {
  using Type = std::remove_const_t<T>;
};
template <typename T>
struct NumberOf<Array<T>> {
  using Type = T;
};
template <typename T>
struct NumberOf<WritableArray<T>> {
  using Type = T;
};

template <typename A, typename B>
constexpr bool SameNumbers() {
  using Number = typename NumberOf<A>::Type;
  return !std::is_void_v<Number> && std::is_same_v<Number, typename NumberOf<B>::Type>;
}

template <typename T>
inline constexpr bool kIsText =
    std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>;

// What an object made by a function that returns R holds.
template <typename R>
struct ResultType {
  using Type = std::remove_cvref_t<R>;
  static_assert(!std::is_pointer_v<Type> && !std::is_same_v<Type, std::string_view>,
                "kiln: a task cannot return a pointer or a view; return the value itself");
};
template <typename T>
struct ResultType<std::span<T>> {
  static_assert(!std::is_same_v<T, T>,
                "kiln: a task cannot return a view; return a std::vector or kiln::Array");
};
template <typename T>
struct ResultType<WritableArray<T>> {
  using Type = Array<T>;
};
template <typename R>
using ResultOf = typename ResultType<R>::Type;

// --- the caller's side
// -----------------------------------------------------------------------------

template <typename P>
constexpr bool IsParameter() {
  bool mutable_reference =
      std::is_lvalue_reference_v<P> && !std::is_const_v<std::remove_reference_t<P>>;
  return !mutable_reference && !std::is_pointer_v<std::remove_cvref_t<P>>;
}

// True if the value of an object of type U fits a parameter of type P whatever it is: the same
// type, another view of it, or a number that widens.
template <typename U, typename P>
constexpr bool RefFits() {
  if constexpr (std::is_void_v<U>) {
    return false;
  } else if constexpr (std::is_same_v<U, P> || SameNumbers<U, P>() || (kIsText<U> && kIsText<P>)) {
    return true;
  } else if constexpr (std::is_same_v<U, bool> || std::is_same_v<P, bool>) {
    return false;
  } else if constexpr (std::is_integral_v<U> && std::is_integral_v<P>) {
    return std::in_range<P>(std::numeric_limits<U>::min()) &&
           std::in_range<P>(std::numeric_limits<U>::max());
  } else {
    return std::is_arithmetic_v<U> && std::is_floating_point_v<P> && sizeof(P) >= sizeof(float) &&
           (std::is_integral_v<U> || sizeof(U) <= sizeof(P));
  }
}

// True if a value of type A may be given for a parameter of type P. Unlike C++ itself, kiln never
// drops the fraction of a number nor makes a bool of something else.
template <typename A, typename P>
constexpr bool ValueFits() {
  if constexpr (std::is_same_v<A, P> || SameNumbers<A, P>()) {
    return true;
  } else if constexpr (kIsText<P> && std::is_convertible_v<A, std::string_view>) {
    return true;
  } else if constexpr (std::is_same_v<P, bool>) {
    return false;
  } else if constexpr (std::is_floating_point_v<A> && std::is_integral_v<P>) {
    return false;
  } else {
    return std::is_convertible_v<A, P>;
  }
}

// True if `value` can be a P; the types say it may.
template <typename P, typename A>
bool InRange(A value) {
  if constexpr (std::is_integral_v<A> && std::is_integral_v<P>) {
    using Wide = std::conditional_t<std::is_signed_v<A>, long long, unsigned long long>;
    using WideP = std::conditional_t<std::is_signed_v<P>, long long, unsigned long long>;
    Wide wide = value;
    return std::cmp_greater_equal(wide, WideP{std::numeric_limits<P>::min()}) &&
           std::cmp_less_equal(wide, WideP{std::numeric_limits<P>::max()});
  } else {
    return true;
  }
}

// The argument for a parameter of type Parameter. Keep `given` until it is submitted.
// Throws: BadArgumentsError (a number out of the parameter's range), std::logic_error (empty ref),
//         std::invalid_argument (a ref of another session).
template <typename Parameter, typename A>
Argument MakeArgument(const A& given, const std::shared_ptr<Runtime>& runtime) {
  using P = std::remove_cvref_t<Parameter>;
  using Given = std::remove_cvref_t<A>;
  if constexpr (kIsRef<Given> && !std::is_same_v<Given, P>) {
    static_assert(RefFits<typename RefTarget<Given>::Type, P>(),
                  "kiln: this Ref<T> does not fit the parameter of the task function");
    const RefHandle& handle = Checked(given.handle());
    if (handle.runtime() != runtime) {
      throw std::invalid_argument("kiln: the ref belongs to another session");
    }
    return {handle.id(), nullptr};
  } else if constexpr (std::is_same_v<Given, P>) {
    return {0, ValueCodec<P>::Encode(given)};
  } else {
    static_assert(ValueFits<A, P>(),
                  "kiln: this argument's type does not fit the parameter of the task function "
                  "(numbers are not cut, strings are not bools)");
    if constexpr (SameNumbers<Given, P>()) {
      return {0, ValueCodec<Given>::Encode(given)};
    } else if constexpr (std::is_arithmetic_v<P>) {
      if (!InRange<P>(given)) {
        throw BadArgumentsError("an argument is out of the range of " + Codec<P>::Name());
      }
      return {0, ValueCodec<P>::Encode(static_cast<P>(given))};
    } else if constexpr (kIsText<P> && std::is_convertible_v<A, std::string_view>) {
      return {0, ValueCodec<std::string_view>::Encode(std::string_view(given))};
    } else {
      return {0, ValueCodec<P>::EncodeOwned(P(given))};
    }
  }
}

// The types of a function's parameters.
template <typename... P>
struct Parameters {};

// The arguments for parameters P. Keep `given` until it is submitted. Throws: as MakeArgument.
template <typename... P, typename... A>
std::vector<Argument> MakeArguments(Parameters<P...>, const std::shared_ptr<Runtime>& runtime,
                                    const A&... given) {
  static_assert(sizeof...(A) == sizeof...(P), "kiln: wrong number of arguments for this call");
  std::vector<Argument> list;
  if constexpr (sizeof...(A) == sizeof...(P)) {
    list.reserve(sizeof...(P));
    (list.push_back(MakeArgument<P>(given, runtime)), ...);
  }
  return list;
}

// What a value is passed as where no parameter says.
template <typename A>
using FreeParameter = std::conditional_t<std::is_convertible_v<std::decay_t<A>, std::string_view>,
                                         std::string, std::remove_cvref_t<A>>;

// The argument for a function whose parameters are not known: any value, and any ref by its value.
// Keep `given` until it is submitted. Throws: as MakeArgument.
template <typename A>
Argument MakeFreeArgument(const A& given, const std::shared_ptr<Runtime>& runtime) {
  if constexpr (kIsRef<A>) {
    return MakeArgument<typename RefTarget<A>::Type>(given, runtime);
  } else {
    return MakeArgument<FreeParameter<A>>(given, runtime);
  }
}

// As MakeArguments, for a callee whose parameters are not known.
template <typename... A>
std::vector<Argument> MakeFreeArguments(const std::shared_ptr<Runtime>& runtime,
                                        const A&... given) {
  std::vector<Argument> list;
  list.reserve(sizeof...(A));
  (list.push_back(MakeFreeArgument(given, runtime)), ...);
  return list;
}

// How a function of Python is named on the wire. Throws: std::invalid_argument (an empty name).
std::string PythonLibrary(const std::string& root);
std::string PythonName(const std::string& module, const std::string& function);

// --- the worker's side
// -----------------------------------------------------------------------------

// The arguments or num_returns do not fit the function.
struct BadCall : std::exception {
  BadCall(size_t argument, std::string text) : position(argument), message(std::move(text)) {}
  const char* what() const noexcept override { return message.c_str(); }

  size_t position;  // of the argument, from 1; 0: the call as a whole
  std::string message;
};

// "int, std::string"
template <typename... P>
std::string ParameterNames() {
  std::string names;
  ((names += (names.empty() ? "" : ", ") + Codec<std::remove_cvref_t<P>>::Name()), ...);
  return names;
}

template <typename P>
auto DecodeArgument(const Incoming& value, size_t index, const std::shared_ptr<Runtime>& runtime) {
  try {
    return ValueCodec<std::remove_cvref_t<P>>::Decode(value, runtime);
  } catch (const Mismatch& mismatch) {
    throw BadCall(index + 1, mismatch.Text());
  }
}

// The decoded argument as the parameter wants it.
template <typename P, typename Decoded>
decltype(auto) Pass(Decoded& decoded) {
  if constexpr (std::is_same_v<std::remove_cvref_t<P>, Decoded>) {
    return static_cast<P&&>(decoded);
  } else {
    return std::remove_cvref_t<P>(decoded.data(), decoded.size());  // a span of an Array
  }
}

// Every element of `result` as a value of its own.
template <typename R>
struct EachResult {
  static std::vector<PartsPtr> Encode(R&&, uint32_t num_returns) {
    throw BadCall(0, "num_returns is " + std::to_string(num_returns) +
                         ", but the function returns neither a vector nor a tuple");
  }
};
template <typename T>
struct EachResult<std::vector<T>> {
  static std::vector<PartsPtr> Encode(std::vector<T>&& results, uint32_t num_returns) {
    if (results.size() != num_returns) {
      throw std::length_error("returned " + std::to_string(results.size()) +
                              " values, but num_returns is " + std::to_string(num_returns));
    }
    std::vector<PartsPtr> parts;
    parts.reserve(results.size());
    for (auto&& result : results) {
      parts.push_back(ValueCodec<T>::EncodeOwned(static_cast<T>(std::move(result))));
    }
    return parts;
  }
};
template <typename... T>
struct EachResult<std::tuple<T...>> {
  static std::vector<PartsPtr> Encode(std::tuple<T...>&& results, uint32_t num_returns) {
    if (sizeof...(T) != num_returns) {
      throw BadCall(0, "num_returns is " + std::to_string(num_returns) +
                           ", but the function returns a tuple of " + std::to_string(sizeof...(T)));
    }
    return std::apply(
        [](T&... result) {
          return std::vector<PartsPtr>{ValueCodec<T>::EncodeOwned(std::move(result))...};
        },
        results);
  }
};
template <typename A, typename B>
struct EachResult<std::pair<A, B>> {
  static std::vector<PartsPtr> Encode(std::pair<A, B>&& results, uint32_t num_returns) {
    return EachResult<std::tuple<A, B>>::Encode(std::tuple<A, B>(std::move(results)), num_returns);
  }
};

template <typename R>
std::vector<PartsPtr> EncodeResult(R&& result, uint32_t num_returns, bool each) {
  using Result = ResultOf<R>;
  if (each) return EachResult<Result>::Encode(Result(std::move(result)), num_returns);
  return {ValueCodec<Result>::EncodeOwned(Result(std::move(result)))};
}

// Decodes the arguments for parameters P, gives them to `body` and returns what that does.
// Throws: BadCall; anything `body` throws.
template <typename... P, typename Body>
auto WithArguments(std::span<const Incoming> arguments, const Body& body) {
  static_assert((IsParameter<P>() && ...),
                "kiln: a task runs in another process: its parameters cannot be pointers or "
                "references to non-const");
  if (arguments.size() != sizeof...(P)) {
    throw BadCall(0, "expected " + std::to_string(sizeof...(P)) + " arguments, got " +
                         std::to_string(arguments.size()));
  }
  return [&]<size_t... I>(std::index_sequence<I...>) {
    [[maybe_unused]] std::shared_ptr<Runtime> runtime = CurrentTaskRuntime();
    // Braces: decoded from left to right, so that the first bad argument is the one reported.
    [[maybe_unused]] std::tuple decoded{DecodeArgument<P>(arguments[I], I, runtime)...};
    return body(Pass<P>(std::get<I>(decoded))...);
  }
  (std::index_sequence_for<P...>());
}

// As an Invoker, of anything that is called with parameters P and returns an R.
template <typename R, typename... P, typename Callable>
std::vector<PartsPtr> InvokeCallable(const Callable& call, std::span<const Incoming> arguments,
                                     uint32_t num_returns, bool each) {
  return WithArguments<P...>(arguments, [&](auto&&... passed) {
    if constexpr (std::is_void_v<R>) {
      if (each) throw BadCall(0, "num_returns is given, but the function returns nothing");
      call(std::forward<decltype(passed)>(passed)...);
      return std::vector<PartsPtr>{MakeNull()};
    } else {
      return EncodeResult<std::remove_cv_t<R>>(call(std::forward<decltype(passed)>(passed)...),
                                               num_returns, each);
    }
  });
}

// The Invoker of a function; see runtime.h.
template <typename R, typename... P>
std::vector<PartsPtr> Invoke(void* function, std::span<const Incoming> arguments,
                             uint32_t num_returns, bool each) {
  return InvokeCallable<R, P...>(reinterpret_cast<R (*)(P...)>(function), arguments, num_returns,
                                 each);
}

template <typename R, typename... P>
bool Register(const char* name, R (*function)(P...)) {
  return RegisterTask(name, reinterpret_cast<void*>(function), &Invoke<R, P...>,
                      ParameterNames<P...>());
}

}  // namespace kiln::detail
