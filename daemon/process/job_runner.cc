#include "daemon/process/job_runner.h"

#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "common/check.h"
#include "common/log.h"
#include "daemon/process/environment.h"

namespace kiln::process {
namespace {

constexpr int kSignalBase = 128;  // a shell's exit code of a process that a signal ended

Status UnknownJob(JobId id) {
  return Status(Code::kNotFound, "no job " + FormatJobId(id) +
                                     "; \"kiln job list\" shows those that are remembered");
}

bool HasNul(const std::string& text) {
  return text.find('\0') != text.npos;
}

Status Invalid(std::string message) {
  return Status(Code::kInvalidArgument, std::move(message));
}

int ExitCodeOf(const ExitReport& report) {
  return report.signal != 0 ? kSignalBase + report.signal : report.exit_code;
}

}  // namespace

JobRunner::JobRunner(EventLoop* loop, Keeper* keeper, JobRunnerOptions options, Ended ended)
    : loop_(loop), keeper_(keeper), options_(std::move(options)), ended_(std::move(ended)) {
  RemoveLogs(options_.log_dir, "job-");
}

JobRunner::~JobRunner() {
  for (auto& [id, record] : jobs_) loop_->CancelTimer(record.kill_timer);
}

Status JobRunner::CheckSpec(const JobSpec& spec) const {
  if (spec.command.empty() || spec.command[0].empty()) return Invalid("a job needs a command");
  if (std::any_of(spec.command.begin(), spec.command.end(), HasNul) ||
      std::any_of(spec.base_env.begin(), spec.base_env.end(), HasNul)) {
    return Invalid("a job's command and environment cannot hold a NUL byte");
  }
  for (const auto& [name, value] : spec.env) {
    if (name.empty() || name.find('=') != name.npos || HasNul(name) || HasNul(value)) {
      return Invalid("\"" + name + "\" cannot be the name of an environment variable");
    }
  }
  const std::string& dir = spec.working_dir;
  if (dir.empty()) return Status();
  struct stat info;
  if (dir[0] != '/' || HasNul(dir)) {
    return Invalid("the working directory \"" + dir + "\" is not an absolute path");
  }
  if (stat(dir.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return Invalid("the working directory " + dir + " is not a directory on the head's machine");
  }
  return Status();
}

Result<JobId> JobRunner::Submit(JobSpec spec) {
  if (Status status = CheckSpec(spec); !status.ok()) return status;
  if (active_ >= options_.max_active) {
    return Status(Code::kResourceExhausted,
                  "already " + std::to_string(active_) +
                      " jobs are pending or running; wait for some to end, or stop some");
  }
  const JobId id = next_job_++;
  Record& record = jobs_[id];
  record.job.id = id;
  record.job.name = spec.name.empty() ? spec.command[0] : spec.name;
  record.job.command = spec.command;
  record.job.num_cpus = spec.num_cpus;
  record.job.submitted_ms = WallMilliseconds();
  record.job.log_path = options_.log_dir + "/" + FormatJobId(id) + ".log";
  record.spec = std::move(spec);
  ++active_;
  log::Info("event=job_submitted job={} name=\"{}\"", FormatJobId(id), record.job.name);
  return id;
}

void JobRunner::Withdraw(JobId id) {
  Record* record = FindRecord(id);
  if (record == nullptr) return;
  Require(record->job.state == JobState::kPending && record->launch == 0,
          "a job that was started is withdrawn");
  --active_;
  jobs_.erase(id);
}

std::vector<std::string> JobRunner::EnvironmentOf(const Record& record) const {
  std::vector<std::string> env = record.spec.base_env;
  if (env.empty()) env = OwnEnvironment();
  for (const auto& [name, value] : record.spec.env) SetVariable(&env, name, value);
  // Whoever follows the log of a Python program wants to see its lines when they are printed.
  if (!HasVariable(env, "PYTHONUNBUFFERED")) SetVariable(&env, "PYTHONUNBUFFERED", "1");
  RemoveVariable(&env, "KILN_WORKER");  // of a worker that submitted it: a job is none
  SetVariable(&env, "KILN_ADDRESS", options_.address);
  SetVariable(&env, "KILN_SESSION_DIR", options_.session_dir);
  SetVariable(&env, "KILN_JOB_ID", FormatJobId(record.job.id));
  return env;
}

void JobRunner::Start(JobId id) {
  Record* record = FindRecord(id);
  if (record == nullptr || record->job.state != JobState::kPending || record->launch != 0) return;
  LaunchSpec launch;
  launch.executable = record->spec.command[0];
  launch.env = EnvironmentOf(*record);
  launch.args = std::move(record->spec.command);
  launch.working_dir = record->spec.working_dir;
  launch.own_session = true;
  record->spec = JobSpec();
  record->log = std::make_unique<OutputLog>(
      loop_, record->job.log_path, OutputLog::Callbacks{[this, id] { TellFollowers(id); }, {}});
  record->launch = keeper_->Launch(launch);
  by_launch_[record->launch] = id;
}

Status JobRunner::Stop(JobId id, Duration grace, Ended stopped) {
  Record* record = FindRecord(id);
  if (record == nullptr) return UnknownJob(id);
  if (HasEnded(record->job.state)) {
    const Job job = record->job;
    stopped(job);
    return Status();
  }
  record->stopped.push_back(std::move(stopped));
  if (record->launch == 0) {
    End(record, JobState::kStopped, kSignalBase + SIGTERM, "");
    return Status();
  }
  const Keeper::LaunchId launch = record->launch;
  const Time kill_at = Clock::now() + grace;
  if (!std::exchange(record->stopping, true)) keeper_->Signal(launch, SIGTERM, true);
  if (kill_at >= record->kill_at) return Status();
  loop_->CancelTimer(record->kill_timer);
  record->kill_at = kill_at;
  record->kill_timer =
      loop_->At(kill_at, [this, launch] { keeper_->Signal(launch, SIGKILL, true); });
  return Status();
}

bool JobRunner::OnStarted(Keeper::LaunchId launch, pid_t pid, int output_fd) {
  const auto found = by_launch_.find(launch);
  if (found == by_launch_.end()) return false;
  Record* record = FindRecord(found->second);
  record->job.pid = pid;
  record->job.started_ms = WallMilliseconds();
  record->log->Attach(output_fd);
  Move(record, JobState::kRunning);
  return true;
}

bool JobRunner::OnExited(Keeper::LaunchId launch, const ExitReport& report) {
  const auto found = by_launch_.find(launch);
  if (found == by_launch_.end()) return false;
  Record* record = FindRecord(found->second);
  record->log->Drain();
  if (record->stopping) {
    End(record, JobState::kStopped, ExitCodeOf(report), "");
  } else if (report.started && report.exit_code == 0) {
    End(record, JobState::kSucceeded, 0, "");
  } else {
    End(record, JobState::kFailed, ExitCodeOf(report), Describe(report));
  }
  return true;
}

void JobRunner::Move(Record* record, JobState to) {
  Job& job = record->job;
  Require(CanMove(job.state, to), "a job moves to a state it cannot reach");
  log::Info("event=job_state job={} from={} to={} pid={} exit_code={} message=\"{}\"",
            FormatJobId(job.id), Name(job.state), Name(to), job.pid, job.exit_code, job.message);
  job.state = to;
  if (HasEnded(to)) --active_;
}

void JobRunner::End(Record* record, JobState state, int exit_code, std::string message) {
  record->job.exit_code = exit_code;
  record->job.message = std::move(message);
  record->job.ended_ms = WallMilliseconds();
  Move(record, state);
  loop_->CancelTimer(record->kill_timer);
  by_launch_.erase(record->launch);
  record->spec = JobSpec();
  // What is called may end other jobs, and so make this one forgotten.
  const Job job = record->job;
  const std::vector<Ended> stopped = std::exchange(record->stopped, {});
  const auto followers = record->followers;
  ForgetOldest();
  ended_(job);
  for (const Ended& tell : stopped) tell(job);
  for (const auto& [id, news] : followers) (*news)();
}

void JobRunner::TellFollowers(JobId id) {
  const Record* record = FindRecord(id);
  const auto followers = record->followers;  // a follower may unfollow, or follow anew
  for (const auto& [follower, news] : followers) {
    if (record->followers.contains(follower)) (*news)();
  }
}

void JobRunner::ForgetOldest() {
  size_t ended = jobs_.size() - active_;
  for (auto it = jobs_.begin(); it != jobs_.end() && ended > options_.ended_kept;) {
    if (!HasEnded(it->second.job.state)) {
      ++it;
      continue;
    }
    if (it->second.log) it->second.log->Remove();
    it = jobs_.erase(it);
    --ended;
  }
}

JobRunner::Record* JobRunner::FindRecord(JobId id) {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

const Job* JobRunner::Find(JobId id) const {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second.job;
}

std::vector<const Job*> JobRunner::List() const {
  std::vector<const Job*> list;
  list.reserve(jobs_.size());
  for (auto it = jobs_.rbegin(); it != jobs_.rend(); ++it) list.push_back(&it->second.job);
  return list;
}

Result<JobRunner::LogPart> JobRunner::ReadLog(JobId id, uint64_t offset, size_t most) const {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return UnknownJob(id);
  const Record& record = found->second;
  LogPart part;
  part.next_offset = offset;
  uint64_t end = offset;
  if (record.log) {
    part.data = record.log->Read(&part.next_offset, most);
    part.next_offset += part.data.size();
    end = record.log->end_offset();
  }
  part.at_end = part.next_offset >= end;
  part.complete = part.at_end && HasEnded(record.job.state);
  return part;
}

Result<JobRunner::FollowerId> JobRunner::Follow(JobId id, std::function<void()> news) {
  Record* record = FindRecord(id);
  if (record == nullptr) return UnknownJob(id);
  const FollowerId follower = next_follower_++;
  record->followers[follower] = std::make_shared<std::function<void()>>(std::move(news));
  return follower;
}

void JobRunner::Unfollow(JobId id, FollowerId follower) {
  if (Record* record = FindRecord(id)) record->followers.erase(follower);
}

}  // namespace kiln::process
