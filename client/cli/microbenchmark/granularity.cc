// Minimum effective task granularity (METG) as Task Bench defines it (Slaughter et al., SC20): the
// shortest tasks with which all workers still reach a given share of what they could compute.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/kernel.h"
#include "client/cli/microbenchmark/parts.h"

namespace kiln::cli::microbenchmark {
namespace {

constexpr int kWidth = 8;             // tasks in a step
constexpr int kLeastSteps = 12;       // the longest tasks; 0.8 s of them
constexpr int kMostSteps = 2'000;     // the shortest ones
constexpr double kIdealUs = 100'000;  // work of one measurement per worker
constexpr double kFirstUs = 1, kLastUs = 17'000, kFactor = 2;
constexpr double kEnough = 0.95;  // efficiency at which the curve need not go on

uint64_t Independent(uint64_t iterations) {
  return Compute(iterations);
}
KILN_TASK(Independent);
uint64_t StencilEdge(uint64_t, uint64_t, uint64_t iterations) {
  return Compute(iterations);
}
KILN_TASK(StencilEdge);
uint64_t Stencil(uint64_t, uint64_t, uint64_t, uint64_t iterations) {
  return Compute(iterations);
}
KILN_TASK(Stencil);

using Row = std::vector<Ref<uint64_t>>;

Row FirstRow(const Session& session, uint64_t iterations) {
  Row row;
  for (int i = 0; i < kWidth; ++i) row.push_back(session.Submit(Independent, iterations));
  return row;
}

void RunIndependent(const Session& session, int steps, uint64_t iterations) {
  Row all;
  all.reserve(static_cast<size_t>(steps) * kWidth);
  for (int i = 0; i < steps * kWidth; ++i) all.push_back(session.Submit(Independent, iterations));
  session.Get(all);
}

// Task i of a step takes the results of i-1, i and i+1 of the step before. Nothing waits between
// the steps.
void RunStencil(const Session& session, int steps, uint64_t iterations) {
  Row row = FirstRow(session, iterations);
  for (int step = 1; step < steps; ++step) {
    Row next;
    next.push_back(session.Submit(StencilEdge, row[0], row[1], iterations));
    for (size_t i = 1; i + 1 < kWidth; ++i) {
      next.push_back(session.Submit(Stencil, row[i - 1], row[i], row[i + 1], iterations));
    }
    next.push_back(session.Submit(StencilEdge, row[kWidth - 2], row[kWidth - 1], iterations));
    row = std::move(next);
  }
  session.Get(row);
}

struct Pattern {
  std::string name;
  void (*run)(const Session& session, int steps, uint64_t iterations);
};

struct Point {
  double task_us;
  double efficiency;  // ideal time / measured time
};

class Curve {
 public:
  Curve(Report* report, const Session& session, const Pattern& pattern)
      : report_(report), session_(session), pattern_(pattern) {}

  void Measure(double iterations_per_us) {
    const double factor = report_->quick() ? 2 * kFactor : kFactor;
    for (double us = kFirstUs; us <= kLastUs; us *= factor) {
      points_.push_back({us, EfficiencyAt(us, iterations_per_us)});
      report_->Add({.name = "efficiency, " + pattern_.name,
                    .value = points_.back().efficiency * 100,
                    .unit = "%",
                    .task_us = us});
      if (points_.back().efficiency >= kEnough) break;
    }
  }

  // Adds the shortest length that reaches `share`, between two points on a logarithmic scale.
  void AddMetg(const std::string& name, double share) const {
    auto high = std::find_if(points_.begin(), points_.end(),
                             [&](const Point& point) { return point.efficiency >= share; });
    if (high == points_.end()) {
      return report_->Note(name + ": not reached with the longest tasks");
    }
    double us = high->task_us;  // of the first point: at most
    if (high != points_.begin()) {
      const Point& low = *(high - 1);
      double way = (share - low.efficiency) / (high->efficiency - low.efficiency);
      us = low.task_us * std::pow(high->task_us / low.task_us, way);
    }
    report_->Add({.name = name, .value = us, .unit = "us", .n = points_.size()});
  }

 private:
  // The best of some runs: what disturbs only adds time.
  double EfficiencyAt(double task_us, double iterations_per_us) const {
    const double workers = session_.num_cpus();
    const int steps = std::clamp(static_cast<int>(kIdealUs * workers / (kWidth * task_us)),
                                 kLeastSteps, kMostSteps);
    const double ideal = steps * kWidth * task_us / 1e6 / workers;
    double best = 0;
    for (int round = 0; round < report_->Rounds(3); ++round) {
      auto start = Timer::now();
      pattern_.run(session_, steps, static_cast<uint64_t>(task_us * iterations_per_us));
      best = std::max(best, ideal / SecondsSince(start));
    }
    return best;
  }

  Report* report_;
  const Session& session_;
  const Pattern& pattern_;
  std::vector<Point> points_;  // by length
};

}  // namespace

Status MeasureGranularity(Report* report) {
  const Pattern kPatterns[] = {{"independent", &RunIndependent}, {"stencil", &RunStencil}};
  Result<BenchSession> bench = BenchSession::Open(report);
  if (!bench.ok()) return bench.status();
  double rate = IterationsPerMicrosecond(static_cast<int>(bench->session.num_cpus()));
  for (const Pattern& pattern : kPatterns) {
    const std::string half = "METG(50 %), " + pattern.name, most = "METG(90 %), " + pattern.name;
    if (!report->Wants({half, most, "efficiency, " + pattern.name})) continue;
    pattern.run(bench->session, kMostSteps, 1);  // to warm up
    Curve curve(report, bench->session, pattern);
    curve.Measure(rate);
    curve.AddMetg(half, 0.5);
    curve.AddMetg(most, 0.9);
  }
  return Status();
}

}  // namespace kiln::cli::microbenchmark
