#include "client/cli/microbenchmark/bench_head.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "client/cli/head_client.h"
#include "client/cli/interrupt.h"
#include "client/cli/lock_holder.h"
#include "client/cli/microbenchmark/report.h"

namespace kiln::cli::microbenchmark {
namespace {

// The message of an error printed as JSON; all of `output` if it is none.
std::string ErrorMessage(const std::string& output) {
  auto document = nlohmann::json::parse(output, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object() || !document.contains("error")) return output;
  return document["error"].value("message", output);
}

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
  return Status(Code::kUnknown, "`kiln " + arguments.substr(0, arguments.find(' ')) +
                                    "` failed: " + ErrorMessage(output));
}

int WarmUp() {
  return 0;
}
KILN_TASK(WarmUp);

Result<std::unique_ptr<HeadClient>> ClientOf(const HeadInfo& info, Interrupt* interrupt) {
  return HeadClient::Connect({info.address, ""}, interrupt);
}

}  // namespace

Result<std::unique_ptr<BenchHead>> BenchHead::Start(const std::string& arguments) {
  std::string dir = std::filesystem::temp_directory_path() / "kiln-bench-XXXXXX";
  if (!mkdtemp(dir.data())) return Status(Code::kUnavailable, "cannot make the directory " + dir);
  std::unique_ptr<BenchHead> head(new BenchHead());
  head->info_.session_dir = dir;
  auto start = Timer::now();
  Result<std::string> output =
      RunKiln("start --head --json --session-dir " + dir + " " + arguments);
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

Session BenchHead::Connect() const {
  static char program[] = "kiln", command[] = "microbenchmark";
  static char* argv[] = {program, command, nullptr};
  ConnectOptions options;
  options.address = info_.address;
  return kiln::Connect(2, argv, options);
}

Result<std::vector<pid_t>> BenchHead::WorkerPids() const {
  Interrupt interrupt;
  Result<std::unique_ptr<HeadClient>> client = ClientOf(info_, &interrupt);
  if (!client.ok()) return client.status();
  Result<v1::ListWorkersResponse> workers = (*client)->ListWorkers(v1::ListRequest());
  if (!workers.ok()) return workers.status();
  std::vector<pid_t> pids;
  for (const v1::WorkerInfo& worker : workers->workers()) {
    if (worker.pid() > 0) pids.push_back(static_cast<pid_t>(worker.pid()));
  }
  return pids;
}

Status BenchHead::AwaitPrefault() const {
  Interrupt interrupt;
  Result<std::unique_ptr<HeadClient>> client = ClientOf(info_, &interrupt);
  if (!client.ok()) return client.status();
  for (int tries = 0; tries < 300; ++tries) {
    Result<v1::Status> status = (*client)->GetStatus(v1::GetStatusRequest());
    if (!status.ok()) return status.status();
    if (!status->store_prefaulting()) return Status();
    poll(nullptr, 0, 100);
  }
  return Status(Code::kDeadlineExceeded, "the head takes memory ahead for more than 30 s");
}

Result<std::string> BenchHead::Transport() const {
  Interrupt interrupt;
  Result<std::unique_ptr<HeadClient>> client = ClientOf(info_, &interrupt);
  if (!client.ok()) return client.status();
  Result<v1::ListSessionsResponse> sessions = (*client)->ListSessions(v1::ListRequest());
  if (!sessions.ok()) return sessions.status();
  std::string transport;
  for (const v1::SessionInfo& session : sessions->sessions()) {
    if (!transport.empty() && session.transport() != transport) {
      return Status(Code::kFailedPrecondition, "sessions speak different transports");
    }
    transport = session.transport();
  }
  const char* asked = std::getenv("KILN_TRANSPORT");
  if (asked && *asked && transport != asked) {
    return Status(Code::kFailedPrecondition, std::string("asked for ") + asked +
                                                 ", but sessions speak " +
                                                 (transport.empty() ? "nothing" : transport));
  }
  return transport;
}

Result<BenchSession> BenchSession::Open(Report* report, const std::string& head_arguments) {
  // No memory is taken ahead: it would be taken while the first figures are.
  Result<std::unique_ptr<BenchHead>> head =
      BenchHead::Start("--store-prefault 0 " + head_arguments);
  if (!head.ok()) return head.status();
  Session session = (*head)->Connect();
  // Long enough on all CPUs that each has a worker.
  std::vector<Ref<int>> refs;
  for (int i = 0; i < 1000; ++i) refs.push_back(session.Submit(WarmUp));
  session.Get(refs);
  Result<std::string> transport = (*head)->Transport();
  if (!transport.ok()) return transport.status();
  report->set_transport(*transport);
  return BenchSession{std::move(*head), std::move(session)};
}

void StopHeadsIn(const std::string& dir) {
  constexpr int kTries = 50;  // of 20 ms: a head may be starting
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(dir, error)) {
    std::string session_dir = entry.path();
    for (int i = 0; i < kTries && FindLockHolder(session_dir); ++i) {
      if (i > 0) poll(nullptr, 0, 20);
      (void)RunKiln("stop --force --session-dir " + session_dir);
    }
  }
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
      store = line.find("kiln-store") != std::string::npos;
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
