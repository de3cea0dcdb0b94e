// Jobs waiting for their CPUs, oldest first, and those that hold them.
//
// Thread: head loop only.
// Owner:  Core.
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "common/ids.h"
#include "daemon/core/resources.h"

namespace kiln::core {

class JobQueue {
 public:
  struct Waiting {
    JobId id = 0;
    Resources resources;
    uint32_t bypasses = 0;  // tasks dispatched while it did not fit
  };

  void Add(JobId id, const Resources& resources) { waiting_.push_back({id, resources}); }
  // Returns: the oldest waiting job; null if there is none.
  Waiting* first() { return waiting_.empty() ? nullptr : &waiting_.front(); }
  const Waiting* first() const { return waiting_.empty() ? nullptr : &waiting_.front(); }
  // Requires: a waiting job.
  // Returns:  the oldest one, which holds its resources from now on.
  JobId StartFirst();
  // Returns: what the job held; nothing (no resources) if it was waiting or is unknown.
  Resources End(JobId id);
  // What all running jobs hold.
  const Resources& held() const { return held_; }

 private:
  std::deque<Waiting> waiting_;
  std::map<JobId, Resources> running_;
  Resources held_;
};

}  // namespace kiln::core
