// The head's own session: names and waits for what clients without a session make.
//
// Thread: head loop only.
// Owner:  Head.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/event_loop.h"
#include "common/ids.h"
#include "common/status.h"
#include "daemon/core/core.h"

namespace kiln::sessions {

class HeadSession {
 public:
  using WaitId = uint64_t;
  // Called once from the loop: true if enough objects are sealed, false when the time was over.
  using Done = std::function<void(bool)>;

  HeadSession(EventLoop* loop, core::Core* core);

  // Returns: the first of `count` fresh ids in a row.
  ObjectId NextIds(uint32_t count);

  // Waits until `needed` of the ids are sealed or `when` is past (kNever: without end). The objects
  // are kept alive meanwhile.
  // Errors: NotFound (an unknown id; nothing is waited for).
  Result<WaitId> Wait(std::vector<ObjectId> ids, size_t needed, Time when, Done done);
  // Ends a wait whose caller has gone; safe for one that is done.
  void CancelWait(WaitId id);

  // Decision DeliverObject or DeliverLost for kHeadSession.
  void OnDelivered(ObjectId id);

 private:
  struct Waiting {
    std::vector<ObjectId> ids;
    size_t missing;
    Done done;
    EventLoop::TimerId timer = 0;
  };
  void Finish(WaitId id, bool in_time);

  EventLoop* const loop_;
  core::Core* const core_;
  uint64_t next_sequence_;
  WaitId next_wait_ = 1;
  std::map<WaitId, Waiting> waits_;
  std::unordered_multimap<ObjectId, WaitId> by_object_;  // waits that miss the object
  std::unordered_set<ObjectId> wanted_;                  // asked of the core and not delivered yet
};

}  // namespace kiln::sessions
