// kiln-head: reads its options, takes the session directory, becomes a daemon, and runs the loop.
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>

#include "common/event_loop.h"
#include "common/limits.h"
#include "common/log.h"
#include "daemon/head.h"
#include "daemon/options.h"
#include "daemon/process/cpu_count.h"
#include "daemon/process/daemonize.h"
#include "daemon/process/keeper.h"
#include "daemon/process/memory.h"

namespace kiln {
namespace {

// Part of the available memory that the store takes by default, as Ray's.
constexpr double kStoreShare = 0.3;

// Turns arguments into options, with defaults from the machine.
// Errors: InvalidArgument or ResourceExhausted (a store that is too small or too large).
Result<HeadOptions> ToOptions(const HeadArguments& arguments, const SessionPaths& paths) {
  HeadOptions options;
  options.paths = paths;
  options.listen = arguments.listen;
  options.num_workers = arguments.num_cpus > 0 ? arguments.num_cpus : process::AvailableCpus();
  uint64_t available = process::AvailableMemoryBytes();
  uint64_t store_bytes = arguments.store_bytes > 0
                             ? arguments.store_bytes
                             : static_cast<uint64_t>(static_cast<double>(available) * kStoreShare);
  if (store_bytes < limits::kMinStoreBytes) {
    return Status(Code::kInvalidArgument,
                  "an object store of " + std::to_string(store_bytes) +
                      " bytes is too small; --object-store-memory must be at least " +
                      std::to_string(limits::kMinStoreBytes));
  }
  if (store_bytes > available) {
    return Status(Code::kResourceExhausted,
                  "an object store of " + std::to_string(store_bytes) +
                      " bytes was asked for, but only " + std::to_string(available) +
                      " bytes of memory are available; choose a smaller --object-store-memory");
  }
  options.store = {store_bytes, paths.store_socket, arguments.store_pages,
                   arguments.store_prefault_bytes};
  options.total = core::Resources(options.num_workers, available);
  for (const auto& [name, amount] : arguments.resources) options.total.SetCustom(name, amount);
  return options;
}

// SIGTERM and SIGINT stop the head as `kiln stop` does, a second one at once.
void WatchSignals(EventLoop* loop, Head* head) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  loop->Watch(fd, [fd, head, count = 0]() mutable {
    signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == sizeof info) {
      head->Stop(count++ == 0 ? limits::kStopGrace : Duration(0), "the head got a signal to stop");
    }
  });
}

void BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int RunHead(const HeadArguments& arguments) {
  // Ours alone, so that its hang-up means what it says; the daemon keeps only such descriptors.
  if (arguments.owner_fd >= 0) fcntl(arguments.owner_fd, F_SETFD, FD_CLOEXEC);
  Result<log::Level> level = log::ParseLevel(arguments.log_level);
  std::string dir = arguments.session_dir.empty() ? DefaultSessionDir() : arguments.session_dir;
  process::ReadyPipe early(arguments.answer_fd >= 0 ? arguments.answer_fd : STDERR_FILENO);
  if (!level.ok()) return early.Failed(level.status()), 1;
  Result<process::SessionLock> lock = process::SessionLock::Acquire(dir);
  if (!lock.ok()) return early.Failed(lock.status()), 1;
  const SessionPaths paths = lock->paths();
  Result<HeadOptions> options = ToOptions(arguments, paths);
  if (!options.ok()) return early.Failed(options.status()), 1;

  process::ReadyPipe pipe =
      arguments.block ? early : process::Daemonize(arguments.answer_fd, paths.logs + "/head.err");
  lock->WritePid();
  if (Status status = log::Open(paths.logs + "/head.log", *level); !status.ok()) {
    return pipe.Failed(status), 1;
  }
  BlockSignals();
  EventLoop loop;
  Result<std::unique_ptr<Head>> head = Head::Start(&loop, std::move(*options));
  if (!head.ok()) {
    log::Error("event=head_failed reason=\"{}\"", head.status().message());
    return pipe.Failed(head.status()), 1;
  }
  WatchSignals(&loop, head->get());
  if (arguments.owner_fd >= 0) {
    loop.Watch(arguments.owner_fd, [&loop, &head, fd = arguments.owner_fd] {
      loop.Unwatch(fd);
      (*head)->Stop(Duration(0), "the program that started this head has ended");
    });
  }
  if (Status status = lock->Publish((*head)->info()); !status.ok()) return pipe.Failed(status), 1;
  pipe.Ready((*head)->info());
  loop.Run();
  head->reset();
  log::Flush();
  if (arguments.owner_fd >= 0) {
    // Nobody else will: the program it was started for may have been killed.
    std::error_code error;
    std::filesystem::remove_all(paths.dir, error);
  }
  return 0;
}

}  // namespace
}  // namespace kiln

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--keeper") == 0) {
    return kiln::process::RunKeeper(std::atoi(argv[2]));
  }
  return kiln::RunHead(kiln::ParseArguments(argc, argv));
}
