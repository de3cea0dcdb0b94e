// How the keeper starts processes: by executing a program, or by having a fork server fork.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "common/fork_server.h"
#include "daemon/process/keeper_process.h"

namespace kiln::process {

void KeeperProcess::OnLaunch(uint64_t id, int spec_fd) {
  std::optional<LaunchSpec> spec = DecodeLaunchSpec(spec_fd);
  if (!spec) return TellNotStarted(id, StartStep::kPrepare, EINVAL);
  const std::string server_name = std::string(kForkServerVariable) + "=";
  std::erase_if(spec->env, [&](const std::string& item) {
    return item.starts_with(kMarkName) || item.starts_with(server_name);
  });
  const std::string mark = mark_prefix_ + std::to_string(id);
  spec->env.push_back(mark);
  if (spec->fork_of != 0) return OnFork(id, std::move(*spec));

  int ends[2] = {-1, -1};
  if (spec->fork_server) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      return TellNotStarted(id, StartStep::kPrepare, errno);
    }
    spec->env.push_back(server_name + std::to_string(kForkServerSocket));
  }
  UniqueFd ours(ends[0]);
  const UniqueFd servers(ends[1]);
  Launched launch;
  launch.own_session = spec->own_session;
  launch.mark = mark;
  StartFailure failure;
  launch.child = StartChild(*spec, servers.get(), &failure);
  if (launch.child.pid == 0) return TellNotStarted(id, failure.step, failure.error_number);
  if (spec->fork_server) forks_.AddServer(id, std::move(ours));
  launches_.emplace(id, std::move(launch));
}

void KeeperProcess::OnFork(uint64_t id, LaunchSpec spec) {
  if (!forks_.HasServer(spec.fork_of)) return TellNotStarted(id, StartStep::kForkServer, 0);
  Launched launch;
  launch.fork_of = spec.fork_of;
  launch.own_session = true;
  launch.mark = spec.env.back();
  ForkOrder order;
  order.env = std::move(spec.env);
  order.working_dir = std::move(spec.working_dir);
  order.setup = std::move(spec.setup);
  order.umask = spec.umask;
  order.keeper = getpid();
  UniqueFd output;
  UniqueFd file(EncodeForkOrder(order));
  if (!file.valid() || !MakeOutputPipe(&launch.child.output, &output)) {
    return TellNotStarted(id, StartStep::kPrepare, errno);
  }
  forks_.Add(launch.fork_of, id, std::move(output), std::move(file));
  launches_.emplace(id, std::move(launch));
  forks_.Send();
}

void KeeperProcess::ReadForkServers() {
  for (const uint64_t server : forks_.Servers()) ReadForkServer(server);
  forks_.Send();
  KillStuckServers();
  if (!forks_.any_sent()) reaped_.clear();
}

void KeeperProcess::ReadForkServer(uint64_t server) {
  for (const ForkAnswer& answer : forks_.Receive(server)) OnForked(answer);
}

void KeeperProcess::OnForked(const ForkAnswer& answer) {
  const auto found = launches_.find(answer.launch);
  if (found == launches_.end()) return;
  Launched& launch = found->second;
  if (answer.pid <= 1) {
    const bool chdir_failed = answer.step == ForkStep::kWorkingDir;
    TellNotStarted(answer.launch, chdir_failed ? StartStep::kWorkingDir : StartStep::kPrepare,
                   answer.error_number);
    launches_.erase(found);
    return;
  }
  launch.child.pid = answer.pid;
  Message message = MakeMessage(MessageKind::kStarted, answer.launch);
  message.pid = answer.pid;
  Tell(message, std::move(launch.child.output));
  const auto reaped = reaped_.find(answer.pid);
  if (reaped != reaped_.end() &&
      reaped->second.at.time_since_epoch() >= std::chrono::nanoseconds(answer.forked_ns)) {
    SetEnded(launch, reaped->second.wait_status);
    ++ended_;
    reaped_.erase(reaped);
  }
  for (const auto& [signal, group] : std::exchange(launch.signals, {})) {
    SendSignal(found, signal, group);
  }
}

void KeeperProcess::EndForkServer(uint64_t server) {
  for (const uint64_t launch : forks_.RemoveServer(server)) {
    if (launches_.erase(launch) == 1) TellNotStarted(launch, StartStep::kForkServer, 0);
  }
}

void KeeperProcess::KillStuckServers() {
  for (const uint64_t server : forks_.Stuck(Clock::now())) {
    const auto found = launches_.find(server);
    if (found != launches_.end() && !found->second.ended) kill(found->second.child.pid, SIGKILL);
  }
}

void KeeperProcess::TellNotStarted(uint64_t id, StartStep step, int error_number) {
  Message message = MakeMessage(MessageKind::kNotStarted, id);
  message.step = step;
  message.error_number = error_number;
  Tell(message);
}

KeeperProcess::Launches::iterator KeeperProcess::FinishStart(Launches::iterator launch) {
  const uint64_t id = launch->first;
  StartedChild& child = launch->second.child;
  StartFailure failure;
  const ssize_t count = read(child.status.get(), &failure, sizeof failure);
  if (count < 0) return std::next(launch);  // not yet
  child.status.Reset();
  if (count == 0) {
    Message message = MakeMessage(MessageKind::kStarted, id);
    message.pid = child.pid;
    Tell(message, std::move(child.output));
    return std::next(launch);
  }
  TellNotStarted(id, failure.step, failure.error_number);
  if (launch->second.ended) --ended_;
  EndForkServer(id);
  return launches_.erase(launch);  // Reap takes it for any other orphan
}

}  // namespace kiln::process
