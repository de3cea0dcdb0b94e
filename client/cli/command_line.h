// The command line: which commands and options there are, and what was asked for.
//
// Thread: one.
#pragma once

#include <functional>
#include <map>
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
  // By command that reads its words itself: what they are, for its first line of help.
  std::map<const CLI::App*, std::string> words;
};

// Adds every command to `app`; parsing one sets `invocation->run`. Both outlive the parsing.
void AddCommands(CLI::App& app, Invocation* invocation);

}  // namespace kiln::cli
