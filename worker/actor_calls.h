// Calls of an actor whose language runs several at a time by itself, as an event loop does.
//
// Thread: see each.
// Owner:  Executor.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/ids.h"
#include "worker/invoke.h"

namespace kiln::worker {

// A call that was taken and is to be finished once.
class ActorCall {
 public:
  virtual ~ActorCall() = default;
  // Stays as it is until Finish. Its token is set by a cancellation, see ActorCalls::TakeCancelled.
  virtual const Invocation& invocation() const = 0;
  // One of ActorOptions.concurrency_groups; empty: the default one.
  virtual const std::string& concurrency_group() const = 0;
  // Reports how it went. Thread: any.
  virtual void Finish(Outcome outcome) = 0;
};

class ActorCalls {
 public:
  virtual ~ActorCalls() = default;
  // An eventfd that is readable when there is something to take, or all is over. Take resets it.
  virtual int fd() const = 0;
  // Returns: calls in the order in which they are to be begun.
  virtual std::vector<std::shared_ptr<ActorCall>> Take() = 0;
  // Returns: calls that were taken and that somebody has cancelled since the last time.
  virtual std::vector<TaskId> TakeCancelled() = 0;
  // The session has ended: nothing is to be taken any more, and Finish has no effect.
  virtual bool over() const = 0;
};

}  // namespace kiln::worker
