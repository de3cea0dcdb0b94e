// The life of a worker process: connect, run tasks until the head ends the session.
//
// Thread: the main thread of a process the head started.
// See:    docs/architecture.md, "Workers"
#pragma once

#include <functional>
#include <memory>

#include "kiln/detail/runtime.h"
#include "worker/language.h"

namespace kiln::worker {

// True if the head started this process as a worker: KILN_WORKER is set.
bool IsWorkerProcess();

// Which tasks a worker runs, and where.
struct WorkerOptions {
  const char* language = "cpp";  // for `kiln list sessions`
  Language functions;
  // Run tasks on the thread that calls, as large as its stack is, and not on one of their own.
  bool on_this_thread = false;
  // Called with the session before the first task. May be empty.
  std::function<void(const std::shared_ptr<detail::Runtime>&)> on_connected;
};

// Requires: IsWorkerProcess().
// Blocks:   until the session has ended.
// Ends the process: exit code 0, or 1 with the reason on standard error when it could not connect.
[[noreturn]] void RunWorker(const WorkerOptions& options = {});

}  // namespace kiln::worker
