// What this machine can do at best.
#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/grpc_round_trip.h"
#include "client/cli/microbenchmark/hand_over.h"
#include "client/cli/microbenchmark/parts.h"
#include "client/cli/microbenchmark/shared_pages.h"

namespace kiln::cli::microbenchmark {

Status MeasureMachine(Report* report) {
  // First what forks: gRPC starts threads.
  MeasureRingHandOver(report);
  MeasurePipeRoundTrip(report);
  MeasureSharedPages(report);
  if (!report->Wants({"grpc unary round trip"})) return Status();
  Result<std::unique_ptr<BenchHead>> head = BenchHead::Start();
  if (!head.ok()) return head.status();
  MeasureGrpcRoundTrip(report, (*head)->info().address);
  return Status();
}

}  // namespace kiln::cli::microbenchmark
