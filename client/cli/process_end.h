// The end of a process, ours or not, awaited without polling.
//
// Thread: one.
// Owner:  a command.
#pragma once

#include <sys/types.h>

#include "client/cli/interrupt.h"
#include "common/clock.h"

namespace kiln::cli {

inline constexpr milliseconds kForever{-1};

class ProcessEnd {
 public:
  // Holds on to the process: its id cannot be given to another one unnoticed from now on.
  explicit ProcessEnd(pid_t pid);
  ~ProcessEnd();
  ProcessEnd(const ProcessEnd&) = delete;
  ProcessEnd& operator=(const ProcessEnd&) = delete;

  // There was no such process.
  bool gone() const { return fd_ < 0; }
  // Sends a signal to exactly this process. Returns: false if it could not be.
  bool Signal(int signal) const;

  enum class Outcome { kEnded, kTimeout, kInterrupted };
  Outcome Wait(Interrupt& interrupt, milliseconds patience) const;

 private:
  int fd_;  // pidfd
};

}  // namespace kiln::cli
