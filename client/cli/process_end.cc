#include "client/cli/process_end.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace kiln::cli {

// By number, for a C library older than the kernel.
ProcessEnd::ProcessEnd(pid_t pid) : fd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}

ProcessEnd::~ProcessEnd() {
  if (fd_ >= 0) close(fd_);
}

bool ProcessEnd::Signal(int signal) const {
  return fd_ >= 0 && syscall(SYS_pidfd_send_signal, fd_, signal, nullptr, 0) == 0;
}

ProcessEnd::Outcome ProcessEnd::Wait(Interrupt& interrupt, milliseconds patience) const {
  if (gone()) return Outcome::kEnded;
  switch (interrupt.WaitReadable(fd_, static_cast<int>(patience.count()))) {
    case Interrupt::Wake::kReadable:
      return Outcome::kEnded;
    case Interrupt::Wake::kTimeout:
      return Outcome::kTimeout;
    case Interrupt::Wake::kInterrupted:
      return Outcome::kInterrupted;
  }
  return Outcome::kTimeout;
}

}  // namespace kiln::cli
