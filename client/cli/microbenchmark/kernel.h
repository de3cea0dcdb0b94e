// A loop that computes and touches no memory: the task of the benchmarks about computing.
//
// Thread: any.
#pragma once

#include <cstdint>

namespace kiln::cli::microbenchmark {

// Runs `iterations` steps, each of which needs the one before. Returns: something that depends on
// all of them.
uint64_t Compute(uint64_t iterations);

// Iterations that one of `threads` threads does in a microsecond while all of them compute: the
// machine's own limit, sibling threads of a core and other load included.
// Blocks: some tenths of a second.
double IterationsPerMicrosecond(int threads);

}  // namespace kiln::cli::microbenchmark
