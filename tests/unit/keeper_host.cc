// A program for process tests: a keeper as kiln-head is one, and heads that can be killed.
//
//   kiln-keeper-host --keeper FD
//   kiln-keeper-host --head DIR COMMAND...      runs COMMAND under a keeper until it is killed
//   kiln-keeper-host --fork-head DIR SERVER SETUP   two forks of a fork server, likewise
//   kiln-keeper-host --daemon DIR HOW           a daemon in DIR that answers HOW and ends, or
//   serves
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "common/event_loop.h"
#include "common/session_dir.h"
#include "daemon/process/daemonize.h"
#include "daemon/process/environment.h"
#include "daemon/process/keeper.h"

namespace kiln::process {
namespace {

// Runs launches under a keeper until it is killed.
int RunHead(const std::string& dir, const std::function<void(Keeper*)>& launch) {
  Result<SessionLock> lock = SessionLock::Acquire(dir);
  if (!lock.ok()) {
    std::fprintf(stderr, "%s\n", lock.status().message().c_str());
    return 1;
  }
  const SessionPaths paths = lock->paths();
  EventLoop loop;
  Keeper::Callbacks callbacks;
  callbacks.started = [](Keeper::LaunchId, pid_t, int) {};
  callbacks.exited = [](Keeper::LaunchId, const ExitReport&) {};
  KeeperOptions options;
  options.lock = paths.lock;
  auto keeper = Keeper::Start(&loop, {paths.info, paths.head_socket}, callbacks, options);
  if (!keeper.ok()) return 1;
  HeadInfo info;
  info.pid = getpid();
  if (!lock->Publish(info).ok()) return 1;
  launch(keeper->get());
  loop.Run();
  return 0;
}

LaunchSpec SpecOf(char** command) {
  LaunchSpec spec;
  spec.executable = command[0];
  for (char** word = command; *word != nullptr; ++word) spec.args.push_back(*word);
  spec.env = OwnEnvironment();
  spec.own_session = true;
  return spec;
}

void LaunchForks(Keeper* keeper, char* server, const std::string& setup) {
  char* command[] = {server, nullptr};
  LaunchSpec spec = SpecOf(command);
  spec.fork_server = true;
  const Keeper::LaunchId id = keeper->Launch(spec);
  spec.fork_server = false;
  spec.fork_of = id;
  spec.setup = setup;
  for (int i = 0; i < 2; ++i) keeper->Launch(spec);
}

int RunDaemon(const std::string& dir, const std::string& how) {
  ReadyPipe answer(1);
  Result<SessionLock> lock = SessionLock::Acquire(dir);
  if (!lock.ok()) {
    answer.Failed(lock.status());
    return 1;
  }
  const SessionPaths paths = lock->paths();
  answer = Daemonize(1, paths.logs + "/head.out");
  lock->WritePid();
  if (how == "exit") {
    std::fprintf(stderr, "no more \xff today\n");
    std::exit(3);
  }
  if (how == "kill") raise(SIGKILL);
  if (how == "fail") {
    answer.Failed(Status(Code::kResourceExhausted, "no memory \"to\" be had"));
    return 1;
  }
  HeadInfo info;
  info.pid = getpid();
  info.session_dir = paths.dir;
  if (!lock->Publish(info).ok()) return 1;
  answer.Ready(info);
  if (how == "serve") pause();
  return 0;
}

}  // namespace
}  // namespace kiln::process

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--keeper") == 0) {
    return kiln::process::RunKeeper(std::atoi(argv[2]));
  }
  if (argc >= 4 && std::strcmp(argv[1], "--head") == 0) {
    return kiln::process::RunHead(argv[2], [&](kiln::process::Keeper* keeper) {
      keeper->Launch(kiln::process::SpecOf(argv + 3));
    });
  }
  if (argc == 5 && std::strcmp(argv[1], "--fork-head") == 0) {
    return kiln::process::RunHead(argv[2], [&](kiln::process::Keeper* keeper) {
      kiln::process::LaunchForks(keeper, argv[3], argv[4]);
    });
  }
  if (argc == 4 && std::strcmp(argv[1], "--daemon") == 0) {
    return kiln::process::RunDaemon(argv[2], argv[3]);
  }
  return 2;
}
