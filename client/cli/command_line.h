// The command line: which commands and options there are, and what was asked for.
//
// Only main.cc and command_line.cc see CLI11, which costs 5 s to compile (Debian 12, g++ 12).
//
// Thread: one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "client/cli/console.h"

namespace CLI {
class App;
}

namespace kiln::cli {

// What to do, once the command line is read.
struct Invocation {
  bool json = false;
  std::function<int(Console&)> run;
  // After the "--" of a submit; taken off before parsing, since it is not ours to read.
  std::vector<std::string> job_command;
  bool has_job_command = false;
};

// Adds every command to `app`; parsing one sets `invocation->run`. Both outlive the parsing.
void AddCommands(CLI::App& app, Invocation* invocation);

}  // namespace kiln::cli
