// Starting, idling and stopping.
#include <poll.h>

#include <vector>

#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/parts.h"

namespace kiln::cli::microbenchmark {
namespace {

int Nothing() {
  return 0;
}
KILN_TASK(Nothing);

constexpr int kRounds = 10;
constexpr int kIdleMilliseconds = 2000;

Status MeasureIdle(Report* report, const BenchHead& head) {
  // Workers of the reserve come up after the head can serve.
  Result<std::vector<pid_t>> workers = head.WorkerPids();
  for (int tries = 0; workers.ok() && tries < 100; ++tries) {
    if (workers->size() >= static_cast<size_t>(head.info().num_workers)) break;
    poll(nullptr, 0, 10);
    workers = head.WorkerPids();
  }
  if (!workers.ok()) return workers.status();
  pid_t head_pid = head.pid();
  if (Status status = head.AwaitPrefault(); !status.ok()) return status;
  auto cpu = [&] {
    double sum = CpuSeconds(head_pid).ok() ? *CpuSeconds(head_pid) : 0;
    for (pid_t pid : *workers) {
      if (Result<double> seconds = CpuSeconds(pid); seconds.ok()) sum += *seconds;
    }
    return sum;
  };
  double before = cpu();
  poll(nullptr, 0, kIdleMilliseconds);
  double percent = (cpu() - before) / (kIdleMilliseconds / 1000.0) * 100;
  report->Add({.name = "idle cpu", .value = percent, .unit = "%"});
  if (Result<double> pss = PssBytes(head_pid); pss.ok()) {
    report->Add({.name = "idle memory head", .value = *pss / 1e6, .unit = "MB PSS"});
  }
  std::vector<double> sizes;
  for (pid_t pid : *workers) {
    if (Result<double> pss = PssBytes(pid); pss.ok()) sizes.push_back(*pss / 1e6);
  }
  if (!sizes.empty()) {
    report->Add({.name = "idle memory worker",
                 .value = Median(sizes),
                 .unit = "MB PSS",
                 .n = sizes.size()});
  }
  return Status();
}

Status MeasureStarts(Report* report) {
  std::vector<double> starts, first_results, stops;
  const int rounds = report->Rounds(kRounds);
  for (int round = 0; round < rounds; ++round) {
    auto begin = Timer::now();
    Result<std::unique_ptr<BenchHead>> head = BenchHead::Start();
    if (!head.ok()) return head.status();
    starts.push_back((*head)->start_seconds() * 1e3);
    {
      Session session = (*head)->Connect();
      session.Get(session.Submit(Nothing));
      first_results.push_back(SecondsSince(begin) * 1e3);
    }
    auto stop = Timer::now();
    if (Status status = (*head)->Stop(); !status.ok()) return status;
    stops.push_back(SecondsSince(stop) * 1e3);
  }
  const auto n = starts.size();
  report->Add({.name = "start head to serving", .value = Median(starts), .unit = "ms", .n = n});
  report->Add(
      {.name = "start head to first result", .value = Median(first_results), .unit = "ms", .n = n});
  report->Add({.name = "stop head", .value = Median(stops), .unit = "ms", .n = n});
  return Status();
}

}  // namespace

Status MeasureLifecycle(Report* report) {
  {
    Result<BenchSession> bench = BenchSession::Open(report);  // says what transport it is
    if (!bench.ok()) return bench.status();
  }
  if (report->Wants({"start head to serving", "start head to first result", "stop head"})) {
    if (Status status = MeasureStarts(report); !status.ok()) return status;
  }
  if (!report->Wants({"idle cpu", "idle memory head", "idle memory worker"})) return Status();
  Result<std::unique_ptr<BenchHead>> head = BenchHead::Start();
  if (!head.ok()) return head.status();
  return MeasureIdle(report, **head);
}

}  // namespace kiln::cli::microbenchmark
