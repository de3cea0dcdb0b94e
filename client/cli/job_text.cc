#include "client/cli/job_text.h"

#include "client/cli/quantity.h"
#include "client/cli/shell_text.h"
#include "common/clock.h"

namespace kiln::cli {

std::string JobStateText(v1::JobState state) {
  constexpr size_t kPrefix = sizeof "JOB_STATE_" - 1;
  std::string name = v1::JobState_Name(state);
  return name.size() > kPrefix ? name.substr(kPrefix) : "UNKNOWN";
}

std::string JobTimeText(const v1::Job& job) {
  if (job.started_ms() == 0) return "-";
  int64_t end_ms = job.ended_ms() != 0 ? job.ended_ms() : WallMilliseconds();
  return FormatSpan(milliseconds(std::max<int64_t>(0, end_ms - job.started_ms())));
}

std::string DescribeEnd(const v1::Job& job) {
  std::string text = job.id();
  std::string time = job.started_ms() != 0 ? " after " + JobTimeText(job) : "";
  switch (job.state()) {
    case v1::JOB_STATE_SUCCEEDED:
      return text + " succeeded" + time;
    case v1::JOB_STATE_STOPPED:
      text += " was stopped" + time;
      break;
    case v1::JOB_STATE_FAILED:
      text += " failed with exit code " + std::to_string(job.exit_code()) + time;
      break;
    default:
      return text + " is " + JobStateText(job.state());
  }
  bool news =
      !job.message().empty() && job.message() != "exit code " + std::to_string(job.exit_code());
  return news ? text + ": " + job.message() : text;
}

std::string DescribeJob(const v1::Job& job) {
  std::string text = job.id() + "\n";
  auto line = [&](const std::string& name, const std::string& value) {
    text += "  " + name + std::string(11 - name.size(), ' ') + value + "\n";
  };
  bool ended = job.ended_ms() != 0;
  line("State", JobStateText(job.state()));
  line("Name", job.name());
  line("Command", ShellJoin({job.command().begin(), job.command().end()}));
  if (ended) line("Exit code", std::to_string(job.exit_code()));
  if (!job.message().empty()) line("Message", job.message());
  if (job.pid() != 0) line("Process", std::to_string(job.pid()));
  line("CPUs", FormatNumber(job.num_cpus()));
  line("Submitted", FormatWallTime(job.submitted_ms()));
  line("Started", FormatWallTime(job.started_ms()));
  if (ended) line("Ended", FormatWallTime(job.ended_ms()));
  line("Time", JobTimeText(job));
  line("Log", job.log_path());
  return text;
}

}  // namespace kiln::cli
