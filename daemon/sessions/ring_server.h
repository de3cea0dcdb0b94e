// Sessions over shared memory: accepts local peers, hands each its rings and the store, and polls
// all rings for the loop.
//
// Thread: head loop only.
// Owner:  Head.
// See:    docs/wire.md, "Rings"
#pragma once

#include <google/protobuf/arena.h>

#include <memory>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "daemon/sessions/ring_channel.h"
#include "daemon/store/store.h"

namespace kiln::sessions {

class SessionTable;

class RingServer : public EventLoop::Polled {
 public:
  // Listens on a socket for this user alone. Peers are passed the store.
  // Errors: Unavailable, InvalidArgument (the path is too long).
  static Result<std::unique_ptr<RingServer>> Open(EventLoop* loop, SessionTable* sessions,
                                                  const store::Store* store,
                                                  const std::string& socket_path);
  // Ends all sessions.
  ~RingServer() override;

  bool Poll() override;
  bool Park() override;
  void Unpark() override;

 private:
  RingServer(EventLoop* loop, SessionTable* sessions, const store::Store* store, int socket_fd);
  void Accept();
  void Greet(int fd);
  size_t CountUngreeted() const;
  // Requires: there is one.
  void DropOldestUngreeted();
  void RemoveEnded();

  EventLoop* const loop_;
  SessionTable* const sessions_;
  const store::Store* const store_;
  const int socket_fd_;
  // Room for a batch of ordinary frames, so that decoding them allocates nothing.
  static constexpr size_t kArenaBytes = 64 * 1024;
  const std::unique_ptr<char[]> arena_block_;
  google::protobuf::Arena arena_;
  std::vector<std::unique_ptr<RingChannel>> channels_;  // longest connected first
  EventLoop::TimerId accept_timer_ = 0;                 // while no descriptor was free
};

}  // namespace kiln::sessions
