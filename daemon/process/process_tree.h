// The processes below one of ours, as /proc tells.
//
// Thread: any; plain functions.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace kiln::process {

struct ProcessEntry {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  bool zombie = false;
};

// Returns: every process there is, in no order.
std::vector<ProcessEntry> ListProcesses();

// Returns: every process below `root`, without it, in no order.
std::vector<ProcessEntry> DescendantsOf(pid_t root);

// True if `pid` runs; false also for one that has ended and was not reaped.
bool IsAlive(pid_t pid);

// True if the environment that `pid` was started with has exactly this NAME=VALUE. Returns: nothing
// if it shows none: it is being executed, is ending, or has an empty one.
std::optional<bool> WasStartedWith(pid_t pid, const std::string& variable);

// Kills and reaps every descendant of this process. A subreaper gets them all, for the children of
// the killed come back to it.
// Blocks: until none is left, at most 5 s (a process in an uninterruptible system call).
void KillDescendants();

}  // namespace kiln::process
