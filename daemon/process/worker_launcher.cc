#include "daemon/process/worker_launcher.h"

#include <signal.h>

#include <utility>

#include "common/check.h"
#include "common/log.h"
#include "daemon/process/environment.h"

namespace kiln::process {

WorkerLauncher::WorkerLauncher(EventLoop* loop, Keeper* keeper, WorkerLauncherOptions options,
                               Callbacks callbacks)
    : loop_(loop),
      keeper_(keeper),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      servers_(loop, keeper,
               {options_.log_dir,
                {"KILN_ADDRESS=" + options_.address, "KILN_SESSION_DIR=" + options_.session_dir},
                options_.logs_kept},
               [this](ForkServers::Server server, const std::string& how) {
                 OnServerEnded(server, how);
               }) {
  RemoveLogs(options_.log_dir, "worker-");
  programs_[core::kLibraryHost] = Interned{options_.library_host, 1};
}

WorkerLauncher::~WorkerLauncher() = default;

core::ProgramId WorkerLauncher::Intern(Program program) {
  const auto [found, is_new] = by_content_.emplace(std::move(program), next_program_);
  if (is_new) programs_[next_program_++] = Interned{found->first, 0};
  ++programs_[found->second].uses;
  return found->second;
}

void WorkerLauncher::Release(core::ProgramId id) {
  if (id != core::kLibraryHost) Drop(id);
}

void WorkerLauncher::Drop(core::ProgramId id) {
  const auto found = programs_.find(id);
  if (found == programs_.end() || --found->second.uses > 0) return;
  by_content_.erase(found->second.program);
  programs_.erase(found);
}

core::ProgramId WorkerLauncher::PythonHost(const std::string& root) {
  const auto [found, is_new] = python_hosts_.emplace(root, core::ProgramId{});
  if (is_new) found->second = Intern(process::PythonHost(root));
  return found->second;
}

void WorkerLauncher::Warm(core::ProgramId id) {
  const Program* program = FindProgram(id);
  if (program != nullptr && program->fork_server) servers_.Find(*program);
}

const Program* WorkerLauncher::FindProgram(core::ProgramId id) const {
  const auto found = programs_.find(id);
  return found == programs_.end() ? nullptr : &found->second.program;
}

void WorkerLauncher::Start(WorkerId worker, core::ProgramId program_id) {
  Require(!workers_.contains(worker), "a worker is started twice");
  const auto program = programs_.find(program_id);
  if (program == programs_.end()) {
    loop_->Post([this, worker, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) callbacks_.lost(worker, "its program is gone: the driver has left");
    });
    return;
  }
  LaunchSpec spec;
  spec.executable = program->second.program.executable;
  spec.args = program->second.program.args;
  spec.env = program->second.program.env;
  spec.working_dir = program->second.program.cwd;
  spec.own_session = true;  // so that what its tasks start can be ended with it
  SetVariable(&spec.env, "KILN_WORKER", std::to_string(worker));
  SetVariable(&spec.env, "KILN_ADDRESS", options_.address);
  SetVariable(&spec.env, "KILN_SESSION_DIR", options_.session_dir);
  ++program->second.uses;
  Worker& record = workers_[worker];
  record.program = program_id;
  record.log = std::make_unique<OutputLog>(
      loop_, options_.log_dir + "/worker-" + std::to_string(worker) + ".log",
      OutputLog::Callbacks{{}, [this, worker](std::vector<std::string> lines) {
                             if (callbacks_.lines) callbacks_.lines(worker, std::move(lines));
                           }});
  if (program->second.program.fork_server) {
    record.server = servers_.Find(program->second.program);
    servers_.Use(record.server);
    spec.fork_of = record.server;
    spec.setup = program->second.program.setup;
  }
  record.launch = keeper_->Launch(spec);
  by_launch_[record.launch] = worker;
}

void WorkerLauncher::Kill(WorkerId worker) {
  const auto found = workers_.find(worker);
  if (found == workers_.end()) return;
  keeper_->Signal(found->second.launch, SIGKILL, true);
  if (found->second.server != 0 && found->second.pid == 0) servers_.OnGivenUp(found->second.server);
}

void WorkerLauncher::ReadOutput(WorkerId worker) {
  const auto found = workers_.find(worker);
  if (found != workers_.end() && found->second.log) found->second.log->ReadNow();
}

void WorkerLauncher::EndLine(WorkerId worker) {
  const auto found = workers_.find(worker);
  if (found != workers_.end() && found->second.log) found->second.log->EndLine();
}

pid_t WorkerLauncher::FindPid(WorkerId worker) const {
  const auto found = workers_.find(worker);
  return found == workers_.end() ? 0 : found->second.pid;
}

bool WorkerLauncher::OnStarted(Keeper::LaunchId launch, pid_t pid, int output_fd) {
  const auto found = by_launch_.find(launch);
  if (found == by_launch_.end()) return servers_.OnStarted(launch, pid, output_fd);
  Worker& worker = workers_.at(found->second);
  worker.pid = pid;
  if (worker.server != 0) servers_.OnForked(worker.server);
  worker.log->Attach(output_fd);
  log::Info("event=worker_started worker={} pid={} program={}", found->second, pid, worker.program);
  if (callbacks_.started) callbacks_.started(found->second, pid);
  return true;
}

bool WorkerLauncher::OnExited(Keeper::LaunchId launch, const ExitReport& report) {
  const auto found = by_launch_.find(launch);
  if (found == by_launch_.end()) return servers_.OnExited(launch, report);
  const Worker& worker = workers_.at(found->second);
  const bool has_reason = !report.started && !worker.server_end.empty();
  Lose(found->second, has_reason ? worker.server_end : Describe(report));
  return true;
}

void WorkerLauncher::OnServerEnded(ForkServers::Server server, const std::string& how) {
  for (auto& [id, worker] : workers_) {
    if (worker.server == server && worker.pid == 0)
      worker.server_end = "its fork server ended: " + how;
  }
}

void WorkerLauncher::Lose(WorkerId id, const std::string& how) {
  const auto found = workers_.find(id);
  found->second.log->Drain();  // calls `lines`, while the worker is still known
  Worker worker = std::move(found->second);
  workers_.erase(found);
  by_launch_.erase(worker.launch);
  const std::string reason = WithLastOutput(how, worker.log->LastLines());
  log::Info("event=worker_ended worker={} pid={} reason=\"{}\"", id, worker.pid, reason);
  ended_logs_.push_back(std::move(worker.log));
  if (ended_logs_.size() > options_.logs_kept) {
    ended_logs_.front()->Remove();
    ended_logs_.pop_front();
  }
  Drop(worker.program);
  if (worker.server != 0) servers_.Drop(worker.server);
  callbacks_.lost(id, reason);
}

}  // namespace kiln::process
