// Tells drivers of actors that do not begin: their programs would see only a call without end.
//
// Said on the driver's standard error, as what tasks print: that the actor whose turn is next has
// waited for a while; and what an actor died of that is started anew again and again.
//
// Thread: head loop only.
// Owner:  Head.
#pragma once

#include <cstddef>
#include <map>

#include "common/event_loop.h"
#include "daemon/core/core.h"
#include "daemon/sessions/session_table.h"

namespace kiln {

class ActorNotices {
 public:
  // All outlive this.
  ActorNotices(EventLoop* loop, const core::Core* core, sessions::SessionTable* sessions)
      : loop_(loop), core_(core), sessions_(sessions) {}
  ~ActorNotices() { loop_->CancelTimer(timer_); }

  // After each turn: looks in a while if there are actors without an instance.
  void AfterTurn();

 private:
  // What is known of a driver's actors, from one look to the next.
  struct Driver {
    ActorId longest = 0;  // of those that wait to be placed
    size_t waiting = 0;
    bool told = false;                     // that this one waits
    std::map<ActorId, uint32_t> restarts;  // of those that are started anew
  };

  void Look();

  EventLoop* const loop_;
  const core::Core* const core_;
  sessions::SessionTable* const sessions_;
  EventLoop::TimerId timer_ = 0;  // while there are such actors
  std::map<SessionNumber, Driver> drivers_;
};

}  // namespace kiln
