// A job as the head knows it; proto/kiln/v1/job.proto without protobuf.
//
// Thread: plain data.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/ids.h"

namespace kiln::process {

// Numbers are those of the proto.
enum class JobState {
  kPending = 1,  // waits for its CPUs. Left by the start: kRunning, or kFailed if it cannot start;
                 // by Stop: kStopped
  kRunning = 2,  // left by the end of its process: kSucceeded, kFailed, kStopped
  kSucceeded = 3,  // final
  kFailed = 4,     // final
  kStopped = 5,    // final
};
// "PENDING", ...
std::string_view Name(JobState state);
// The table in docs/scheduling.md.
bool CanMove(JobState from, JobState to);
inline bool HasEnded(JobState state) {
  return state >= JobState::kSucceeded;
}

// What to run.
struct JobSpec {
  std::vector<std::string> command;        // run without a shell; the first word searched in PATH
  std::string name;                        // empty: the command's first word
  double num_cpus = 0;                     // for the record; the core counts them
  std::map<std::string, std::string> env;  // on top of base_env
  std::vector<std::string> base_env;       // NAME=VALUE; empty: the head's own
  std::string working_dir;                 // absolute; empty: the head's own
};

struct Job {
  JobId id = 0;
  std::string name;
  std::vector<std::string> command;
  JobState state = JobState::kPending;
  int exit_code = 0;  // 128 + signal when a signal ended it; 127, 126 when it could not be started
  std::string message;  // why it failed
  pid_t pid = 0;
  int64_t submitted_ms = 0;  // since the epoch; 0: not yet
  int64_t started_ms = 0;
  int64_t ended_ms = 0;
  double num_cpus = 0;
  std::string log_path;
};

// "job-7".
std::string FormatJobId(JobId id);
// Returns: nothing unless `text` is what FormatJobId writes.
std::optional<JobId> ParseJobId(std::string_view text);

}  // namespace kiln::process
