// A head of the benchmark's own, in a temporary session directory, started and stopped by the
// commands a user types, and a session with it.
//
// Thread: one.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/session_dir.h"
#include "common/status.h"
#include "kiln/kiln.h"

namespace kiln::cli::microbenchmark {

class BenchHead {
 public:
  // Runs `kiln start --head` with these arguments too. Errors: what it printed.
  static Result<std::unique_ptr<BenchHead>> Start(const std::string& arguments = "");
  // Stops it if it still runs and removes the directory.
  ~BenchHead();

  // Runs `kiln stop`. Errors: what it printed.
  Status Stop();

  const HeadInfo& info() const { return info_; }
  pid_t pid() const { return static_cast<pid_t>(info_.pid); }
  double start_seconds() const { return start_seconds_; }

  // A session of this process. Throws: ConnectionError.
  Session Connect() const;
  // Processes of the head's task library hosts.
  Result<std::vector<pid_t>> WorkerPids() const;
  // Blocks: until the head has taken the store's first memory ahead.
  Status AwaitPrefault() const;
  // The transport that all native sessions there are speak.
  // Errors: FailedPrecondition (none, or not all the same, or not what KILN_TRANSPORT asks for).
  Result<std::string> Transport() const;

 private:
  BenchHead() = default;
  HeadInfo info_;
  double start_seconds_ = 0;
  bool stopped_ = false;
};

class Report;

// A head, and a session over the transport that KILN_TRANSPORT asks for, with warm workers.
struct BenchSession {
  // Says to the report what transport it is.
  // Errors: as Start, Transport. Throws: ConnectionError.
  static Result<BenchSession> Open(Report* report, const std::string& head_arguments = "");

  std::unique_ptr<BenchHead> head;  // outlives the session
  Session session;
};

// Stops, by force, all heads whose session directories are in `dir`.
// Blocks: until they are gone, at most some seconds.
void StopHeadsIn(const std::string& dir);

// What a process costs: its proportional share of memory, bytes, the store's segment not counted.
// Errors: NotFound.
Result<double> PssBytes(pid_t pid);
// CPU time used so far, seconds. Errors: NotFound.
Result<double> CpuSeconds(pid_t pid);

}  // namespace kiln::cli::microbenchmark
