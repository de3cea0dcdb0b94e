// The keeper's process: the whole of its state; see keeper.h for what it is for.
//
// Thread: the keeper's only one.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/process/fork_orders.h"
#include "daemon/process/keeper_wire.h"
#include "daemon/process/process_tree.h"
#include "daemon/process/start_child.h"
#include "daemon/process/unique_fd.h"

namespace kiln::process {

// Marks what a launch has started; see LaunchSpec.
inline constexpr char kMarkName[] = "KILN_LAUNCH=";

class KeeperProcess {
 public:
  explicit KeeperProcess(int socket_fd);
  int Run();

 private:
  using Clock = std::chrono::steady_clock;
  struct Launched {
    StartedChild child;    // of a fork: pid 0 until its server has answered, no status
    uint64_t fork_of = 0;  // its fork server's launch
    std::vector<std::pair<int, bool>> signals;  // with pid 0: to be sent, with `group`
    std::string mark;                           // the variable in the environment of all it starts
    bool own_session = false;
    bool gentle = false;  // signalled: what outlives the first process has time until SIGKILL
    bool ended = false;   // the first process was reaped
    int wait_status = 0;  // with ended
    Clock::time_point ended_at{};
  };
  using Launches = std::map<uint64_t, Launched>;
  struct Stray {
    ProcessEntry entry;
    uint64_t in_session_of = 0;  // a launch; 0: of none
  };
  // How a child ended that no launch was known to have.
  struct Reaped {
    int wait_status = 0;
    Clock::time_point at{};
  };

  // One turn of the loop. Returns: false when the head is gone.
  bool Turn();
  bool ReadHead();
  void OnLaunch(uint64_t id, int spec_fd);
  void OnFork(uint64_t id, LaunchSpec spec);
  void ReadForkServers();
  void ReadForkServer(uint64_t server);
  void OnForked(const ForkAnswer& answer);
  // A fork server is gone: tells of the forks that it did not make.
  void EndForkServer(uint64_t server);
  void KillStuckServers();
  void OnSignal(const Message& message);
  void SendSignal(Launches::iterator it, int signal, bool group);
  void SignalStrays();
  void Reap();
  static void SetEnded(Launched& launch, int wait_status);
  void TellNotStarted(uint64_t id, StartStep step, int error_number);
  // The program runs, or could not be started: then the launch is forgotten.
  Launches::iterator FinishStart(Launches::iterator launch);
  void LookAfterEnded();
  // What launches have started, without their first processes and the dead.
  std::vector<Stray> ListStrays() const;
  // True if the launch has started it; nothing if that cannot be told now.
  static std::optional<bool> Has(const Launches::value_type& launch, const Stray& stray);
  void Tell(const Message& message, UniqueFd fd = {});
  void Flush();
  void End();
  bool TakeLock();

  UniqueFd socket_;
  UniqueFd signals_;
  Setup setup_;
  UniqueFd lock_;
  Launches launches_;
  ForkOrders forks_;
  std::map<pid_t, Reaped> reaped_;  // while a fork may have ended before it was told of
  std::deque<std::pair<Message, UniqueFd>> outbox_;
  size_t ended_ = 0;                                     // launches with `ended`
  Clock::time_point look_at_{};                          // no look at what they left behind before
  std::vector<std::pair<uint64_t, int>> group_signals_;  // launch and signal, for SignalStrays
  std::string mark_prefix_;
};

inline Message MakeMessage(MessageKind kind, uint64_t launch) {
  Message message;
  message.kind = kind;
  message.launch = launch;
  return message;
}

}  // namespace kiln::process
