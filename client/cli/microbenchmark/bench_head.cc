#include "client/cli/microbenchmark/bench_head.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "client/cli/head_client.h"
#include "client/cli/interrupt.h"
#include "client/cli/microbenchmark/report.h"

namespace kiln::cli::microbenchmark {
namespace {

// Runs this executable with `arguments`. Returns: its standard output and error.
// Errors: Unknown (another exit code than 0; the message is what it printed).
Result<std::string> RunKiln(const std::string& arguments) {
  std::string self = std::filesystem::read_symlink("/proc/self/exe");
  FILE* pipe = popen(("'" + self + "' " + arguments + " 2>&1").c_str(), "re");
  if (!pipe) return Status(Code::kUnavailable, "cannot start " + self);
  std::string output;
  char buffer[4096];
  size_t got;
  while ((got = fread(buffer, 1, sizeof buffer, pipe)) > 0) output.append(buffer, got);
  if (pclose(pipe) == 0) return output;
  return Status(Code::kUnknown, "`kiln " + arguments + "` failed: " + output);
}

}  // namespace

Result<std::unique_ptr<BenchHead>> BenchHead::Start() {
  std::string dir = std::filesystem::temp_directory_path() / "kiln-bench-XXXXXX";
  if (!mkdtemp(dir.data())) return Status(Code::kUnavailable, "cannot make the directory " + dir);
  std::unique_ptr<BenchHead> head(new BenchHead());
  head->info_.session_dir = dir;
  auto start = Timer::now();
  Result<std::string> output = RunKiln("start --head --json --session-dir " + dir);
  head->start_seconds_ = SecondsSince(start);
  head->stopped_ = !output.ok();
  if (!output.ok()) return output.status();
  Result<HeadInfo> info = ParseHeadInfo(*output);
  if (!info.ok()) return info.status();
  head->info_ = std::move(*info);
  return head;
}

BenchHead::~BenchHead() {
  if (!stopped_) (void)Stop();
  std::error_code error;
  std::filesystem::remove_all(info_.session_dir, error);
}

Status BenchHead::Stop() {
  stopped_ = true;
  Result<std::string> output = RunKiln("stop --session-dir " + info_.session_dir);
  return output.ok() ? Status() : output.status();
}

Result<std::vector<pid_t>> BenchHead::WorkerPids() const {
  Interrupt interrupt;
  Result<std::unique_ptr<HeadClient>> client = HeadClient::Connect({info_.address, ""}, &interrupt);
  if (!client.ok()) return client.status();
  Result<v1::ListWorkersResponse> workers = (*client)->ListWorkers(v1::ListRequest());
  if (!workers.ok()) return workers.status();
  std::vector<pid_t> pids;
  for (const v1::WorkerInfo& worker : workers->workers()) {
    if (worker.pid() > 0) pids.push_back(static_cast<pid_t>(worker.pid()));
  }
  return pids;
}

Result<double> PssBytes(pid_t pid) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/smaps");
  std::string line;
  double kilobytes = 0;
  bool store = false, any = false;
  while (std::getline(maps, line)) {
    any = true;
    // A mapping's first line is its range in hexadecimal; the others begin with a capital.
    if (!line.empty() && !(line[0] >= 'A' && line[0] <= 'Z')) {
      store = line.find("memfd:kiln-store") != std::string::npos;
    } else if (line.starts_with("Pss:") && !store) {
      kilobytes += std::strtod(line.c_str() + 4, nullptr);
    }
  }
  if (!any) return Status(Code::kNotFound, "no process " + std::to_string(pid));
  return kilobytes * 1024;
}

Result<double> CpuSeconds(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) {
    return Status(Code::kNotFound, "no process " + std::to_string(pid));
  }
  // The name, in parentheses, may hold anything; utime and stime are fields 14 and 15.
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string field;
  for (int i = 3; i < 14; ++i) fields >> field;
  double user_ticks = 0, system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  return (user_ticks + system_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace kiln::cli::microbenchmark
