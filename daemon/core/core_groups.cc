// Placement groups: bundles of resources that are reserved together, and what runs in them.
#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "daemon/core/core_state.h"
#include "daemon/core/group_resources.h"

namespace kiln::core {
namespace {

bool AnyNegative(const Resources& resources) {
  if (resources.cpu_units() < 0 || resources.memory_bytes() < 0) return true;
  return std::any_of(resources.custom().begin(), resources.custom().end(),
                     [](const auto& entry) { return entry.second < 0; });
}

std::string Label(const Group& group) {
  return group.name.empty() ? FormatRef(group.id) : group.name;
}

}  // namespace

Status Core::OnGroupSubmitted(GroupSpec spec, Time now) {
  State& state = *state_;
  if (Status status = state.CheckGroup(spec); !status.ok()) return status;
  state.Begin(now);
  Group& group = state.InsertGroup(spec);
  const Resources sum = SumOf(group.bundles);
  const std::string lacking = sum.FirstLacking(state.options.total);
  ErrorInfo error;
  error.task = "placement group";
  if (!state.sessions.Find(group.root)->open) {
    error.kind = ErrorKind::kCancelled;
    error.message = "the session it belongs to has ended";
  } else if (!lacking.empty()) {
    error.kind = ErrorKind::kUnschedulable;
    error.message = "the placement group asks for more than the head has: " + lacking;
  } else if (state.groups.all().size() > limits::kMaxGroups) {
    error.kind = ErrorKind::kResourceExhausted;
    error.message = "there are " + std::to_string(limits::kMaxGroups) +
                    " placement groups already; remove some of them";
  } else {
    state.reserved_groups.Add(group.id, ++state.last_reservation, sum);
    state.Finish();
    return {};
  }
  state.RemoveGroup(group, std::move(error));
  state.Finish();
  return {};
}

void Core::OnGroupRemoved(GroupId id, Time now) {
  State& state = *state_;
  Group* group = state.groups.Find(id);
  if (group == nullptr) return;
  state.Begin(now);
  state.RemoveGroup(*group, state.RemovalOf(*group, "it was removed"));
  state.Finish();
}

Status Core::State::CheckGroup(const GroupSpec& spec) const {
  if (Status status = CheckNewObject(spec.session, spec.id); !status.ok()) return status;
  const auto invalid = [&](const std::string& what) {
    return Status(Code::kInvalidArgument, "placement group " + FormatRef(spec.id) + ": " + what);
  };
  if (tasks.Find(spec.id) || groups.Find(spec.id)) return invalid("its id is already used");
  if (spec.bundles.empty() || spec.bundles.size() > limits::kMaxBundles) {
    return invalid("it has " + std::to_string(spec.bundles.size()) + " bundles, must be 1 to " +
                   std::to_string(limits::kMaxBundles));
  }
  if (std::any_of(spec.bundles.begin(), spec.bundles.end(), AnyNegative)) {
    return invalid("an amount of resources is negative or not a number");
  }
  return {};
}

Group& Core::State::InsertGroup(GroupSpec& spec) {
  Session& session = *sessions.Find(spec.session);
  Group& group = groups.Insert(spec.id);
  group.name = std::move(spec.name);
  group.bundles = std::move(spec.bundles);
  group.value = std::move(spec.value);
  group.owner = spec.session;
  group.parent = spec.parent;
  group.detached = spec.detached;
  group.created = now;
  const Task* parent = spec.parent ? tasks.Find(spec.parent) : nullptr;
  group.root = spec.detached              ? kHeadSession
               : parent && !parent->actor ? parent->root
                                          : session.root;
  Object& object = objects.Insert(group.id, spec.session);
  object.maker = kGroupMaker;
  AddReference(session, object);
  if (spec.detached && session.number != kHeadSession) {
    AddReference(*sessions.Find(kHeadSession), object);
  }
  return group;
}

void Core::State::CreateGroup(Group& group) {
  free.Add(OfBundles(group.bundles, group.id));
  groups.Create(group);
  Seal(*objects.Find(group.id), group.value, {}, /*is_error=*/false);
}

ErrorInfo Core::State::RemovalOf(const Group& group, const std::string& why) const {
  ErrorInfo error;
  error.kind = ErrorKind::kUnschedulable;
  error.message = "the placement group " + Label(group) + " is gone: " + why;
  error.task = "placement group";
  return error;
}

void Core::State::RemoveGroup(Group& group, ErrorInfo why) {
  const GroupId id = group.id;
  const bool detached = group.detached;
  GroupRow row = RowOf(group);
  row.detail = why.message;
  const Resources held = reserved_groups.End(id);
  if (group.state == GroupState::kCreated) {
    free.Add(held);
    free.Subtract(OfBundles(group.bundles, id));  // below zero, as long as somebody runs in it
  } else {
    Seal(*objects.Find(id), EncodeError(why), {}, /*is_error=*/true);
  }
  groups.Remove(group, std::move(row));
  EndUsers(id, why);
  if (detached) (void)DropReference(*sessions.Find(kHeadSession), id);
}

// Ends the tasks and actors that are to run in the group, or do.
void Core::State::EndUsers(GroupId id, const ErrorInfo& why) {
  std::vector<TaskId> users;
  tasks.ForEach([&](const Task& task) {
    const TaskClass& task_class = classes.Get(task.task_class);
    if (task_class.placement_group == id && !task_class.actor) users.push_back(task.id);
  });
  std::sort(users.begin(), users.end());
  std::vector<ActorId> hosted;
  for (const auto& [actor_id, actor] : actors.all()) {
    if (classes.Get(actor.creation).placement_group == id) hosted.push_back(actor_id);
  }
  for (ActorId actor_id : hosted) {
    Actor& actor = *actors.Find(actor_id);
    BuryActor(actor, DeathOf(actor, why.message), Ending::kKill);
  }
  for (TaskId task_id : users) {
    Task* task = tasks.Find(task_id);
    if (task == nullptr || task->is_call) continue;
    if (task->worker == nullptr) {
      FailTask(*task, MakeError(*task, why.kind, why.message));
    } else {
      CancelOne(*task, /*force=*/false);
      if ((task = tasks.Find(task_id))) SetKill(*task);
    }
  }
}

void Core::State::RemoveRooted(SessionNumber root) {
  std::vector<GroupId> ids;
  for (const auto& [id, group] : groups.all()) {
    if (group.root == root) ids.push_back(id);
  }
  for (GroupId id : ids) {
    Group& group = *groups.Find(id);
    RemoveGroup(group, RemovalOf(group, "the driver that it lived for has ended"));
  }
}

// Requires: the worker is gone, its tasks not yet. See BuryOwned.
void Core::State::RemoveOwned(const Worker& owner) {
  std::vector<GroupId> ids;
  for (const auto& [id, group] : groups.all()) {
    if (group.owner != owner.session || group.detached) continue;
    const bool unfinished = group.parent != 0 && tasks.Find(group.parent) != nullptr;
    if (owner.hosted || unfinished || group.root == owner.session) ids.push_back(id);
  }
  for (GroupId id : ids) {
    Group& group = *groups.Find(id);
    RemoveGroup(group, RemovalOf(group, "the process that made it has ended"));
  }
}

std::string Core::State::NeverFits(const TaskClass& task_class) const {
  const Resources none;
  const Resources& held = task_class.actor ? task_class.actor->held : none;
  const auto lacking = [&](const Resources& here) {
    std::string first = task_class.resources.FirstLacking(here);
    return first.empty() ? held.FirstLacking(here) : first;
  };
  if (task_class.method) return {};
  if (task_class.placement_group == 0) {
    const std::string first = lacking(options.total);
    return first.empty() ? "" : "asks for more than the head has: " + first;
  }
  const Group* group = groups.Find(task_class.placement_group);
  if (group == nullptr) {
    return "its placement group " + FormatRef(task_class.placement_group) +
           " is unknown: it was removed, or never made";
  }
  const std::string name = "its placement group " + Label(*group);
  if (task_class.bundle_index != kAnyBundle) {
    const auto index = static_cast<size_t>(task_class.bundle_index);
    if (index >= group->bundles.size()) {
      return name + " has " + std::to_string(group->bundles.size()) +
             " bundles, there is none with the index " + std::to_string(index);
    }
    const std::string first = lacking(group->bundles[index]);
    if (first.empty()) return {};
    return "asks for more than bundle " + std::to_string(index) + " of " + name + " has: " + first;
  }
  std::string last;
  for (const Resources& bundle : group->bundles) {
    last = lacking(bundle);
    if (last.empty()) return {};
  }
  return "asks for more than any bundle of " + name + " has: " + last;
}

// --- reading -------------------------------------------------------------------------------------

GroupRow Core::State::RowOf(const Group& group) const {
  GroupRow row{};
  row.id = group.id;
  row.name = group.name;
  row.state = Name(group.state);
  row.bundles = group.bundles;
  row.root = group.root;
  row.created = group.created;
  if (group.state == GroupState::kCreated) {
    row.used = UsedOfBundles(group.bundles, group.id, free);
  } else {
    const std::string lacking = SumOf(group.bundles).FirstLacking(free);
    row.detail = lacking.empty() ? "waits for its turn" : "waits for " + lacking;
  }
  return row;
}

std::vector<GroupRow> Core::ListGroups() const {
  std::vector<GroupRow> rows;
  for (const auto& [id, group] : state_->groups.all()) rows.push_back(state_->RowOf(group));
  rows.insert(rows.end(), state_->groups.removed().begin(), state_->groups.removed().end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](const GroupRow& a, const GroupRow& b) { return a.created > b.created; });
  return rows;
}

}  // namespace kiln::core
