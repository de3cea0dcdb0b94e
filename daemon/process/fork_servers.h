// The head's fork servers: one for each interpreter, started on first need, a few kept idle.
//
// A server is started for an executable with its arguments and environment; directory and setup are
// told each worker. It is no worker itself: its output goes to a log of its own, and when it ends
// without having made a worker, that output is the reason why the worker is lost.
//
// Thread: head loop only.
// Owner:  WorkerLauncher.
// See:    common/fork_server.h; D32 in docs/decisions.md.
#pragma once

#include <sys/types.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "common/clock.h"
#include "common/event_loop.h"
#include "daemon/process/keeper.h"
#include "daemon/process/output_log.h"
#include "daemon/process/program.h"

namespace kiln::process {

struct ForkServersOptions {
  std::string log_dir;           // fork-server-N.log; those of an earlier head are removed from it
  std::vector<std::string> env;  // NAME=VALUE, set on top of the program's
  size_t logs_kept;              // of ended servers
};

class ForkServers {
 public:
  using Server = Keeper::LaunchId;

  // `ended`: a server is gone, with how and its last output. It is not used any more, and orders
  // that it did not carry out fail next.
  using Ended = std::function<void(Server, const std::string& how)>;

  // `keeper` must live as long.
  ForkServers(EventLoop* loop, Keeper* keeper, ForkServersOptions options, Ended ended);
  ~ForkServers();

  // Returns: the server of the program, started if there is none.
  Server Find(const Program& program);
  // A worker is ordered of the server; each call is to be met by a Drop. One that nobody uses is
  // idle: at most limits::kIdleForkServers are, those not used for the longest end.
  void Use(Server server);
  // The worker has ended. Ignored if the server has.
  void Drop(Server server);
  // A worker is given up before it started: ends a server that has never made one in all the time
  // that a worker has to start.
  void OnGivenUp(Server server);

  // Events of the keeper. Each returns false if the launch is no fork server's.
  bool OnStarted(Keeper::LaunchId launch, pid_t pid, int output_fd);
  bool OnExited(Keeper::LaunchId launch, const ExitReport& report);
  // A worker of the server runs.
  void OnForked(Server server);

 private:
  using Key = std::tuple<std::string, std::vector<std::string>, std::vector<std::string>>;
  struct Record {
    Key key;  // executable, args, env
    size_t users = 0;
    uint64_t last_use = 0;
    Time started_at{};
    bool proven = false;  // it has made a worker
    std::unique_ptr<OutputLog> log;
  };

  // No more orders, and it ends: the next need starts another one.
  void End(Server server);
  void Forget(Server server);
  void EndIdle();

  EventLoop* loop_;
  Keeper* keeper_;
  ForkServersOptions options_;
  Ended ended_;
  std::map<Server, Record> servers_;  // not reported as exited
  std::map<Key, Server> by_key_;      // of those, the ones that take orders
  uint64_t last_use_ = 0;
  uint64_t last_log_ = 0;
  std::deque<std::unique_ptr<OutputLog>> ended_logs_;  // oldest first
};

}  // namespace kiln::process
