// Actors: objects that live in a process of their own, whose methods are called like tasks.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kiln/detail/actor_class.h"
#include "kiln/detail/join.h"
#include "kiln/detail/results.h"
#include "kiln/options.h"
#include "kiln/ref.h"

// Makes a class one of actors, and these methods of it callable. At namespace scope, once, in a
// source file of the program:
//
//   class Counter {
//    public:
//     explicit Counter(int start);
//     int Increment(int by);
//     int Value() const;
//   };
//   KILN_ACTOR(Counter, &Counter::Increment, &Counter::Value);
//
// Parameters and results are those of KILN_TASK. Methods go by their names: an overloaded one needs
// a name of its own for each. Session::Create finds the constructors it needs by itself; for
// programs in other languages, list them: KILN_ACTOR(Counter, kiln::Constructor<int>(),
// &Counter::Increment). They are told apart by the number of their parameters; the one without any
// need not be listed.
#define KILN_ACTOR(Class, ...)                                                    \
  [[maybe_unused]] static const bool KILN_DETAIL_JOIN(kiln_actor_, __COUNTER__) = \
      ::kiln::detail::RegisterActorClass<Class>(#Class, #__VA_ARGS__ __VA_OPT__(, ) __VA_ARGS__)

namespace kiln {

namespace detail {

// What the handles on an actor share: one reference, and what callers must know.
struct ActorRef {
  std::shared_ptr<const RefHandle> handle;
  ActorClass actor_class;

  const std::shared_ptr<Runtime>& runtime() const { return handle->runtime(); }
};
using ActorRefPtr = std::shared_ptr<const ActorRef>;

ActorRefPtr MakeActorRef(const std::shared_ptr<Runtime>& runtime, FoundActor found);
// Throws: std::logic_error (the handle is empty).
const ActorRef& Checked(const ActorRefPtr& actor);
// Throws: TypeMismatchError, unless it is an actor of the C++ class of this name.
void CheckClass(const ActorRef& actor, const std::string& class_name);

}  // namespace detail

template <typename T>
class ActorCaller;

// Calls an actor of class T, which has KILN_ACTOR. Copies share one reference; an actor that is not
// detached ends after its last call when nobody has a handle on it, in a program, an object or an
// actor. Handles can be arguments, results, and parts of them.
//
// Calls of one session run in the order they were submitted in, one at a time, unless the actor has
// max_concurrency or concurrency_groups: its methods are then called from several threads at once.
//
// Thread: as shared_ptr: copies may be used from different threads.
template <typename T>
class ActorHandle {
 public:
  // Empty: good for nothing but being assigned to.
  ActorHandle() = default;
  explicit ActorHandle(detail::ActorRefPtr actor) : actor_(std::move(actor)) {}

  explicit operator bool() const { return actor_ != nullptr; }

  // Queues a call of a method that KILN_ACTOR lists and returns at once. Arguments are those of
  // Session::Submit, checked when compiling.
  //   kiln::Ref<int> count = counter.Call(&Counter::Increment, 5);
  // Returns: Ref of what the method returns. Its errors, beside those of tasks: ActorDiedError,
  //          ActorUnavailableError.
  // Blocks, throws: as Session::Submit; PendingCallsLimitError, std::invalid_argument (KILN_ACTOR
  // does
  //          not list the method).
  template <typename M, typename... A>
  auto Call(M method, A&&... arguments) const {
    return With({}).Call(method, std::forward<A>(arguments)...);
  }

  // A light object whose calls have these options.
  //   counter.With({.max_task_retries = 2}).Call(&Counter::Increment, 5);
  ActorCaller<T> With(CallOptions options) const;

  // 16 hexadecimal digits; what `kiln actor kill` takes. Throws: std::logic_error (empty).
  std::string id() const { return detail::FormatId(detail::Checked(actor_).handle->id()); }

  friend bool operator==(const ActorHandle& a, const ActorHandle& b) {
    return a.Number() == b.Number();
  }

  // Not part of the API.
  const detail::ActorRefPtr& actor() const { return actor_; }

 private:
  detail::Id Number() const { return actor_ ? actor_->handle->id() : 0; }

  detail::ActorRefPtr actor_;
};

// Calls with options; see ActorHandle::With. Cheap to copy and keep.
template <typename T>
class ActorCaller {
 public:
  // As ActorHandle::Call.
  template <typename M, typename... A>
  auto Call(M method, A&&... arguments) const {
    using Result = typename detail::MethodOf<T, M>::Result;
    return detail::MakeRef<Result>(runtime(), Queue(method, 1, false, arguments...));
  }

  // For methods that return std::vector<T>: each element becomes an object of its own.
  // CallOptions::num_returns says how many there will be; a call that returns another number fails.
  // Returns: std::vector<Ref<T>>. Throws: as Call; std::invalid_argument (num_returns is 0).
  template <typename M, typename... A>
  auto CallMany(M method, A&&... arguments) const {
    using Result = typename detail::MethodOf<T, M>::Result;
    return detail::MakeRefs<typename detail::ElementOf<Result>::Type>(
        runtime(), Queue(method, options_.num_returns, true, arguments...), options_.num_returns);
  }

  // For methods that return std::tuple or std::pair: each element becomes an object of its own.
  // Returns: std::tuple<Ref<A>, Ref<B>, ...>. Throws: as Call.
  template <typename M, typename... A>
  auto CallTuple(M method, A&&... arguments) const {
    using Result = typename detail::MethodOf<T, M>::Result;
    static_assert(detail::IsTuple<Result>::value,
                  "kiln: CallTuple needs a method that returns a tuple or a pair");
    return detail::MakeTupleOfRefs<Result>(
        runtime(), Queue(method, std::tuple_size_v<Result>, true, arguments...));
  }

  // Not part of the API.
  ActorCaller(detail::ActorRefPtr actor, CallOptions options)
      : actor_(std::move(actor)), options_(std::move(options)) {}

 private:
  const std::shared_ptr<detail::Runtime>& runtime() const {
    return detail::Checked(actor_).runtime();
  }

  template <typename M, typename... A>
  detail::Id Queue(M method, uint32_t num_returns, bool each, const A&... arguments) const {
    const detail::ActorRef& actor = detail::Checked(actor_);
    const detail::ActorMethod called{actor.actor_class, detail::MethodOf<T, M>::NameOf(method),
                                     each};
    std::vector<detail::Argument> list = detail::MakeArguments(
        typename detail::MethodTraits<M>::Parameters(), actor.runtime(), arguments...);
    if (options_.num_returns == num_returns) {
      return actor.runtime()->Call(actor.handle->id(), called, options_, std::move(list));
    }
    CallOptions options = options_;
    options.num_returns = num_returns;
    return actor.runtime()->Call(actor.handle->id(), called, options, std::move(list));
  }

  detail::ActorRefPtr actor_;
  CallOptions options_;
};

template <typename T>
ActorCaller<T> ActorHandle<T>::With(CallOptions options) const {
  return ActorCaller<T>(actor_, std::move(options));
}

// Calls an actor of any language by the names of its methods, with values that both languages have.
// Copies, and what keeps the actor alive: as ActorHandle.
class AnyActor {
 public:
  // Empty: good for nothing but being assigned to.
  AnyActor() = default;
  explicit AnyActor(detail::ActorRefPtr actor) : actor_(std::move(actor)) {}
  template <typename T>
  explicit AnyActor(const ActorHandle<T>& handle) : actor_(handle.actor()) {}

  explicit operator bool() const { return actor_ != nullptr; }

  // Queues a call of the method of this name, whose result is an R. Arguments: values, and refs by
  // the values of their objects. Whether there is such a method and it takes them shows in the
  // result: FunctionNotFoundError, BadArgumentsError, or what the other language raises.
  //   kiln::Ref<int> count = actor.Call<int>("increment", 5);
  // Blocks, throws: as ActorHandle::Call.
  template <typename R, typename... A>
  Ref<R> Call(const std::string& method, A&&... arguments) const {
    return CallWith<R>({}, method, std::forward<A>(arguments)...);
  }
  // With options.
  template <typename R, typename... A>
  Ref<R> CallWith(const CallOptions& options, const std::string& method, A&&... arguments) const {
    const detail::ActorRef& actor = detail::Checked(actor_);
    const detail::ActorMethod called{actor.actor_class, method, false, /*any_language=*/true};
    return detail::MakeRef<R>(
        actor.runtime(),
        actor.runtime()->Call(actor.handle->id(), called, options,
                              detail::MakeFreeArguments(actor.runtime(), arguments...)));
  }

  // As ActorHandle::id.
  std::string id() const { return detail::FormatId(detail::Checked(actor_).handle->id()); }
  // Name of its class. Throws: std::logic_error (empty).
  const std::string& class_name() const { return detail::Checked(actor_).actor_class.name; }

  friend bool operator==(const AnyActor& a, const AnyActor& b) {
    return (a.actor_ ? a.actor_->handle->id() : 0) == (b.actor_ ? b.actor_->handle->id() : 0);
  }

  // Not part of the API.
  const detail::ActorRefPtr& actor() const { return actor_; }

 private:
  detail::ActorRefPtr actor_;
};

// A class of a Python module, for Session::Create. Its methods are called by name.
//   kiln::AnyActor counter = session.Create(kiln::PyActor{"counters", "Counter"}, 5);
struct PyActor {
  std::string module;      // "package.module", importable from `root` or Python's own path
  std::string class_name;  // "Counter"
  std::string root = {};   // folder put first on Python's path; empty: the working directory
};

// Makes actors with options; see Session::With. Cheap to copy and keep.
class ActorCreator {
 public:
  // As Session::Create.
  template <typename T, typename... A>
  ActorHandle<T> Create(A&&... arguments) const {
    const detail::ActorConstructor constructor = detail::ConstructorFor<T>(Parameters<T, A...>());
    ActorHandle<T> handle(
        Make(constructor, detail::MakeArguments(Parameters<T, A...>(), runtime_, arguments...)));
    detail::CheckClass(*handle.actor(), constructor.class_name);
    return handle;
  }

  // As Session::Create.
  template <typename... A>
  AnyActor Create(const PyActor& actor, A&&... arguments) const {
    return AnyActor(Make(Describe(actor), detail::MakeFreeArguments(runtime_, arguments...)));
  }

  // Not part of the API.
  ActorCreator(std::shared_ptr<detail::Runtime> runtime, ActorOptions options)
      : runtime_(std::move(runtime)), options_(std::move(options)) {}

 private:
  template <typename T, typename... A>
  using Parameters = decltype(detail::ParametersFor<T, std::remove_cvref_t<A>...>());

  static detail::ActorConstructor Describe(const PyActor& actor);
  detail::ActorRefPtr Make(const detail::ActorConstructor& constructor,
                           std::vector<detail::Argument> arguments) const {
    return detail::MakeActorRef(runtime_,
                                runtime_->CreateActor(constructor, options_, std::move(arguments)));
  }

  std::shared_ptr<detail::Runtime> runtime_;
  ActorOptions options_;
};

// --- inside of an actor --------------------------------------------------------------------------

// Ends the actor whose method or constructor runs on this thread: this call, and those that have
// not ended, fail with ActorDiedError; it is not started anew. Implemented as an exception that is
// no std::exception: catch (...) must let it pass. Throws: std::logic_error (no call of an actor
// runs on this thread).
[[noreturn]] void ExitActor();

// Times this actor was started anew after its process died; its constructor may look, to find what
// it has saved. Throws: as ExitActor.
uint32_t ActorRestarts();

namespace detail {
// A handle on the actor of this thread. Throws: as ExitActor.
ActorRefPtr CurrentActorRef(const std::string& class_name);
}  // namespace detail

// A handle on the actor whose method or constructor runs on this thread, to give to others. An
// actor that keeps one never ends by itself. Throws: as ExitActor; std::invalid_argument (T has no
// KILN_ACTOR).
template <typename T>
ActorHandle<T> CurrentActor() {
  return ActorHandle<T>(detail::CurrentActorRef(detail::ClassNameOf(&detail::ClassKey<T>)));
}

// --- values --------------------------------------------------------------------------------------

namespace detail {

// A handle is a map: {"actor": ref, "class": ..}, and what callers must know.
void PackActor(Packer& out, const ActorRefPtr& actor);
// Throws: Mismatch.
ActorRefPtr UnpackActor(Unpacker& in, const std::string& expected);

template <typename T>
struct Codec<ActorHandle<T>> {
  static std::string Name() { return "kiln::ActorHandle<" + TypeName<T>() + ">"; }
  static void Pack(Packer& out, const ActorHandle<T>& value) { PackActor(out, value.actor()); }
  static ActorHandle<T> Unpack(Unpacker& in) {
    ActorHandle<T> handle(UnpackActor(in, Name()));
    try {
      CheckClass(*handle.actor(), ClassNameOf(&ClassKey<T>));
    } catch (const Error& error) {
      throw Mismatch(error.what());
    }
    return handle;
  }
};

template <>
struct Codec<AnyActor> {
  static std::string Name() { return "kiln::AnyActor"; }
  static void Pack(Packer& out, const AnyActor& value) { PackActor(out, value.actor()); }
  static AnyActor Unpack(Unpacker& in) { return AnyActor(UnpackActor(in, Name())); }
};

}  // namespace detail
}  // namespace kiln
