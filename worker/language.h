// What differs between the languages that functions are written in.
//
// Thread: see each.
#pragma once

#include <functional>
#include <string>

#include "worker/invoke.h"
#include "worker/library.h"

namespace kiln::worker {

struct Language {
  // Runs one task, on the task thread.
  std::function<Outcome(const Invocation&)> invoke = Invoke;
  // From the task thread: the library on disk is no longer what this process has loaded.
  std::function<bool(const std::string&)> is_stale = IsStale;
  // From the reading thread: a task on the stack was asked to stop. May be empty.
  std::function<void()> on_cancel;
};

}  // namespace kiln::worker
