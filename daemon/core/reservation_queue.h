// Jobs, or placement groups, that wait for their resources, oldest first, and those that hold them.
//
// Thread: head loop only.
// Owner:  Core.
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "daemon/core/resources.h"

namespace kiln::core {

class ReservationQueue {
 public:
  struct Waiting {
    uint64_t id = 0;     // a JobId or GroupId
    uint64_t order = 0;  // among all that wait, in whatever queue
    Resources resources;
    uint32_t bypasses = 0;  // what was dispatched while it did not fit
  };

  void Add(uint64_t id, uint64_t order, const Resources& resources) {
    waiting_.push_back({id, order, resources});
  }
  // Oldest first.
  std::deque<Waiting>& waiting() { return waiting_; }
  const std::deque<Waiting>& waiting() const { return waiting_; }
  // Returns: the oldest waiting one; null if there is none.
  Waiting* first() { return waiting_.empty() ? nullptr : &waiting_.front(); }
  // The waiting one holds its resources from now on. Requires: it waits here.
  void Start(const Waiting& waiting);
  // Returns: what it held; nothing (no resources) if it was waiting or is unknown.
  Resources End(uint64_t id);
  // What all of them hold.
  const Resources& held() const { return held_; }

 private:
  std::deque<Waiting> waiting_;
  std::map<uint64_t, Resources> holders_;
  Resources held_;
};

}  // namespace kiln::core
