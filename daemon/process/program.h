// What workers run, and the programs that the head has of its own.
//
// Thread: plain data.
#pragma once

#include <compare>
#include <string>
#include <vector>

namespace kiln::process {

// What a worker runs. Equal ones are one program.
struct Program {
  std::string executable;         // absolute
  std::vector<std::string> args;  // argv[0] first
  std::vector<std::string> env;   // NAME=VALUE, complete but for what the head sets on top
  std::string cwd;                // absolute; empty: the head's
  bool fork_server = false;       // started once, as a fork server; its workers are forks of that
  std::string setup;              // with fork_server: told each worker, opaque here
  auto operator<=>(const Program&) const = default;
};

// The task library host: $KILN_WORKER_BINARY, else kiln-worker beside this executable, with the
// head's own environment.
Program LibraryHost();

// The host of Python functions below `root`, an absolute directory: `python -m kiln.worker` as a
// fork server, told {"root": root}. The interpreter is $KILN_PYTHON, else the one that the build
// chose; it finds the package kiln beside this executable: ../python in a build tree,
// ../lib/python3/dist-packages where it is installed. The rest of the environment is the head's.
Program PythonHost(const std::string& root);

}  // namespace kiln::process
