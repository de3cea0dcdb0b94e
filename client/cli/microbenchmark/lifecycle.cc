// Starting, idling and stopping.
#include <poll.h>

#include <algorithm>
#include <vector>

#include "client/cli/microbenchmark/suites.h"

namespace kiln::cli::microbenchmark {
namespace {

int Nothing() {
  return 0;
}
KILN_TASK(Nothing);

constexpr int kRounds = 5;
constexpr int kIdleMilliseconds = 2000;

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Session ConnectTo(const BenchHead& head) {
  static char program[] = "kiln", command[] = "microbenchmark";
  static char* argv[] = {program, command, nullptr};
  ConnectOptions options;
  options.address = head.info().address;
  return Connect(2, argv, options);
}

Status MeasureIdle(Report* report, const BenchHead& head) {
  // Workers of the reserve come up after the head can serve.
  Result<std::vector<pid_t>> workers = head.WorkerPids();
  for (int tries = 0; workers.ok() && tries < 100; ++tries) {
    if (workers->size() >= static_cast<size_t>(head.info().num_workers)) break;
    poll(nullptr, 0, 10);
    workers = head.WorkerPids();
  }
  if (!workers.ok()) return workers.status();
  pid_t head_pid = static_cast<pid_t>(head.info().pid);
  poll(nullptr, 0, 500);  // let what is starting finish
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

}  // namespace

Status MeasureLifecycle(Report* report) {
  std::vector<double> starts, first_results, stops;
  for (int round = 0; round < kRounds; ++round) {
    auto begin = Timer::now();
    Result<std::unique_ptr<BenchHead>> head = BenchHead::Start();
    if (!head.ok()) return head.status();
    starts.push_back((*head)->start_seconds() * 1e3);
    {
      Session session = ConnectTo(**head);
      session.Get(session.Submit(Nothing));
      first_results.push_back(SecondsSince(begin) * 1e3);
    }
    auto stop = Timer::now();
    if (Status status = (*head)->Stop(); !status.ok()) return status;
    stops.push_back(SecondsSince(stop) * 1e3);
  }
  report->Add(
      {.name = "start head to serving", .value = Median(starts), .unit = "ms", .n = kRounds});
  report->Add({.name = "start head to first result",
               .value = Median(first_results),
               .unit = "ms",
               .n = kRounds});
  report->Add({.name = "stop head", .value = Median(stops), .unit = "ms", .n = kRounds});
  Result<std::unique_ptr<BenchHead>> idle = BenchHead::Start();
  if (!idle.ok()) return idle.status();
  return MeasureIdle(report, **idle);
}

}  // namespace kiln::cli::microbenchmark
