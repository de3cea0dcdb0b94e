// Sessions: a program's connection to a head.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "kiln/actor.h"
#include "kiln/array.h"
#include "kiln/detail/call.h"
#include "kiln/detail/results.h"
#include "kiln/error.h"
#include "kiln/options.h"
#include "kiln/ref.h"

namespace kiln {

class Submitter;

// A function of a Python module, whose result is an R: Submit calls it with values that both
// languages have (docs/wire.md, "Values"); numbers must be exact, kiln::Array arrives as a NumPy
// array.
//   Ref<double> mean = session.Submit(kiln::PyFunction<double>{"statistics", "mean"}, numbers);
// The head starts the Python for it: $KILN_PYTHON of its environment, else the one kiln was built
// for.
template <typename R>
struct PyFunction {
  std::string module;     // "package.module", importable from `root` or Python's own path
  std::string function;   // "name", or "Class.method"
  std::string root = {};  // folder put first on Python's path; empty: the working directory
};

// What Wait found; each list in the order of the refs given.
template <typename T>
struct WaitResult {
  std::vector<Ref<T>> ready;
  std::vector<Ref<T>> not_ready;
};

// A connection to a head: submits tasks, puts and gets objects. Copies are the same connection; it
// ends with the last of them and of the refs made by it.
//
// Thread: any; calls from several threads run side by side.
class Session {
 public:
  // --- tasks
  // ---------------------------------------------------------------------------------------

  // Queues a call of a function that has KILN_TASK and returns at once. An argument may be a value
  // or a Ref of the parameter's type: the task then runs when that object is there, and fails as it
  // did if it is an error. A parameter that is itself a Ref<T> gets the ref, unwaited for.
  //   Ref<int> sum = session.Submit(Add, 1, other_ref);
  // Arguments are checked when compiling: their number, and that each fits (an int may be given for
  // a double, not the other way round).
  // Blocks: while the head's queue is full, unless TaskOptions::block is false.
  // Throws: ResourceExhaustedError, DisconnectedError, BadArgumentsError (a number out of range of
  //         the parameter), std::invalid_argument (no KILN_TASK; a ref of another session).
  template <typename R, typename... P, typename... A>
  auto Submit(R (*function)(P...), A&&... arguments) const;

  // As above, for a function of Python. Whether it exists and takes the arguments shows in the
  // result. Throws: as above; std::invalid_argument (no module or function named).
  template <typename R, typename... A>
  Ref<R> Submit(const PyFunction<R>& function, A&&... arguments) const;

  // Anything else is refused here, with the reason.
  template <typename F, typename... A>
  requires(!std::is_function_v<std::remove_pointer_t<std::decay_t<F>>>) void Submit(const F&,
                                                                                    A&&...) const {
    static_assert(!std::is_same_v<F, F>,
                  "kiln: Submit takes a function with KILN_TASK; a lambda, function object or "
                  "member function cannot run in another process");
  }

  // A light object whose submits have these options.
  //   session.With({.num_cpus = 2, .max_retries = 0}).Submit(Add, 1, 2);
  Submitter With(TaskOptions options) const;

  // Asks the task that makes the object to stop: a queued one is dropped; a running one sees
  // kiln::Cancelled(), or, with `force`, its worker is killed. Its result is TaskCancelledError,
  // unless it finishes all the same. Best effort; nothing happens if the object is there already.
  template <typename T>
  void Cancel(const Ref<T>& ref, bool force = false) const {
    runtime_->Cancel(detail::Checked(ref.handle()).id(), force);
  }

  // --- actors
  // --------------------------------------------------------------------------------------

