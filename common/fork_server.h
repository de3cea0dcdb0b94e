// Workers that start by fork: what the keeper and a fork server say to each other, and the server's
// end of it.
//
// A fork server is a process that has warmed up (an interpreter with its modules loaded) and then
// waits for orders. For each it forks a worker that is set up as the keeper sets up one that it
// executes itself: 4 ms of a core for a Python with numpy that takes 210 to start (see D32).
//
//   auto server = ForkServer::FromEnvironment();   // first of all; nothing: not a fork server
//   ...                                            // load what every worker needs
//   std::optional<ForkOrder> order = server->Serve(callbacks);
//   if (!order) return 0;                          // the server: nobody orders any more
//   ApplyEnvironment(*order);                      // a worker
//   ...                                            // run it
//
// The keeper's end of the socket is SEQPACKET: an order is the number of the launch, with two
// descriptors; a ForkAnswer comes back for each, in order, after one that says "ready".
//
// Thread: the server's only one. A fork would lose any other, unless that is one whose library sees
//         to it by pthread_atfork (numpy's OpenBLAS).
// See:    docs/wire.md, "Workers"; D32 and D33 in docs/decisions.md.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace kiln {

// The variable that tells a fork server the number of its socket, and the number it always has.
inline constexpr char kForkServerVariable[] = "KILN_FORK_SERVER";
inline constexpr int kForkServerSocket = 3;

// What a worker is to be. It travels in a memory file.
struct ForkOrder {
  std::vector<std::string> env;  // NAME=VALUE, complete; Serve leaves it to the caller to apply
  std::string working_dir;       // absolute; empty: the server's
  std::string setup;             // Program.setup, opaque here
  mode_t umask = 022;
  pid_t keeper = 0;  // whose child the worker becomes
};

// What a worker was doing when it could not be started.
enum class ForkStep : uint32_t { kPrepare, kWorkingDir };

struct ForkAnswer {
  uint64_t launch = 0;     // 0: the server is ready for orders; it says so once
  int32_t pid = 0;         // of the worker; 0: not started, see the next two
  ForkStep step{};         // with pid 0
  int32_t error_number{};  // errno; with pid 0
  int32_t reserved = 0;
  int64_t forked_ns = 0;  // CLOCK_MONOTONIC just before: a process that ended earlier was another
};
static_assert(std::is_trivially_copyable_v<ForkAnswer> && sizeof(ForkAnswer) == 32,
              "sent as it is in memory");

class ForkServer {
 public:
  // For a runtime that must know of forks (Python: PyOS_BeforeFork and what follows it). Each may
  // be empty.
  struct Callbacks {
    std::function<void()> before_fork;
    std::function<void()> after_fork_in_parent;  // also if the fork failed
    std::function<void()> after_fork_in_child;   // in the worker, the last before Serve returns
  };

  // Takes the socket named by KILN_FORK_SERVER and removes the variable; from now on the socket is
  // closed by exec. Returns: nothing if this process is no fork server.
  static std::optional<ForkServer> FromEnvironment();

  // `socket_fd`: becomes its own.
  explicit ForkServer(int socket_fd) : socket_(socket_fd) {}
  ForkServer(ForkServer&& other) noexcept;
  ForkServer& operator=(ForkServer&&) = delete;
  ~ForkServer();

  // Says "ready" and carries orders out. It returns many times: once in each worker, with its
  // order, and in the server, with nothing, when the keeper has closed the socket.
  //
  // A worker is a child of the keeper, killed with it (PR_SET_PDEATHSIG), and leads a session of
  // its own; it has /dev/null as standard input, the order's pipe as output and error, the order's
  // umask and working directory, and none of the server's own descriptors here. No signal is
  // blocked; as after an exec, those the server handles have their default action, and those it
  // ignores are ignored. Its environment is still the server's.
  //
  // Blocks: until then.
  // Requires: descriptors 0 to 2 are open; no other thread, see above; this process is no
  //           subreaper.
  std::optional<ForkOrder> Serve(const Callbacks& callbacks);

 private:
  struct Received;
  // Forks a worker. Returns: true in it.
  bool Fork(const Received& received, const ForkOrder& order, const Callbacks& callbacks);
  void Answer(const ForkAnswer& answer) const;

  int socket_;
};

// Makes the order's environment this process's own.
void ApplyEnvironment(const ForkOrder& order);

// --- the keeper's end ----------------------------------------------------------------------------

// Returns: a memory file that holds the order, yours; -1, with errno, if there is no room.
int EncodeForkOrder(const ForkOrder& order);
// Sends an order without blocking; the descriptors stay the caller's. `output_fd`: write end of the
// worker's output. Requires: launch is not 0.
// Returns: 0; EAGAIN if there is no room now; else the server has closed its end.
int SendForkOrder(int socket_fd, uint64_t launch, int output_fd, int order_fd);
// Receives without blocking. Returns: 0; EAGAIN if there is none now; else the server has closed
// its end or talks nonsense.
int ReceiveForkAnswer(int socket_fd, ForkAnswer* answer);

}  // namespace kiln
