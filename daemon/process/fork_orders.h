// The keeper's fork servers, and what was ordered of them and not answered yet.
//
// An order waits here until its server is ready, so that one that nobody wants any more is dropped
// at once, however long the server takes.
//
// Thread: the keeper's only one.
// Owner:  KeeperProcess.
// See:    common/fork_server.h for the messages.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <vector>

#include "common/fork_server.h"
#include "daemon/process/unique_fd.h"

namespace kiln::process {

class ForkOrders {
 public:
  using Clock = std::chrono::steady_clock;

  // `server`: its launch. `socket`: the keeper's end.
  void AddServer(uint64_t server, UniqueFd socket);
  bool HasServer(uint64_t server) const { return servers_.contains(server); }

  // Orders a worker, once the server is ready. `output`, `file`: as SendForkOrder has them.
  // Requires: HasServer.
  void Add(uint64_t server, uint64_t launch, UniqueFd output, UniqueFd file);
  // Drops an order. Returns: false if the server has it already; then it must answer within
  // kAnswerTimeout, or it is stuck.
  bool Withdraw(uint64_t server, uint64_t launch, Clock::time_point now);
  // Sends what can be sent.
  void Send();
  // Returns: the server's answers that have come, oldest first, each to an order it had.
  std::vector<ForkAnswer> Receive(uint64_t server);
  // The server has ended, and all its answers were received. Returns: the launches it never
  // answered, in order.
  std::vector<uint64_t> RemoveServer(uint64_t server);

  std::vector<uint64_t> Servers() const;
  // Returns: the servers that are to be killed: they do not answer, or have closed their socket and
  // live on.
  std::vector<uint64_t> Stuck(Clock::time_point now) const;
  // True if Stuck is to be asked again soon.
  bool any_may_be_stuck() const;
  // True if a server has an order: a worker may be there that nobody has told of.
  bool any_sent() const;
  // Appends what is to be waited for.
  void AppendPolls(std::vector<pollfd>* fds) const;

 private:
  struct Order {
    uint64_t launch = 0;
    UniqueFd output;
    UniqueFd file;
  };
  struct Server {
    UniqueFd socket;
    bool ready = false;
    bool closed = false;                                    // its end of the socket
    std::deque<Order> waiting;                              // oldest first
    std::set<uint64_t> sent;                                // launches
    Clock::time_point stuck_at = Clock::time_point::max();  // unless it answers before
  };

  std::map<uint64_t, Server> servers_;
};

}  // namespace kiln::process
