// Runs jobs: from the record of a submitted one to its end, with its log.
//
// The core decides when a job starts, for it counts the CPUs; this does it. A job is a session of
// its own (setsid); when it ends, by itself or stopped, all its processes are ended with it.
// Its environment has KILN_ADDRESS, KILN_SESSION_DIR and KILN_JOB_ID, so that a driver in it
// connects to this head.
//
// Thread: head loop only.
// Owner:  Head.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "common/event_loop.h"
#include "common/limits.h"
#include "common/status.h"
#include "daemon/process/job.h"
#include "daemon/process/keeper.h"
#include "daemon/process/output_log.h"

namespace kiln::process {

struct JobRunnerOptions {
  std::string log_dir;      // logs of jobs of an earlier head are removed from it
  std::string address;      // KILN_ADDRESS of the jobs
  std::string session_dir;  // KILN_SESSION_DIR of the jobs
  size_t max_active = limits::kMaxActiveJobs;
  size_t ended_kept = limits::kEndedJobsKept;
};

class JobRunner {
 public:
  // A job ended, whatever way; its record is there until the next event. For Core::OnJobEnded.
  using Ended = std::function<void(const Job&)>;
  using FollowerId = uint64_t;  // 0 is none

  // One piece of a job's log.
  struct LogPart {
    std::string data;
    uint64_t next_offset = 0;  // where to go on; above offset + data.size() if the log was rotated
    bool at_end = false;       // nothing more for now
    bool complete = false;     // nothing more ever: the job has ended and this was all
  };

  // `keeper` must live as long.
  JobRunner(EventLoop* loop, Keeper* keeper, JobRunnerOptions options, Ended ended);
  ~JobRunner();

  // Records a job, pending.
  // Errors: InvalidArgument (no command, a variable without name, a working directory that is not
  //         absolute or not there), ResourceExhausted (too many active jobs).
  Result<JobId> Submit(JobSpec spec);
  // Forgets a job that the core refused.
  // Requires: it was not started.
  void Withdraw(JobId id);
  // Starts a pending job: decision StartJob. One stopped meanwhile is ignored. A job that cannot be
  // started ends as kFailed, as in a shell: 127 (command not found) or 126.
  void Start(JobId id);
  // SIGTERM to all of the job, SIGKILL after `grace`; a pending one ends at once. `stopped` is
  // called with the job as it ended, at once if it has already. Of several calls the shortest grace
  // counts. Errors: NotFound.
  Status Stop(JobId id, Duration grace, Ended stopped);

  // Returns: nothing if unknown; valid until the next event.
  const Job* Find(JobId id) const;
  // Newest first.
  std::vector<const Job*> List() const;
  // Pending or running.
  size_t active() const { return active_; }

  // Reads at most `most` bytes of the log from `offset` on; a follower begins at 0 and goes on at
  // next_offset, at its own speed, so nothing is lost (but to rotation) and nothing comes twice.
  // Errors: NotFound.
  Result<LogPart> ReadLog(JobId id, uint64_t offset, size_t most) const;
  // Calls `news` whenever there is more to read and when the job has ended, until Unfollow. Read
  // first: what is there already is no news. `news` may call anything here.
  // Errors: NotFound.
  Result<FollowerId> Follow(JobId id, std::function<void()> news);
  // Safe for an unknown follower.
  void Unfollow(JobId id, FollowerId follower);

  // Events of the keeper. Each returns false if the launch is no job's.
  bool OnStarted(Keeper::LaunchId launch, pid_t pid, int output_fd);
  bool OnExited(Keeper::LaunchId launch, const ExitReport& report);

 private:
  struct Record {
    Job job;
    JobSpec spec;  // until it is started
    Keeper::LaunchId launch = 0;
    std::unique_ptr<OutputLog> log;
    std::map<FollowerId, std::shared_ptr<std::function<void()>>> followers;
    std::vector<Ended> stopped;  // who waits for the end
    bool stopping = false;
    Time kill_at = kNever;  // with stopping
    EventLoop::TimerId kill_timer = 0;
  };

  Record* FindRecord(JobId id);
  Status CheckSpec(const JobSpec& spec) const;
  std::vector<std::string> EnvironmentOf(const Record& record) const;
  // The only place that changes a state.
  void Move(Record* record, JobState to);
  void End(Record* record, JobState state, int exit_code, std::string message);
  void TellFollowers(JobId id);
  void ForgetOldest();

  EventLoop* loop_;
  Keeper* keeper_;
  JobRunnerOptions options_;
  Ended ended_;
  std::map<JobId, Record> jobs_;                           // by age
  std::unordered_map<Keeper::LaunchId, JobId> by_launch_;  // started and not ended
  JobId next_job_ = 1;
  FollowerId next_follower_ = 1;
  size_t active_ = 0;
};

}  // namespace kiln::process
