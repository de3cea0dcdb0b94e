// What differs between the languages that functions are written in.
//
// Thread: see each.
#pragma once

#include <functional>
#include <string>

#include "worker/actor_calls.h"
#include "worker/actor_instance.h"
#include "worker/invoke.h"
#include "worker/library.h"

namespace kiln::worker {

struct Language {
  // Runs one task, on the task thread.
  std::function<Outcome(const Invocation&)> invoke = Invoke;
  // From the task thread: the library on disk is no longer what this process has loaded.
  std::function<bool(const std::string&)> is_stale = IsStale;
  // From the reading thread: a task on the stack was asked to stop. May be empty. Not called for
  // methods of actors: they look at their token, or are told by ActorCalls.
  std::function<void()> on_cancel;
  // Runs `body`, in which a thread of an actor with max_concurrency runs calls until the process
  // ends.
  std::function<void(const std::function<void()>& body)> on_thread = [](const auto& body) {
    body();
  };
  // After a constructor whose outcome says serves_calls, from a thread of its own: runs calls until
  // they are over.
  std::function<void(ActorCalls& calls)> serve;
  // From the task thread: the actor ends, and none of its calls is under way. The last chance to
  // put things in order; killed after limits::kLeaveGrace.
  std::function<void()> on_leave = [] { TheActorInstance().End(); };
};

}  // namespace kiln::worker
