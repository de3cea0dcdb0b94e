// The results of a task or a call as `kiln run` and `kiln actor call` print them.
//
// Thread: one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/cli/commands.h"
#include "client/cli/head_client.h"

namespace kiln::cli {

using Refs = std::vector<std::string>;

// Errors: InvalidArgument (one is no JSON; says which).
Status CheckJsonArguments(const std::vector<std::string>& args);

// Prints the refs instead of what they stand for. Returns: the exit code.
int PrintRefs(Console& console, const Refs& refs);

struct Awaited {
  Connection connection;
  Refs refs;
  std::optional<milliseconds> timeout;
  std::string what = "task";  // that makes them, for words
};
// Waits for the results, prints them, a line each, and releases them; they are streamed, so one may
// be larger than memory. When the wait ends before that, says how to return to them.
// Returns: the exit code.
int PrintResults(Console& console, HeadClient& head, const Awaited& awaited);

}  // namespace kiln::cli
