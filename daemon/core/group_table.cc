#include "daemon/core/group_table.h"

#include <utility>

#include "common/check.h"
#include "common/limits.h"

namespace kiln::core {

Group* GroupTable::Find(GroupId id) {
  auto found = groups_.find(id);
  return found == groups_.end() ? nullptr : &found->second;
}

const Group* GroupTable::Find(GroupId id) const {
  auto found = groups_.find(id);
  return found == groups_.end() ? nullptr : &found->second;
}

Group& GroupTable::Insert(GroupId id) {
  auto [entry, fresh] = groups_.try_emplace(id);
  Require(fresh, "a placement group's id is used twice");
  entry->second.id = id;
  return entry->second;
}

void GroupTable::Create(Group& group) {
  Require(MayMove(group.state, GroupState::kCreated), "a placement group is reserved twice");
  group.state = GroupState::kCreated;
}

void GroupTable::Remove(Group& group, GroupRow row) {
  row.state = Name(GroupState::kRemoved);
  removed_.push_back(std::move(row));
  if (removed_.size() > limits::kRemovedGroupsKept) removed_.pop_front();
  groups_.erase(group.id);
}

}  // namespace kiln::core
