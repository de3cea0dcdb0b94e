// Calls of an actor that run beside each other: on threads of their own, or in an event loop of the
// actor's language.
//
// Thread: Add and Cancel from the reading thread.
// Owner:  Executor.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "kiln/v1/session.pb.h"
#include "worker/invoke.h"
#include "worker/language.h"
#include "worker/stream.h"

namespace kiln::worker {

// A task that was begun.
struct Running {
  TaskId id = 0;
  std::atomic<bool> cancelled{false};
  std::optional<Stream> stream = {};  // of a streaming task
  v1::Run run;
  v1::ArgList list;
  std::shared_ptr<const v1::TaskClass> task_class;
  std::vector<value::SharedBytes> arguments;
  bool readable = true;  // the arguments could be read
  Invocation invocation;
  Time start{};
};

// What the executor does with a call, whichever thread it runs on.
class CallRunner {
 public:
  virtual ~CallRunner() = default;
  // Takes the arguments in. From now on a cancellation finds it.
  virtual std::unique_ptr<Running> Begin(v1::Run run) = 0;
  // Runs and reports it on this thread.
  virtual void RunHere(Running& running) = 0;
  // Reports how it went. `more`: others follow at once.
  virtual void Report(Running& running, Outcome outcome, bool more) = 0;
  // No cancellation finds it any more. Requires: it was reported.
  virtual void End(Running& running) = 0;
};

class ConcurrentCalls {
 public:
  virtual ~ConcurrentCalls() = default;
  virtual void Add(v1::Run run, const std::string& group) = 0;
  // Takes a call out that has not begun. Returns: true if it was there.
  virtual bool Withdraw(TaskId call) = 0;
  // A call that has begun was cancelled; its token is set.
  virtual void OnCancelled(TaskId call) = 0;
  // The session has ended.
  virtual void OnOver() = 0;
};

// One queue and at most as many threads for each group as its calls may run at the same time.
// Threads are made as they are needed, and run until the process ends.
std::unique_ptr<ConcurrentCalls> MakeCallThreads(CallRunner* runner, const Language& language,
                                                 const v1::ActorOptions& options);

// For Language::serve, which is called on a thread of its own. Bounds are the language's to keep.
std::unique_ptr<ConcurrentCalls> MakeAsyncCalls(CallRunner* runner, const Language& language);

}  // namespace kiln::worker
