// What the examples have in common: arguments, time, and the closing line
//   RESULT <name> ok serial_ms=<n> kiln_ms=<n> speedup=<n>
#pragma once

#include <kiln/kiln.h>

#include <chrono>
#include <string>
#include <vector>

namespace examples {

struct Arguments {
  bool small = false;              // --small: seconds less of work, for tests
  std::vector<std::string> paths;  // everything else
};

// Ends the program with exit code 2 on an unknown option.
Arguments ParseArguments(int argc, char** argv);

// Connects, and has every worker run something once, so that the figures below are those of a
// running head. Prints how long that took.
kiln::Session Start(int argc, char** argv);

// Returns: how long `work` takes, in milliseconds.
template <typename Work>
double Milliseconds(Work work) {
  auto start = std::chrono::steady_clock::now();
  work();
  std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  return elapsed.count();
}

// Prints the closing line. Returns: the exit code, 0 if ok, else 1.
int Conclude(const std::string& name, bool ok, double serial_ms, double kiln_ms);

}  // namespace examples
