// A head of one test's own, started as users start it, and checked to leave nothing behind.
//
// Thread: the test's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kiln/kiln.h"
#include "kiln/v1/state.grpc.pb.h"
#include "tests/cluster/processes.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/wait_until.h"

namespace kiln::testing {

class TestHead {
 public:
  struct Options {
    int num_cpus = 2;
    std::string store = "256MiB";
    std::string resources = {};  // JSON
    std::string store_pages = "auto";
  };

  // `kiln start --head` in a directory of its own.
  explicit TestHead(const Options& options);
  TestHead() : TestHead(Options{}) {}
  // Checks that everything was given back, stops the head, and checks that nothing is left of it.
  // Sessions of the test must have ended before: declare the head first.
  ~TestHead();

  const std::string& dir() const { return dir_; }
  const std::string& address() const { return address_; }
  pid_t pid() const { return pid_; }
  // The keeper of now. Blocks: while there is none, right after a start. Returns: 0 after
  // kDeadline.
  pid_t KeeperPid() const;
  // Processes that the keeper has started and that run.
  std::vector<pid_t> WorkerPids() const;

  // A driver in this process. Its tasks run in workers that are this executable.
  Session Connect() const;
  // A driver in a process of its own: runs the DriverProgram of this name.
  Child Drive(const std::string& name, const std::vector<std::string>& arguments = {});
  // Starts a `kiln` command for this head.
  Child Kiln(std::vector<std::string> arguments);

  // What the head says; asked anew by each call.
  v1::Status Status() const;
  std::vector<v1::WorkerInfo> Workers() const;
  std::vector<v1::TaskInfo> Tasks() const;
  std::vector<v1::SessionInfo> Sessions() const;
  // No task, object or driver is left, no CPU and no byte of the store in use.
  bool IsIdle() const;

  // `kiln stop`. Returns: its exit code.
  int Stop(const std::vector<std::string>& arguments = {});
  // kill -9 of the head alone.
  void Kill();
  // True when no process of the head is left, and no file that would make clients look for it.
  bool IsGone() const;

  // A file for tasks and the test to tell each other things by.
  std::string File(const std::string& name) const { return temp_ / name; }

 private:
  std::string NextLog() { return temp_ / ("child-" + std::to_string(++children_) + ".log"); }

  TempDir temp_;
  std::string dir_;
  std::string address_;
  pid_t pid_ = 0;
  bool running_ = false;  // neither stopped nor killed by the test
  int children_ = 0;
  std::unique_ptr<v1::State::Stub> state_;
};

// A program for TestHead::Drive, registered by a global of the test file.
//   const DriverProgram kHolder("holder", [](Session session, const Arguments& arguments) {...});
struct DriverProgram {
  using Arguments = std::vector<std::string>;
  using Main = int (*)(const Session& session, const Arguments& arguments);
  // `at_worker_start`: runs instead of Connect when the head re-runs the program as a worker.
  DriverProgram(const char* name, Main run, int (*at_worker_start)(const Arguments&) = nullptr);
};

// Runs the driver that the arguments name, or is its worker. Returns: its exit code.
int RunDriverProgram(int argc, char** argv);

// The arguments of this process, for Connect.
void SetArguments(int argc, char** argv);

}  // namespace kiln::testing
