// All placement groups that were not removed, and rows of the last that were.
//
// Thread: head loop only.
// Owner:  Core.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "daemon/core/core.h"
#include "daemon/core/group_record.h"

namespace kiln::core {

class GroupTable {
 public:
  // Returns: null if there is none.
  Group* Find(GroupId id);
  const Group* Find(GroupId id) const;
  // Requires: unknown id. Returns: a new pending group.
  Group& Insert(GroupId id);
  // The only places where a group's state changes. Requires: MayMove.
  void Create(Group& group);
  // It is gone; `row`: what lists still show of it.
  void Remove(Group& group, GroupRow row);

  // By id.
  const std::map<GroupId, Group>& all() const { return groups_; }
  // Oldest first, at most limits::kRemovedGroupsKept.
  const std::deque<GroupRow>& removed() const { return removed_; }

 private:
  std::map<GroupId, Group> groups_;
  std::deque<GroupRow> removed_;
};

}  // namespace kiln::core
