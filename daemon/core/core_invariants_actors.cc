// What must hold between events for actors and their calls. For tests.
#include <algorithm>
#include <map>
#include <string>

#include "daemon/core/core_invariants.h"

namespace kiln::core {

std::string Core::Invariants::Actors() const {
  std::map<ProgramId, int> programs;
  for (const auto& [id, actor] : state.actors.all()) {
    if (std::string broken = ActorOf(actor); !broken.empty()) return broken;
    if (actor.state == ActorState::kDead) continue;
    ++programs[state.classes.Get(actor.creation).program];
    if (!actor.name.empty() && state.actors.FindNamed(actor.name_space, actor.name) != &actor) {
      return Of("not found by its name: actor", id);
    }
  }
  for (const auto& [id, program] : state.workers.programs()) {
    if (program.actors != programs[id]) return "wrong count of actors of a program";
  }
  return {};
}

std::string Core::Invariants::ActorOf(const Actor& actor) const {
  const Object* object = state.objects.Find(actor.id);
  if (object == nullptr || !object->is_actor()) return Of("no object stands for actor", actor.id);
  if (actor.worker && actor.worker->actor != &actor) return Of("its worker disagrees:", actor.id);
  if (actor.state == ActorState::kAlive && !actor.worker) return Of("alive nowhere:", actor.id);
  const Task* creation = state.tasks.Find(actor.id);
  const bool awaited = actor.state == ActorState::kPending ||
                       (actor.state == ActorState::kRestarting && actor.restart_at == kNever);
  if (awaited != (creation != nullptr)) return Of("its constructor is amiss:", actor.id);
  if (actor.holds == actor.all_blocked() && actor.worker) return Of("holds wrongly:", actor.id);
  std::map<std::string, uint32_t> sent;
  for (const Task* task = actor.sent.first(); task; task = task->next) {
    if (task->actor != &actor || task->worker != actor.worker) return Of("foreign:", task->id);
    const std::string& group = state.classes.Get(task->task_class).group;
    const bool known = std::any_of(actor.groups.begin(), actor.groups.end(),
                                   [&](const CallGroup& one) { return one.name == group; });
    if (task->is_call) ++sent[known ? group : ""];
    const bool blocked = actor.blocks.contains(task->id);
    if (blocked != (task->state == TaskState::kBlocked)) return Of("wrong state:", task->id);
    if (blocked && actor.blocks.at(task->id).needed == 0) return Of("should go on:", task->id);
  }
  uint64_t waiting = 0;
  for (const CallGroup& group : actor.groups) {
    if (group.sent != sent[group.name]) return Of("counts what it sent wrongly: actor", actor.id);
    size_t turns = 0;
    for (const auto& [caller, line] : group.lines) {
      if (line.calls.empty()) return Of("an empty line of actor", actor.id);
      waiting += line.calls.size();
      uint64_t before = 0;
      for (const Task* task = line.calls.first(); task; task = task->next) {
        if (task->actor != &actor || State::CallerOf(*task) != caller)
          return Of("misplaced:", task->id);
        if (task->sequence <= before) return Of("out of order:", task->id);
        before = task->sequence;
      }
      const bool in_turn = line.calls.first()->state == TaskState::kReady;
      if (in_turn != line.in_turn) return Of("a line is out of turn of actor", actor.id);
      turns += in_turn;
    }
    if (turns != group.turns.size()) return Of("wrong turns of actor", actor.id);
    const bool idle = actor.state == ActorState::kAlive &&
                      actor.worker->state != WorkerState::kLeaving && group.sent < group.limit &&
                      !group.turns.empty();
    if (idle) return Of("could send a call: actor", actor.id);
  }
  if (waiting != actor.waiting) return Of("counts its calls wrongly: actor", actor.id);
  const bool dead = actor.state == ActorState::kDead;
  if (dead && (actor.worker || waiting > 0 || !actor.sent.empty() || !actor.refs.empty())) {
    return Of("dead and not rid of all: actor", actor.id);
  }
  return {};
}

}  // namespace kiln::core
