#include "client/cli/microbenchmark/kernel.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "client/cli/microbenchmark/report.h"

namespace kiln::cli::microbenchmark {

uint64_t Compute(uint64_t iterations) {
  uint64_t state = iterations;
  for (uint64_t i = 0; i < iterations; ++i) {
    state = state * 6364136223846793005 + 1442695040888963407;  // Knuth's MMIX generator
    asm volatile("" : "+r"(state));                             // each step is done
  }
  return state;
}

double IterationsPerMicrosecond(int threads) {
  constexpr uint64_t kIterations = 2'000'000;  // some milliseconds
  constexpr int kRounds = 40;
  std::vector<double> rates(static_cast<size_t>(threads));
  std::atomic<int> started = 0;
  auto compute = [&](double* best) {
    ++started;
    while (started < threads) std::this_thread::yield();
    for (int round = 0; round < kRounds; ++round) {
      auto start = Timer::now();
      Compute(kIterations);
      *best = std::max(*best, kIterations / (SecondsSince(start) * 1e6));
    }
  };
  std::vector<std::thread> running;
  for (double& rate : rates) running.emplace_back(compute, &rate);
  for (std::thread& thread : running) thread.join();
  double sum = 0;
  for (double rate : rates) sum += rate;
  return sum / threads;
}

}  // namespace kiln::cli::microbenchmark
