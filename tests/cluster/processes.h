// Processes as scenarios see them: what runs, how large it is, and children of the test's own.
//
// Thread: any; one thread for each Child.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace kiln::testing {

// For what takes milliseconds, on a busy machine and with sanitizers.
inline constexpr std::chrono::seconds kDeadline{60};

// True if `pid` runs; false also for one that has ended and was not reaped.
bool IsAlive(pid_t pid);
// Living processes whose environment names `text`, without this one.
std::vector<pid_t> ProcessesNaming(const std::string& text);
// Living children of `parent`.
std::vector<pid_t> ChildrenOf(pid_t parent);
// Name of a process as it calls itself; empty when it is gone.
std::string NameOf(pid_t pid);
uint64_t ResidentBytes(pid_t pid);
// Descriptors and mappings of object stores that `pid` has.
size_t CountStoreFiles(pid_t pid);

// One of the programs under test: in $KILN_BIN_DIR, else where they were built.
std::string BinaryPath(const std::string& name);

// A program the test has started; its output goes to a file. Killed at the end if it still runs.
class Child {
 public:
  // `log`: file for standard output and error. `environment`: set on top of ours; an empty value
  // removes the variable.
  Child(const std::vector<std::string>& command, std::string log,
        const std::map<std::string, std::string>& environment = {});
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  pid_t pid() const { return pid_; }
  // Standard output and error so far.
  std::string Output() const;
  // True once the output contains `text`. Blocks: at most kDeadline, less if the child ends.
  bool AwaitOutput(const std::string& text);
  void Kill(int signal);
  // Returns: what waitpid gives, -1 if it runs longer than `deadline`.
  int AwaitEnd(std::chrono::steady_clock::duration deadline = kDeadline);
  // Returns: the exit code; minus the signal if one ended it; -1000 if it runs longer than
  // kDeadline.
  int AwaitExitCode();

 private:
  bool Reap();

  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
  std::string log_;
};

}  // namespace kiln::testing
