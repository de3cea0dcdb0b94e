#include "daemon/process/fork_servers.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "common/log.h"
#include "daemon/process/environment.h"

namespace kiln::process {

ForkServers::ForkServers(EventLoop* loop, Keeper* keeper, ForkServersOptions options, Ended ended)
    : loop_(loop), keeper_(keeper), options_(std::move(options)), ended_(std::move(ended)) {
  RemoveLogs(options_.log_dir, "fork-server-");
}

ForkServers::~ForkServers() = default;

ForkServers::Server ForkServers::Find(const Program& program) {
  Key key{program.executable, program.args, program.env};
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    servers_.at(found->second).last_use = ++last_use_;
    return found->second;
  }
  LaunchSpec spec;
  spec.executable = program.executable;
  spec.args = program.args;
  spec.env = program.env;
  RemoveVariable(&spec.env, "KILN_WORKER");  // of a head that a worker has started
  for (const std::string& variable : options_.env) {
    const size_t equals = variable.find('=');
    SetVariable(&spec.env, variable.substr(0, equals), variable.substr(equals + 1));
  }
  spec.working_dir = "/";  // it serves programs of any
  spec.own_session = true;
  spec.fork_server = true;
  const Server server = keeper_->Launch(spec);
  Record& record = servers_[server];
  record.key = key;
  record.last_use = ++last_use_;
  record.started_at = Clock::now();
  const std::string log = "/fork-server-" + std::to_string(++last_log_) + ".log";
  record.log = std::make_unique<OutputLog>(
      loop_, options_.log_dir + log,
      OutputLog::Callbacks{{}, [](const std::vector<std::string>&) {}});  // its LastLines are kept
  by_key_.emplace(std::move(key), server);
  EndIdle();
  return server;
}

void ForkServers::Use(Server server) {
  ++servers_.at(server).users;
}

void ForkServers::Drop(Server server) {
  const auto found = servers_.find(server);
  if (found == servers_.end()) return;
  --found->second.users;
  EndIdle();
}

void ForkServers::OnGivenUp(Server server) {
  const auto found = servers_.find(server);
  if (found == servers_.end() || found->second.proven) return;
  if (Clock::now() - found->second.started_at >= limits::kWorkerStartTimeout) End(server);
}

void ForkServers::Forget(Server server) {
  const auto at = by_key_.find(servers_.at(server).key);
  if (at != by_key_.end() && at->second == server) by_key_.erase(at);
}

void ForkServers::End(Server server) {
  Forget(server);
  keeper_->Signal(server, SIGKILL, true);
}

void ForkServers::EndIdle() {
  std::vector<std::pair<uint64_t, Server>> idle;
  for (const auto& [key, server] : by_key_) {
    const Record& record = servers_.at(server);
    if (record.users == 0) idle.emplace_back(record.last_use, server);
  }
  std::sort(idle.begin(), idle.end());
  for (size_t i = 0; i + limits::kIdleForkServers < idle.size(); ++i) End(idle[i].second);
}

bool ForkServers::OnStarted(Keeper::LaunchId launch, pid_t pid, int output_fd) {
  const auto found = servers_.find(launch);
  if (found == servers_.end()) return false;
  found->second.log->Attach(output_fd);
  log::Info("event=fork_server_started pid={} log={}", pid, found->second.log->path());
  return true;
}

bool ForkServers::OnExited(Keeper::LaunchId launch, const ExitReport& report) {
  const auto found = servers_.find(launch);
  if (found == servers_.end()) return false;
  Forget(launch);
  Record record = std::move(found->second);
  servers_.erase(found);
  record.log->Drain();
  const std::string how = WithLastOutput(Describe(report), record.log->LastLines());
  log::Info("event=fork_server_ended log={} reason=\"{}\"", record.log->path(), how);
  ended_logs_.push_back(std::move(record.log));
  if (ended_logs_.size() > options_.logs_kept) {
    ended_logs_.front()->Remove();
    ended_logs_.pop_front();
  }
  ended_(launch, how);
  return true;
}

void ForkServers::OnForked(Server server) {
  const auto found = servers_.find(server);
  if (found != servers_.end()) found->second.proven = true;
}

}  // namespace kiln::process
