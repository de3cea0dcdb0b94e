#include "client/cli/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

#include "client/cli/exit_codes.h"

namespace kiln::cli {
namespace {

void Raise(int event_fd) {
  eventfd_write(event_fd, 1);
}

}  // namespace

Interrupt::Interrupt(std::initializer_list<int> signals) {
  sigemptyset(&signals_);
  for (int signal : signals) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_, &previous_);
  signal_fd_ = signalfd(-1, &signals_, SFD_CLOEXEC);
  raised_fd_ = eventfd(0, EFD_CLOEXEC);
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this] { Watch(); });
}

Interrupt::~Interrupt() {
  Raise(stop_fd_);
  thread_.join();
  close(signal_fd_);
  close(raised_fd_);
  close(stop_fd_);
  pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
}

void Interrupt::Watch() {
  while (true) {
    pollfd wait[2] = {{signal_fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
    if (poll(wait, 2, -1) < 0) continue;
    if (wait[1].revents) return;
    signalfd_siginfo info;
    if (read(signal_fd_, &info, sizeof info) != sizeof info) continue;
    if (raised_.exchange(true)) _exit(kExitInterrupt);
    Raise(raised_fd_);
    cancel_.With([](std::function<void()>& cancel) {
      if (cancel) cancel();
    });
  }
}

Interrupt::Scope::Scope(Interrupt* interrupt, std::function<void()> cancel)
    : interrupt_(interrupt) {
  interrupt_->cancel_.With([&](std::function<void()>& held) {
    held = std::move(cancel);
    if (interrupt_->raised()) held();
  });
}

Interrupt::Scope::~Scope() {
  interrupt_->cancel_.With([](std::function<void()>& held) { held = nullptr; });
}

Interrupt::Wake Interrupt::WaitReadable(int fd, int timeout_ms) {
  pollfd wait[2] = {{fd, POLLIN, 0}, {raised_fd_, POLLIN, 0}};
  while (true) {
    int n = poll(wait, 2, timeout_ms);
    if (n < 0 && errno == EINTR) continue;
    if (wait[1].revents) return Wake::kInterrupted;
    return n > 0 ? Wake::kReadable : Wake::kTimeout;
  }
}

}  // namespace kiln::cli
