// The life of a worker process: connect, run tasks until the head ends the session.
//
// Thread: the main thread of a process the head started.
// See:    docs/architecture.md, "Workers"
#pragma once

namespace kiln::worker {

// True if the head started this process as a worker: KILN_WORKER is set.
bool IsWorkerProcess();

// Requires: IsWorkerProcess().
// Blocks:   until the session has ended.
// Ends the process: exit code 0, or 1 with the reason on standard error when it could not connect.
[[noreturn]] void RunWorker();

}  // namespace kiln::worker
