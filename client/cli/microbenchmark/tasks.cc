// Submitting, running and waiting for tasks.
#include <algorithm>
#include <thread>
#include <vector>

#include "client/cli/microbenchmark/suites.h"

namespace kiln::cli::microbenchmark {
namespace {

int Noop() {
  return 0;
}
KILN_TASK(Noop);

// Keeps its CPUs until it is cancelled.
int Hold() {
  while (!Cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return 0;
}
KILN_TASK(Hold);

constexpr int kBatch = 10'000;    // tasks of one "async" measurement
constexpr int kWaitRefs = 1'000;  // as Ray's benchmark of this name
constexpr int kQueued = 1'000'000;

void MeasureQueue(Report* report, const Session& session, const std::string& transport,
                  pid_t head_pid) {
  const std::string name = "1M queued no-op tasks";
  if (!report->Wants(name)) return;
  double before = PssBytes(head_pid).ok() ? *PssBytes(head_pid) : 0;
  auto start = Timer::now();
  std::vector<Ref<int>> refs;
  refs.reserve(kQueued);
  // All CPUs are taken meanwhile, so that all tasks are in the queue at once.
  Ref<int> hold = session.With({.num_cpus = session.num_cpus(), .priority = 1}).Submit(Hold);
  for (int i = 0; i < kQueued; ++i) refs.push_back(session.Submit(Noop));
  double submitted = SecondsSince(start);
  double at_peak = PssBytes(head_pid).ok() ? *PssBytes(head_pid) : 0;
  session.Cancel(hold);
  session.Wait(refs, refs.size());
  double drained = SecondsSince(start);
  size_t right = 0;
  for (int value : session.Get(refs)) right += value == 0;
  report->Add({.name = name, .transport = transport, .value = drained, .unit = "s", .n = right});
  report->Add({.name = "1M queued no-op tasks, submit",
               .transport = transport,
               .value = submitted,
               .unit = "s",
               .n = right});
  report->Add({.name = "head memory per queued task",
               .transport = transport,
               .value = (at_peak - before) / kQueued,
               .unit = "bytes",
               .n = kQueued});
}

}  // namespace

void MeasureTasks(Report* report, const Session& session, const std::string& transport,
                  pid_t head_pid) {
  session.Get(session.Submit(Noop));  // a worker is there
  report->Rate("single client tasks sync", transport, "tasks/s",
               [&] { session.Get(session.Submit(Noop)); });
  report->Throughput("single client tasks async", transport, "tasks/s", 10, [&] {
    std::vector<Ref<int>> refs;
    refs.reserve(kBatch);
    for (int i = 0; i < kBatch; ++i) refs.push_back(session.Submit(Noop));
    session.Get(refs);
    return double{kBatch};
  });
  // One ref at a time until all are done.
  report->Rate("single client wait 1k refs", transport, "rounds/s", [&] {
    std::vector<Ref<int>> left;
    for (int i = 0; i < kWaitRefs; ++i) left.push_back(session.Submit(Noop));
    while (!left.empty()) left = session.Wait(left, 1).not_ready;
  });
  MeasureQueue(report, session, transport, head_pid);
}

}  // namespace kiln::cli::microbenchmark