  // Makes an actor of a class that has KILN_ACTOR, in a process of its own, and returns at once. An
  // argument may be a value or a Ref, whose value is passed when it is there; if the class has no
  // constructor for that, the refs are. A constructor that throws is the error of every call.
  //   kiln::ActorHandle<Counter> counter = session.Create<Counter>(5);
  // Blocks: as Submit; with ActorOptions::name until the head has answered.
  // Throws: as Submit; NameTakenError; with get_if_exists TypeMismatchError (the actor of that name
  //         is of another class); std::invalid_argument (no KILN_ACTOR; a negative option).
  template <typename T, typename... A>
  requires std::is_class_v<T> ActorHandle<T> Create(A&&... arguments)
  const { return ActorCreator(runtime_, {}).Create<T>(std::forward<A>(arguments)...); }
  // The same for a class of Python.
  template <typename... A>
  AnyActor Create(const PyActor& actor, A&&... arguments) const {
    return ActorCreator(runtime_, {}).Create(actor, std::forward<A>(arguments)...);
  }
  // A light object that makes actors with these options.
  //   session.With(kiln::ActorOptions{.name = "scores", .max_restarts = 3}).Create<Counter>(5);
  template <typename Options>
  requires std::is_same_v<Options, ActorOptions> ActorCreator With(Options options)
  const { return {runtime_, std::move(options)}; }

  // The actor of this name. Throws: ActorNotFoundError, TypeMismatchError (of another class),
  // DisconnectedError.
  template <typename T>
  ActorHandle<T> GetActor(const std::string& name, const std::string& name_space = {}) const {
    const std::string& class_name = detail::ClassNameOf(&detail::ClassKey<T>);
    ActorHandle<T> handle(detail::MakeActorRef(runtime_, runtime_->FindActor(name, name_space)));
    detail::CheckClass(*handle.actor(), class_name);
    return handle;
  }
  // The same for an actor of any class and language.
  AnyActor GetActor(const std::string& name, const std::string& name_space = {}) const {
    return AnyActor(detail::MakeActorRef(runtime_, runtime_->FindActor(name, name_space)));
  }

  // Ends the actor's process at once; its calls that have not ended fail with ActorDiedError. With
  // no_restart false it counts as a crash: the actor is started anew if its max_restarts allows.
  template <typename T>
  void Kill(const ActorHandle<T>& actor, bool no_restart = true) const {
    runtime_->KillActor(detail::Checked(actor.actor()).handle->id(), !no_restart);
  }
  void Kill(const AnyActor& actor, bool no_restart = true) const {
    runtime_->KillActor(detail::Checked(actor.actor()).handle->id(), !no_restart);
  }

  // --- objects
  // -------------------------------------------------------------------------------------

  // Stores a value. An array made by Create is sealed where it lies, all else is copied once.
  // Throws: ObjectStoreFullError, DisconnectedError.
  template <typename T>
  auto Put(T&& value) const;

  // Waits for the object and returns its value; arrays view the store and copy nothing.
  // `timeout`: any std::chrono duration; without one, waits as long as it takes.
  // Throws: what the task threw as TaskError, or another Error (error.h); GetTimeoutError.
  template <typename T>
  T Get(const Ref<T>& ref, detail::Timeout timeout = std::nullopt) const;
  // Waits for all. Throws: as above; for several failed ones, the error of the first in the list.
  template <typename T>
  auto Get(const std::vector<Ref<T>>& refs, detail::Timeout timeout = std::nullopt) const;

  // Waits until `num_returns` of the objects are there, errors included, or the time is over.
  // Returns: at most num_returns of those that are there, and all others. To go on with those, hand
  // them over: a vector that is moved in costs a tenth of one that is copied. If it throws, the
  // vector is what it was.
  //   while (!refs.empty()) refs = session.Wait(std::move(refs)).not_ready;
  // Throws: std::invalid_argument (num_returns is 0 or more than there are refs).
  template <typename T>
  WaitResult<T> Wait(std::vector<Ref<T>>&& refs, size_t num_returns = 1,
                     detail::Timeout timeout = std::nullopt) const;
  template <typename T>
  WaitResult<T> Wait(const std::vector<Ref<T>>& refs, size_t num_returns = 1,
                     detail::Timeout timeout = std::nullopt) const;

  // An array to fill and then Put, in the store from the start if it is large. Not initialised.
  // Throws: ObjectStoreFullError.
  template <typename T>
  requires(!std::is_class_v<T>) WritableArray<T> Create(std::vector<size_t> shape)
  const {
    auto numbers = detail::CreateNumbers(runtime_.get(), detail::Dtype<T>(), shape, sizeof(T));
    return {std::move(numbers), std::move(shape)};
  }
  template <typename T>
  requires(!std::is_class_v<T>) WritableArray<T> Create(size_t size)
  const { return Create<T>(std::vector<size_t>{size}); }

