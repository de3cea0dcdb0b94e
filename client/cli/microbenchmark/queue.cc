// A million tasks in the queue.
#include <chrono>
#include <thread>
#include <vector>

#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/parts.h"

namespace kiln::cli::microbenchmark {
namespace {

constexpr int kQueued = 1'000'000;

int Queued() {
  return 0;
}
KILN_TASK(Queued);

// Keeps its CPUs until it is cancelled.
int Hold() {
  while (!Cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return 0;
}
KILN_TASK(Hold);

}  // namespace

Status MeasureQueue(Report* report) {
  Result<BenchSession> bench = BenchSession::Open(report);
  if (!bench.ok()) return bench.status();
  const Session& session = bench->session;
  Result<double> before = PssBytes(bench->head->pid());
  auto start = Timer::now();
  std::vector<Ref<int>> refs;
  refs.reserve(kQueued);
  // All CPUs are taken meanwhile, so that all tasks are in the queue at once.
  Ref<int> hold = session.With({.num_cpus = session.num_cpus(), .priority = 1}).Submit(Hold);
  for (int i = 0; i < kQueued; ++i) refs.push_back(session.Submit(Queued));
  double submitted = SecondsSince(start);
  Result<double> at_peak = PssBytes(bench->head->pid());
  session.Cancel(hold);
  session.Wait(refs, refs.size());
  double drained = SecondsSince(start);
  size_t right = 0;
  for (int value : session.Get(refs)) right += value == 0;
  report->Add({.name = "1M queued no-op tasks", .value = drained, .unit = "s", .n = right});
  report->Add(
      {.name = "1M queued no-op tasks, submit", .value = submitted, .unit = "s", .n = right});
  if (before.ok() && at_peak.ok()) {
    report->Add({.name = "head memory per queued task",
                 .value = (*at_peak - *before) / kQueued,
                 .unit = "bytes",
                 .n = kQueued});
  }
  return Status();
}

}  // namespace kiln::cli::microbenchmark
