// Definitions of the templates in session.h.
//
// Not part of the API.
#pragma once

#include <cstdint>

#include "kiln/session.h"

namespace kiln {

namespace detail {

// Throws: TypeMismatchError, naming the object.
template <typename T>
T DecodeObject(const Incoming& value, const std::shared_ptr<Runtime>& runtime, Id id) {
  try {
    return ValueCodec<T>::Decode(value, runtime);
  } catch (const Mismatch& mismatch) {
    throw TypeMismatchError("object " + FormatId(id) + ": " + mismatch.Text());
  }
}

template <typename T>
std::vector<Id> IdsOf(const std::vector<Ref<T>>& refs) {
  std::vector<Id> ids;
  ids.reserve(refs.size());
  for (const Ref<T>& ref : refs) ids.push_back(Checked(ref.handle()).id());
  return ids;
}

// What Put makes of a T: text literals become std::string, filled arrays Array.
template <typename T>
struct PutTypeOf {
  using Type = ResultOf<T>;
};
template <>
struct PutTypeOf<const char*> {
  using Type = std::string;
};
template <>
struct PutTypeOf<char*> {
  using Type = std::string;
};
template <>
struct PutTypeOf<std::string_view> {
  using Type = std::string;
};
template <typename T>
using PutType = typename PutTypeOf<std::decay_t<T>>::Type;

}  // namespace detail

template <typename R, typename... P, typename... A>
detail::Id Submitter::Queue(R (*function)(P...), uint32_t num_returns, std::string_view suffix,
                            const A&... arguments) const {
  const detail::FunctionName& name = detail::NameOf(reinterpret_cast<void*>(function));
  std::vector<detail::Argument> list =
      detail::MakeArguments(detail::Parameters<P...>(), runtime_, arguments...);
  if (suffix.empty() && options_.num_returns == num_returns) {
    return runtime_->Submit(name.library, name.function, options_, std::move(list));
  }
  TaskOptions options = options_;
  options.num_returns = num_returns;
  if (options.name.empty()) options.name = name.function;
  return runtime_->Submit(name.library, name.function + std::string(suffix), options,
                          std::move(list));
}

template <typename R, typename... P, typename... A>
auto Submitter::SubmitMany(R (*function)(P...), A&&... arguments) const {
  using Element = typename detail::ElementOf<detail::ResultOf<R>>::Type;
  if (options_.num_returns == 0) {
    throw std::invalid_argument("kiln: SubmitMany with num_returns 0");
  }
  const detail::Id first = Queue(function, options_.num_returns, detail::kEachSuffix, arguments...);
  return detail::MakeRefs<Element>(runtime_, first, options_.num_returns);
}

template <typename R, typename... P, typename... A>
auto Submitter::SubmitTuple(R (*function)(P...), A&&... arguments) const {
  using Result = detail::ResultOf<R>;
  static_assert(detail::IsTuple<Result>::value,
                "kiln: SubmitTuple needs a function that returns a tuple or a pair");
  return detail::MakeTupleOfRefs<Result>(
      runtime_, Queue(function, std::tuple_size_v<Result>, detail::kEachSuffix, arguments...));
}

template <typename R, typename... P, typename... A>
auto Session::Submit(R (*function)(P...), A&&... arguments) const {
  return Submitter(runtime_, {}).Submit(function, std::forward<A>(arguments)...);
}

template <typename R, typename... A>
Ref<R> Session::Submit(const PyFunction<R>& function, A&&... arguments) const {
  return Submitter(runtime_, {}).Submit(function, std::forward<A>(arguments)...);
}

inline Submitter Session::With(TaskOptions options) const {
  return Submitter(runtime_, std::move(options));
}

template <typename T>
auto Session::Put(T&& value) const {
  using Type = detail::PutType<T>;
  auto put = [this](const Type& stored) {
    return detail::MakeRef<Type>(runtime_,
                                 runtime_->Put(*detail::ValueCodec<Type>::Encode(stored)));
  };
  if constexpr (std::is_same_v<Type, std::remove_cvref_t<T>>) {
    return put(value);
  } else {
    return put(Type(std::forward<T>(value)));
  }
}

template <typename T>
T Session::Get(const Ref<T>& ref, detail::Timeout timeout) const {
  const detail::Id id = detail::Checked(ref.handle()).id();
  std::vector<detail::Incoming> values = detail::GetAll(*runtime_, {&id, 1}, timeout);
  if constexpr (!std::is_void_v<T>) return detail::DecodeObject<T>(values[0], runtime_, id);
}

template <typename T>
auto Session::Get(const std::vector<Ref<T>>& refs, detail::Timeout timeout) const {
  std::vector<detail::Id> ids = detail::IdsOf(refs);
  std::vector<detail::Incoming> values = detail::GetAll(*runtime_, ids, timeout);
  if constexpr (!std::is_void_v<T>) {
    std::vector<T> results;
    results.reserve(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      results.push_back(detail::DecodeObject<T>(values[i], runtime_, ids[i]));
    }
    return results;
  }
}

template <typename T>
WaitResult<T> Session::Wait(std::vector<Ref<T>>&& refs, size_t num_returns,
                            detail::Timeout timeout) const {
  if (num_returns == 0 || num_returns > refs.size()) {
    throw std::invalid_argument("kiln: Wait for " + std::to_string(num_returns) + " of " +
                                std::to_string(refs.size()) + " refs");
  }
  const detail::IdList ids{
      refs.size(), refs.data(), [](const void* list, size_t index) {
        return detail::Checked(static_cast<const Ref<T>*>(list)[index].handle()).id();
      }};
  const std::vector<size_t> sealed = runtime_->Wait(ids, num_returns, timeout);
  WaitResult<T> result;
  result.ready.reserve(sealed.size());
  for (size_t at : sealed) result.ready.push_back(std::move(refs[at]));
  // Those that are left close up; each moves once.
  size_t to = sealed.empty() ? refs.size() : sealed[0];
  for (size_t i = 0; i < sealed.size(); ++i) {
    const size_t end = i + 1 < sealed.size() ? sealed[i + 1] : refs.size();
    std::move(refs.begin() + static_cast<ptrdiff_t>(sealed[i] + 1),
              refs.begin() + static_cast<ptrdiff_t>(end),
              refs.begin() + static_cast<ptrdiff_t>(to));
    to += end - sealed[i] - 1;
  }
  refs.resize(to);
  result.not_ready = std::move(refs);
  return result;
}

template <typename T>
WaitResult<T> Session::Wait(const std::vector<Ref<T>>& refs, size_t num_returns,
                            detail::Timeout timeout) const {
  return Wait(std::vector<Ref<T>>(refs), num_returns, timeout);
}

template <typename T>
Ref<T> Session::FromId(const std::string& text) const {
  detail::Id id = detail::ParseId(text);
  runtime_->Retain(id);
  return detail::MakeRef<T>(runtime_, id);
}

}  // namespace kiln