  // A ref made elsewhere (`kiln put`, `kiln run --detach`, Ref::id of another program) by its text.
  // Whether it exists and is a T shows when it is got: ObjectLostError, TypeMismatchError.
  // Throws: std::invalid_argument (not 16 hexadecimal digits).
  template <typename T>
  Ref<T> FromId(const std::string& id) const;

  // --- the head
  // ------------------------------------------------------------------------------------

  // CPUs the head schedules.
  double num_cpus() const { return runtime_->num_cpus(); }
  // Where the head is: "unix:/…/head.sock".
  std::string address() const { return runtime_->address(); }

  // Not part of the API.
  explicit Session(std::shared_ptr<detail::Runtime> runtime) : runtime_(std::move(runtime)) {}
  const std::shared_ptr<detail::Runtime>& runtime() const { return runtime_; }

 private:
  std::shared_ptr<detail::Runtime> runtime_;
};

// Submits tasks with options; see Session::With. Cheap to copy and keep.
class Submitter {
 public:
  // As Session::Submit.
  template <typename R, typename... P, typename... A>
  auto Submit(R (*function)(P...), A&&... arguments) const {
    return detail::MakeRef<detail::ResultOf<R>>(runtime_, Queue(function, 1, "", arguments...));
  }

  // As Session::Submit for Python.
  template <typename R, typename... A>
  Ref<R> Submit(const PyFunction<R>& function, A&&... arguments) const {
    return detail::MakeRef<R>(
        runtime_, runtime_->Submit(detail::PythonLibrary(function.root),
                                   detail::PythonName(function.module, function.function), options_,
                                   detail::MakeFreeArguments(runtime_, arguments...)));
  }

  // For functions that return std::vector<T>: each element becomes an object of its own.
  // TaskOptions::num_returns says how many there will be; a task that returns another number fails.
  // Returns: std::vector<Ref<T>>. Throws: as Submit; std::invalid_argument (num_returns is 0).
  template <typename R, typename... P, typename... A>
  auto SubmitMany(R (*function)(P...), A&&... arguments) const;

  // For functions that return std::tuple or std::pair: each element becomes an object of its own.
  // Returns: std::tuple<Ref<A>, Ref<B>, ...>. Throws: as Submit.
  template <typename R, typename... P, typename... A>
  auto SubmitTuple(R (*function)(P...), A&&... arguments) const;

  // Anything else is refused here, with the reason.
  template <typename F, typename... A>
  requires(!std::is_function_v<std::remove_pointer_t<std::decay_t<F>>>) void Submit(const F&,
                                                                                    A&&...) const {
    static_assert(!std::is_same_v<F, F>,
                  "kiln: Submit takes a function with KILN_TASK; a lambda, function object or "
                  "member function cannot run in another process");
  }

  // Not part of the API.
  Submitter(std::shared_ptr<detail::Runtime> runtime, TaskOptions options)
      : runtime_(std::move(runtime)), options_(std::move(options)) {}

 private:
  template <typename R, typename... P, typename... A>
  detail::Id Queue(R (*function)(P...), uint32_t num_returns, std::string_view suffix,
                   const A&... arguments) const;

  std::shared_ptr<detail::Runtime> runtime_;
  TaskOptions options_;
};

// Connects this program to a head: the one of `options`, KILN_ADDRESS or KILN_SESSION_DIR, or the
// user's own if it runs; otherwise starts one that ends with this program (unless
// options.start_head is false).
//
// A program is its own worker: when the head runs the program's tasks it starts the same executable
// with the same arguments, and in such a process Connect does not return: it runs tasks until the
// head ends it. So everything main does before Connect happens in every worker too. Keep it short,
// read files and start threads afterwards.
//
// Call it once, from main. Throws: ConnectionError.
Session Connect(int argc, char** argv, ConnectOptions options = {});

// The session of the task that runs on this thread, for tasks that submit tasks. A thread started
// by a task has none: hand it a copy. Throws: std::logic_error (no task runs on this thread).
Session CurrentSession();

}  // namespace kiln

#include "kiln/detail/session_templates.h"
