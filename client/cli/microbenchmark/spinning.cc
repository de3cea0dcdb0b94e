// What it costs tasks that compute that head, workers and drivers spin while they wait.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/kernel.h"
#include "client/cli/microbenchmark/part_process.h"
#include "client/cli/microbenchmark/parts.h"

namespace kiln::cli::microbenchmark {
namespace {

constexpr uint64_t kTaskIterations = 8'000'000;  // about 10 ms
constexpr int kTasks = 80;                       // about 0.4 s on two workers
constexpr int kRounds = 7;

uint64_t Crunch(uint64_t iterations) {
  return Compute(iterations);
}
KILN_TASK(Crunch);

// The seconds of one run in a process of its own, with a head of its own: both read KILN_SPIN once.
Result<double> RunOnce(bool quick, bool spinning) {
  PartOptions options = {.part = "cpu-bound", .quick = quick};
  if (!spinning) options.environment.push_back("KILN_SPIN=0");
  Result<PartProcess> process = PartProcess::Start(options);
  if (!process.ok()) return process.status();
  std::optional<std::string> line = process->ReadLine(nullptr);
  if (Status status = process->Wait(); !status.ok()) return status;
  if (!line) return Status(Code::kUnknown, "the part cpu-bound printed nothing");
  return std::stod(*line);
}

}  // namespace

// The runs take turns, and the best of each kind count: what else the machine does only adds time.
Status MeasureSpinning(Report* report) {
  {
    Result<BenchSession> bench = BenchSession::Open(report);  // says what transport it is
    if (!bench.ok()) return bench.status();
  }
  std::vector<double> with, without;
  for (int round = 0; round < report->Rounds(kRounds); ++round) {
    for (bool spinning : {true, false}) {
      Result<double> seconds = RunOnce(report->quick(), spinning);
      if (!seconds.ok()) return seconds.status();
      (spinning ? with : without).push_back(*seconds);
    }
  }
  double best_with = *std::min_element(with.begin(), with.end());
  double best_without = *std::min_element(without.begin(), without.end());
  report->Add({.name = "cost of spinning, 2 busy workers",
               .value = (best_with / best_without - 1) * 100,
               .unit = "%",
               .n = with.size()});
  return Status();
}

Status RunCpuBound(Report* report) {
  Result<BenchSession> bench = BenchSession::Open(report, "--num-cpus 2");
  if (!bench.ok()) return bench.status();
  const int tasks = report->quick() ? kTasks / 4 : kTasks;
  double best = 0;
  for (int round = 0; round < 2; ++round) {
    auto start = Timer::now();
    std::vector<Ref<uint64_t>> refs;
    for (int i = 0; i < tasks; ++i) refs.push_back(bench->session.Submit(Crunch, kTaskIterations));
    // One by one, so that the driver waits, and may spin, all the time.
    for (const Ref<uint64_t>& ref : refs) bench->session.Get(ref);
    double seconds = SecondsSince(start);
    best = round == 0 ? seconds : std::min(best, seconds);
  }
  std::printf("%.9f\n", best);
  return Status();
}

}  // namespace kiln::cli::microbenchmark
