// The world's placement groups: made, used, removed.
#include <algorithm>

#include "tests/random/simulation.h"

namespace kiln::core {

void Simulation::StepGroups(const Submitter& by, const std::vector<ObjectId>& known,
                            std::vector<ObjectId>& held) {
  if (Chance(30)) {
    if (const GroupId group = AnyGroup(known)) core_.OnGroupRemoved(group, now_);
    return Pump();
  }
  GroupSpec spec;
  spec.id = NextId(by.session);
  spec.session = by.session;
  spec.parent = by.parent;
  const double cpus[] = {0, 0.5, 1, 1, 2};
  for (int count = 1 + Number(2); count > 0; --count) {
    spec.bundles.emplace_back(cpus[Number(5)]);
    if (Chance(10)) spec.bundles.back().SetCustom("disk", 1);
  }
  spec.detached = Chance(10);
  spec.value = "reserved";
  const GroupId id = spec.id;
  groups_.insert(id);
  held.push_back(id);
  Check(core_.OnGroupSubmitted(std::move(spec), now_).ok(), "refuses a good group");
  Pump();
}

// Returns: 0 if there is none among `known`.
GroupId Simulation::AnyGroup(const std::vector<ObjectId>& known) {
  std::vector<GroupId> groups;
  std::copy_if(known.begin(), known.end(), std::back_inserter(groups),
               [&](ObjectId id) { return groups_.contains(id); });
  if (groups.empty()) return 0;
  return groups[static_cast<size_t>(Number(static_cast<int>(groups.size())))];
}

void Simulation::PutIntoGroup(TaskClass& task_class, const std::vector<ObjectId>& known) {
  if (!Chance(40)) return;
  task_class.placement_group = AnyGroup(known);
  task_class.bundle_index = task_class.placement_group ? Number(3) - 1 : -1;
}

// Returns: false if there is none that holds resources.
bool Simulation::RemoveGroupThatHolds() {
  for (const GroupRow& row : core_.ListGroups()) {
    if (row.state != "CREATED") continue;
    core_.OnGroupRemoved(row.id, now_);
    Pump();
    return true;
  }
  return false;
}

// Those that outlive their drivers.
void Simulation::RemoveGroups() {
  for (const GroupRow& row : core_.ListGroups()) {
    if (row.state == "REMOVED") continue;
    core_.OnGroupRemoved(row.id, now_);
    Pump();
  }
}

}  // namespace kiln::core
