// Ctrl-C while a command waits: ends the wait, never the process in the middle of a line.
//
// SIGINT (and others asked for) is blocked in every thread and read by one thread of ours, which
// may then do what no signal handler may, such as cancelling a call. A second one ends the process.
//
// Thread: construct before any other thread is started; then any.
// Owner:  the command that waits.
#pragma once

#include <atomic>
#include <csignal>
#include <functional>
#include <initializer_list>
#include <thread>

#include "common/guarded.h"

namespace kiln::cli {

class Interrupt {
 public:
  explicit Interrupt(std::initializer_list<int> signals = {SIGINT});
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool raised() const { return raised_; }

  // Calls `cancel` on Ctrl-C, or at once if it was already pressed, for the life of the scope.
  class Scope {
   public:
    Scope(Interrupt* interrupt, std::function<void()> cancel);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Interrupt* interrupt_;
  };

  // Waits until `fd` is readable or hung up. Blocks: `timeout_ms`, without end when negative.
  enum class Wake { kReadable, kTimeout, kInterrupted };
  Wake WaitReadable(int fd, int timeout_ms = -1);

 private:
  void Watch();

  sigset_t signals_;
  sigset_t previous_;
  int signal_fd_;
  int raised_fd_;  // eventfd, readable once raised
  int stop_fd_;    // eventfd, ends the thread
  std::atomic<bool> raised_ = false;
  Guarded<std::function<void()>> cancel_;  // of the one live Scope
  std::thread thread_;
};

}  // namespace kiln::cli
