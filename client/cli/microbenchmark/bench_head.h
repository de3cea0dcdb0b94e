// A head of the benchmark's own, in a temporary session directory, started and stopped by the
// commands a user types.
//
// Thread: one.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "common/session_dir.h"
#include "common/status.h"

namespace kiln::cli::microbenchmark {

class BenchHead {
 public:
  // Runs `kiln start --head`. Errors: what it printed.
  static Result<std::unique_ptr<BenchHead>> Start();
  // Stops it if it still runs and removes the directory.
  ~BenchHead();

  // Runs `kiln stop`. Errors: what it printed.
  Status Stop();

  const HeadInfo& info() const { return info_; }
  double start_seconds() const { return start_seconds_; }

  // Processes of the head's task library hosts.
  Result<std::vector<pid_t>> WorkerPids() const;

 private:
  BenchHead() = default;
  HeadInfo info_;
  double start_seconds_ = 0;
  bool stopped_ = false;
};

// What a process costs: its proportional share of memory, bytes, the store's segment not counted.
// Errors: NotFound.
Result<double> PssBytes(pid_t pid);
// CPU time used so far, seconds. Errors: NotFound.
Result<double> CpuSeconds(pid_t pid);

}  // namespace kiln::cli::microbenchmark
