// One placement group: bundles of resources that are reserved together.
//
// Thread: head loop only.
// Owner:  GroupTable.
// See:    docs/scheduling.md, "Placement groups".
#pragma once

#include <string>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "daemon/core/group_state.h"
#include "daemon/core/resources.h"

namespace kiln::core {

struct Group {
  GroupId id = 0;
  GroupState state = GroupState::kPending;
  std::string name;                    // for people; empty: none
  std::vector<Resources> bundles;      // not empty
  std::string value;                   // encoded, of its object once it is reserved
  SessionNumber owner = kHeadSession;  // that made it
  SessionNumber root = kHeadSession;   // driver it lives for; the head: it is detached
  TaskId parent = 0;                   // task that made it; 0: a driver or a thread
  bool detached = false;
  Time created{};
};

}  // namespace kiln::core
