#include "daemon/process/worker_launcher.h"

#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "common/check.h"
#include "common/log.h"
#include "daemon/process/environment.h"

namespace kiln::process {
namespace {

std::string WithLastOutput(std::string reason, const std::vector<std::string>& lines) {
  if (lines.empty()) return reason;
  reason += "; last output:";
  for (const std::string& line : lines) reason += "\n  " + line;
  return reason;
}

}  // namespace

Program LibraryHost() {
  Program host;
  host.env = OwnEnvironment();
  if (const char* binary = std::getenv("KILN_WORKER_BINARY");
      binary != nullptr && *binary != '\0') {
    host.executable = binary;
  } else {
    std::error_code error;
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
    host.executable = (self.parent_path() / "kiln-worker").string();
  }
  host.args = {host.executable};
  return host;
}

WorkerLauncher::WorkerLauncher(EventLoop* loop, Keeper* keeper, WorkerLauncherOptions options,
                               Callbacks callbacks)
    : loop_(loop), keeper_(keeper), options_(std::move(options)), callbacks_(std::move(callbacks)) {
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
  record.launch = keeper_->Launch(spec);
  by_launch_[record.launch] = worker;
}

void WorkerLauncher::Kill(WorkerId worker) {
  const auto found = workers_.find(worker);
  if (found != workers_.end()) keeper_->Signal(found->second.launch, SIGKILL, true);
}

void WorkerLauncher::ReadOutput(WorkerId worker) {
  const auto found = workers_.find(worker);
  if (found != workers_.end() && found->second.log) found->second.log->ReadNow();
}

pid_t WorkerLauncher::FindPid(WorkerId worker) const {
  const auto found = workers_.find(worker);
  return found == workers_.end() ? 0 : found->second.pid;
}

bool WorkerLauncher::OnStarted(Keeper::LaunchId launch, pid_t pid, int output_fd) {
  const auto found = by_launch_.find(launch);
  if (found == by_launch_.end()) return false;
  Worker& worker = workers_.at(found->second);
  worker.pid = pid;
  worker.log->Attach(output_fd);
  log::Info("event=worker_started worker={} pid={} program={}", found->second, pid, worker.program);
  if (callbacks_.started) callbacks_.started(found->second, pid);
  return true;
}

bool WorkerLauncher::OnExited(Keeper::LaunchId launch, const ExitReport& report) {
  const auto found = by_launch_.find(launch);
  if (found == by_launch_.end()) return false;
  Lose(found->second, Describe(report));
  return true;
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
  callbacks_.lost(id, reason);
}

}  // namespace kiln::process
