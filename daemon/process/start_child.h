// Starts one process in the keeper: fork, set up, execute.
//
// Not posix_spawn, which cannot set PR_SET_PDEATHSIG; the keeper is small and has one thread, so a
// fork is cheap and everything may be called after it.
//
// Thread: the keeper's only one.
#pragma once

#include <sys/types.h>

#include "daemon/process/keeper_wire.h"
#include "daemon/process/unique_fd.h"

namespace kiln::process {

// Why a process could not be started.
struct StartFailure {
  StartStep step = StartStep::kPrepare;
  int32_t error_number = 0;  // errno
};

// A process on its way to its program.
struct StartedChild {
  pid_t pid = 0;
  // Read end of its output, non-blocking.
  UniqueFd output;
  // Ends when the program runs; holds a StartFailure if it does not. Non-blocking.
  UniqueFd status;
};

// `server_fd`: the child's end of a fork server's socket, which it finds at kForkServerSocket;
// stays the caller's; -1: none. Errors: `failure`, with pid 0. Requires: descriptors 0 to 2 are
// open; the caller has blocked all signals.
StartedChild StartChild(const LaunchSpec& spec, int server_fd, StartFailure* failure);

// A pipe whose reader does not block. Returns: false, with errno.
bool MakeOutputPipe(UniqueFd* reader, UniqueFd* writer);

}  // namespace kiln::process
