#include "daemon/process/job.h"

#include <charconv>

namespace kiln::process {
namespace {

constexpr std::string_view kPrefix = "job-";

struct Transition {
  JobState from;
  JobState to;
};
constexpr Transition kTransitions[] = {
    {JobState::kPending, JobState::kRunning}, {JobState::kPending, JobState::kFailed},
    {JobState::kPending, JobState::kStopped}, {JobState::kRunning, JobState::kSucceeded},
    {JobState::kRunning, JobState::kFailed},  {JobState::kRunning, JobState::kStopped},
};

}  // namespace

std::string_view Name(JobState state) {
  switch (state) {
    case JobState::kPending:
      return "PENDING";
    case JobState::kRunning:
      return "RUNNING";
    case JobState::kSucceeded:
      return "SUCCEEDED";
    case JobState::kFailed:
      return "FAILED";
    case JobState::kStopped:
      return "STOPPED";
  }
  return "?";
}

bool CanMove(JobState from, JobState to) {
  for (const Transition& transition : kTransitions) {
    if (transition.from == from && transition.to == to) return true;
  }
  return false;
}

std::string FormatJobId(JobId id) {
  return std::string(kPrefix) + std::to_string(id);
}

std::optional<JobId> ParseJobId(std::string_view text) {
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  JobId id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (id == 0 || text.front() == '0') return std::nullopt;
  return id;
}

}  // namespace kiln::process
