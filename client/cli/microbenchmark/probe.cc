// Whether a transport is to be had.
#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/parts.h"

namespace kiln::cli::microbenchmark {

Status ProbeTransport(Report* report) {
  Result<BenchSession> bench = BenchSession::Open(report);
  return bench.ok() ? Status() : bench.status();
}

}  // namespace kiln::cli::microbenchmark
