// Runs one task: finds its function, calls it, and turns what it throws into an error value. The
// one place where exceptions of user code are caught.
//
// Thread: the one that shall run the function; several at a time are fine.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/value/error_value.h"
#include "common/value/value.h"
#include "kiln/detail/runtime.h"

namespace kiln::worker {

class Stream;

// What is called.
enum class Callee {
  kFunction,
  kConstructor,  // `function` names a class, of which this process keeps one instance from now on
  kMethod,       // `function` names a method of that instance
};

// One call of a task function, or of an actor's constructor or method.
struct Invocation {
  Callee callee = Callee::kFunction;
  std::string library;  // absolute path, or empty: this program
  std::string function;
  std::string name;  // of the task, for errors; the function's when empty
  std::span<const value::SharedBytes> arguments;
  std::vector<std::string> keywords;  // names of the last arguments
  uint32_t num_returns = 1;
  double num_cpus = 1;
  // The results are for a reader of any language (docs/wire.md, "Values").
  bool any_language = false;
  TaskId task = 0;
  uint32_t attempt = 0;  // 0 for the first run
  // What CurrentSession and kiln::Cancelled see; either may be null.
  std::shared_ptr<detail::Runtime> runtime;
  const std::atomic<bool>* cancelled = nullptr;
  // Where the items of a streaming task go; null for others.
  Stream* stream = nullptr;
};

struct Outcome {
  // num_returns of them, unless there is an error. Hold them until they are sent: see value::Parts.
  std::vector<std::shared_ptr<value::Parts>> results;
  std::optional<ErrorInfo> error;
  // With an error: another attempt could end differently.
  bool retryable = false;
  // This process is to end when the task is reported.
  bool leave = false;
  // Of a constructor: what the instance says of itself, for people; empty: its class does.
  std::string actor_repr;
  // Of a constructor: the language runs the calls by itself, see Language::serve.
  bool serves_calls = false;
  // The instance asked that its actor end (kiln::ExitActor); with or without an error.
  bool actor_exits = false;
};

// Blocks: as long as the function runs.
// Returns: an outcome in every case; error kinds are
//   kTaskFailed        the function threw; type is what it threw
//   kCancelled         the token was set and the function threw TaskCancelledError
//   kInvalidArguments  the arguments or num_returns do not fit the function
//   kFunctionNotFound  no such library or function, or two of that name
//   any other          the function let an error of kiln pass: of a Get (then this task is added to
//                      its chain) or its own, such as a full store
Outcome Invoke(const Invocation& invocation);

}  // namespace kiln::worker
