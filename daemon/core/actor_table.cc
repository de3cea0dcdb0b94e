#include "daemon/core/actor_table.h"

#include "common/check.h"
#include "common/limits.h"

namespace kiln::core {

Actor* ActorTable::Find(ActorId id) {
  auto found = actors_.find(id);
  return found == actors_.end() ? nullptr : &found->second;
}

const Actor* ActorTable::Find(ActorId id) const {
  auto found = actors_.find(id);
  return found == actors_.end() ? nullptr : &found->second;
}

Actor* ActorTable::FindNamed(const std::string& name_space, const std::string& name) const {
  auto found = names_.find({name_space, name});
  return found == names_.end() ? nullptr : found->second;
}

Actor& ActorTable::Insert(ActorId id) {
  auto [entry, fresh] = actors_.try_emplace(id);
  Require(fresh, "an actor's id is used twice");
  entry->second.id = id;
  ++counts_[static_cast<size_t>(ActorState::kPending)];
  return entry->second;
}

void ActorTable::GiveName(Actor& actor, std::string name_space, std::string name) {
  actor.name_space = std::move(name_space);
  actor.name = std::move(name);
  names_[{actor.name_space, actor.name}] = &actor;
}

void ActorTable::Move(Actor& actor, ActorState to) {
  Require(MayMove(actor.state, to), "an actor makes a move that its table does not have");
  --counts_[static_cast<size_t>(actor.state)];
  ++counts_[static_cast<size_t>(to)];
  if (to == ActorState::kAlive) held_.Add(actor.held);
  if (actor.state == ActorState::kAlive) held_.Subtract(actor.held);
  actor.state = to;
  if (to == ActorState::kDead && !actor.name.empty()) names_.erase({actor.name_space, actor.name});
}

void ActorTable::Erase(Actor& actor, ActorRow row) {
  Require(actor.state == ActorState::kDead, "an actor that is not dead is forgotten");
  --counts_[static_cast<size_t>(ActorState::kDead)];
  forgotten_.push_back(std::move(row));
  if (forgotten_.size() > limits::kDeadActorsKept) forgotten_.pop_front();
  actors_.erase(actor.id);
}

}  // namespace kiln::core
