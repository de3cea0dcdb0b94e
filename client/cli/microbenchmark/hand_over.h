// The floor for a task's way there and back: what passing messages between processes costs.
//
// Thread: one, and no other in the process (children are forked).
#pragma once

#include "client/cli/microbenchmark/report.h"

namespace kiln::cli::microbenchmark {

// Client, middle, worker and back over rings in shared memory, all three yielding while they wait;
// tight, and with 20 us of thinking between calls.
void MeasureRingHandOver(Report* report);
// Two processes, a pipe each way, both asleep while they wait.
void MeasurePipeRoundTrip(Report* report);

}  // namespace kiln::cli::microbenchmark
