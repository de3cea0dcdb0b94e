// The parts of the microbenchmark. Each is measured in a process of its own, once per transport, so
// that none inherits another's heap, threads or environment.
//
// Thread: one.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "client/cli/microbenchmark/report.h"
#include "common/status.h"

namespace kiln::cli::microbenchmark {

struct Part {
  std::string name;
  std::string title;
  bool by_transport = true;  // false: figures of the machine itself
  // Measures what the report wants. Errors: why not; the figures before are good.
  Status (*measure)(Report* report);
  std::vector<std::string> figures;  // their names, in order; none: a part that others run
};

// In the order in which they are measured.
std::span<const Part> Parts();

// What the machine can do: copying, hand-overs between processes, gRPC's own cost.
Status MeasureMachine(Report* report);
// One task at a time, and batches.
Status MeasureTasks(Report* report);
// Calls of actors, and making and ending them.
Status MeasureActors(Report* report);
// Tasks from several drivers at once, and the driver's own process.
Status MeasureDrivers(Report* report);
Status RunDriver(Report* report);
// Many arguments, results, refs.
Status MeasureMany(Report* report);
// Tasks that depend on each other.
Status MeasureGraphs(Report* report);
// A million tasks in the queue.
Status MeasureQueue(Report* report);
// Small objects, and getting large ones.
Status MeasureObjects(Report* report);
// Putting large ones.
Status MeasureBandwidth(Report* report);
// Minimum effective task granularity.
Status MeasureGranularity(Report* report);
// What spinning costs tasks that compute, and the process that runs them once.
Status MeasureSpinning(Report* report);
Status RunCpuBound(Report* report);
// Start-up, memory and CPU while idle, shutdown.
Status MeasureLifecycle(Report* report);
// That a session comes about over the transport that is asked for; no figures.
Status ProbeTransport(Report* report);

}  // namespace kiln::cli::microbenchmark
