// Commands as text that can be pasted into a shell.
//
// Thread: any; plain functions.
#pragma once

#include <string>
#include <vector>

#include "client/cli/commands.h"

namespace kiln::cli {

// The word, quoted if a shell would read it otherwise.
std::string ShellQuote(const std::string& word);
std::string ShellJoin(const std::vector<std::string>& words);

// "kiln " + words, for the same head: with the --address or --session-dir the user gave.
std::string KilnCommand(const std::string& words, const Connection& connection);

}  // namespace kiln::cli
