// All actors, by id and by name, and the last dead ones.
//
// Thread: head loop only.
// Owner:  Core.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/core/actor_record.h"
#include "daemon/core/core.h"

namespace kiln::core {

class ActorTable {
 public:
  // Returns: null if there is none.
  Actor* Find(ActorId id);
  const Actor* Find(ActorId id) const;
  // Returns: the one that has the name and is not dead; null if there is none.
  Actor* FindNamed(const std::string& name_space, const std::string& name) const;
  // Requires: unknown id. Returns: a new pending actor.
  Actor& Insert(ActorId id);
  // Requires: nobody has it.
  void GiveName(Actor& actor, std::string name_space, std::string name);
  // The only place where an actor's state changes. Requires: MayMove. A dead one loses its name.
  void Move(Actor& actor, ActorState to);
  // Requires: dead. `row`: what lists still show of it.
  void Erase(Actor& actor, ActorRow row);

  // By id.
  const std::map<ActorId, Actor>& all() const { return actors_; }
  std::map<ActorId, Actor>& all() { return actors_; }
  // Oldest first, at most limits::kDeadActorsKept.
  const std::deque<ActorRow>& forgotten() const { return forgotten_; }
  size_t in_state(ActorState state) const { return counts_[static_cast<size_t>(state)]; }
  // What those in kAlive hold, unless they are blocked.
  const Resources& held() const { return held_; }
  size_t alive() const { return actors_.size() - in_state(ActorState::kDead); }

 private:
  std::map<ActorId, Actor> actors_;
  std::map<std::pair<std::string, std::string>, Actor*> names_;  // namespace and name
  std::deque<ActorRow> forgotten_;
  size_t counts_[kActorStates] = {};
  Resources held_;
};

}  // namespace kiln::core
