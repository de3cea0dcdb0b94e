// A part of the microbenchmark running in a process of its own: this executable with --part.
//
// Thread: one.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "client/cli/interrupt.h"
#include "common/status.h"

namespace kiln::cli::microbenchmark {

struct PartOptions {
  std::string part;
  std::string filter;
  bool quick = false;
  // NAME=VALUE; replaces what this process has by these names.
  std::vector<std::string> environment;
  // A process group of its own, which a terminal's Ctrl-C does not reach, and which is killed as a
  // whole. Else it stays in ours.
  bool own_group = false;
};

class PartProcess {
 public:
  // Errors: Unavailable (it cannot be started).
  static Result<PartProcess> Start(const PartOptions& options);
  PartProcess(PartProcess&& other) noexcept;
  PartProcess& operator=(PartProcess&&) = delete;
  // Kills it, or its group, if it still runs.
  ~PartProcess();

  // The next line of its standard output, without its end. Blocks: until there is one.
  // Returns: nothing when there are no more, or on Ctrl-C (`interrupt` may be null).
  std::optional<std::string> ReadLine(Interrupt* interrupt);
  // A line to its standard input.
  void WriteLine(const std::string& line);
  // Blocks: until it has ended. Errors: Unknown (killed, or another exit code than 0).
  Status Wait();

 private:
  PartProcess() = default;

  pid_t pid_ = -1;  // -1: ended
  bool own_group_ = false;
  std::string part_;
  int input_ = -1, output_ = -1;
  std::string read_;  // beyond the lines handed out
};

}  // namespace kiln::cli::microbenchmark
