// The groups of benchmarks.
#pragma once

#include <string>

#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/report.h"
#include "kiln/kiln.h"

namespace kiln::cli::microbenchmark {

// Limits of this machine, for comparison: "memcpy warm shared pages", "grpc unary round trip".
void MeasureMachine(Report* report, const std::string& head_address);
// "grpc unary round trip" alone: one call at a time to the head's health service.
void MeasureGrpcRoundTrip(Report* report, const std::string& head_address);

// Start-up, memory and CPU while idle, shutdown; with a head of its own.
Status MeasureLifecycle(Report* report);

void MeasureTasks(Report* report, const Session& session, const std::string& transport,
                  pid_t head_pid);
void MeasureObjects(Report* report, const Session& session, const std::string& transport);

}  // namespace kiln::cli::microbenchmark
