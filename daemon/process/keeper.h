// The keeper: a small process of the head that starts and reaps all others.
//
// Workers and jobs are its children, and it is a child subreaper, so that everything they leave
// behind comes back to it. When the head dies, in whatever way, the keeper sees the end of their
// socket, removes the head's sockets and info file, kills every descendant, and exits. When the
// keeper dies, its children get SIGKILL (PR_SET_PDEATHSIG), the head (a subreaper too) kills what
// is left, and starts another keeper. Only if both are killed at the same moment may a process that
// a job started live on.
//
// The keeper is `kiln-head --keeper FD`, so that nothing of the head's threads or memory is in it;
// it links no library that starts threads before RunKeeper returns. It calls itself "kiln-keeper",
// so that `killall -9 kiln-head` leaves it alive to clean up.
//
// Thread: Keeper: head loop only.
// Owner:  Head.
// See:    docs/architecture.md, "Processes".
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "common/status.h"

namespace kiln::process {

// What to start. It gets /dev/null as standard input, one pipe as standard output and error, no
// other descriptor, default signal handling, and a variable KILN_LAUNCH of the keeper's in its
// environment. When it ends, all it has started is ended too: the processes of its session, and
// those that left it but carry its KILN_LAUNCH. (One that left both is ended with the head.)
//
// With `fork_of` nothing is executed: the launch is a fork of that fork server
// (common/fork_server.h) as soon as the server is ready, always in a session of its own, and the
// rest holds for it too, but that its environment is the server's to apply. It does not end with
// the server.
struct LaunchSpec {
  std::string executable;  // absolute, or searched in the PATH of `env`; with fork_of: a name
  std::vector<std::string> args;  // argv[0] first
  std::vector<std::string> env;   // NAME=VALUE, complete
  std::string working_dir;        // absolute; empty: the head's
  bool own_session = false;       // setsid: a job, whose whole process group is one's to signal
  mode_t umask = 022;             // not the head's own, which would make a job's files private
  bool fork_server = false;       // it is one: gets the keeper's socket and KILN_FORK_SERVER
  uint64_t fork_of = 0;           // launch of a fork server; 0: none
  std::string setup;              // with fork_of: told the server, opaque here
};

// How a process ended.
struct ExitReport {
  int exit_code = -1;  // -1 when a signal ended it; of a failed start as a shell says it: 127 if
                       // the command was not found, else 126
  int signal = 0;
  bool started = true;   // false: could not be started; `error` says why
  int error_number = 0;  // errno of a failed start
  std::string error;     // "could not start /x: No such file or directory"
};
// "exit code 3", "killed by signal 9 (SIGKILL)", or the report's error.
std::string Describe(const ExitReport& report);

struct KeeperOptions {
  // What to run as the keeper: a program that calls RunKeeper when its arguments are "--keeper FD".
  std::string executable = "/proc/self/exe";
  // The head's lock file. The keeper removes files only if it gets this lock, so that it takes
  // nothing from a head that was started meanwhile, and keeps it until the last process is gone, so
  // that a new head waits. Empty: it removes them in any case.
  std::string lock;
};

// The head's side.
class Keeper {
 public:
  using LaunchId = uint64_t;
  struct Callbacks {
    // The process runs. `output_fd`: read end of its standard output and error, non-blocking,
    // yours.
    std::function<void(LaunchId, pid_t, int output_fd)> started;
    // It ended, or never started. Its output may still be read to the end.
    std::function<void(LaunchId, const ExitReport&)> exited;
  };

  // Starts the keeper process. `remove_at_end`: files it removes when the head is gone. From now on
  // every process that the head adopts or forks is the keeper's to kill.
  // Errors: Unavailable (cannot start it).
  static Result<std::unique_ptr<Keeper>> Start(EventLoop* loop,
                                               std::vector<std::string> remove_at_end,
                                               Callbacks callbacks, KeeperOptions options = {});
  // Ends the keeper and with it every process it started; no callback comes any more.
  // Blocks: until the keeper has ended, at most about a second.
  virtual ~Keeper() = default;

  // Exactly one `exited` follows for each launch, later, from the loop, once nothing of it is left;
  // also when the keeper dies (reported as SIGKILL). `started` comes before it if it was started.
  // That of a fork server comes before those of the forks that it could not make any more.
  virtual LaunchId Launch(const LaunchSpec& spec) = 0;
  // Signals the process, with `group` also all it has started. A launch that has ended is ignored.
  // What outlives its first process is killed at once, except after a `group` signal: then it has
  // time until a `group` SIGKILL.
  virtual void Signal(LaunchId id, int signal, bool group) = 0;
  // The keeper process; 0 while there is none.
  virtual pid_t pid() const = 0;
};

// The keeper's side: the whole life of the process. `socket_fd` was inherited.
// Returns: the exit code.
int RunKeeper(int socket_fd);

}  // namespace kiln::process
