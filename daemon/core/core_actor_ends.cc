// How actors end, and how they are started anew.
#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "daemon/core/core_state.h"

namespace kiln::core {

ErrorInfo Core::State::DeathOf(const Actor& actor, std::string message) const {
  ErrorInfo death;
  death.kind = ErrorKind::kActorDied;
  const std::string& class_name = classes.Get(actor.creation).name;
  death.message = "the actor " + (actor.name.empty() ? class_name : actor.name) +
                  " is dead: " + std::move(message);
  death.task = class_name;
  death.worker_pid = actor.worker ? actor.worker->pid : 0;
  return death;
}

ErrorInfo Core::State::ForCall(const Task& call, ErrorInfo death) const {
  death.task = classes.Get(call.task_class).name;
  return death;
}

ErrorInfo Core::State::ExitOf(const Actor& actor, const TaskOutcome& outcome) const {
  const auto* encoded = outcome.failed && !outcome.results.empty()
                            ? std::get_if<std::string>(&outcome.results.front().value)
                            : nullptr;
  const std::string how = encoded ? DecodeError(*encoded).message : std::string();
  return DeathOf(actor, how.empty() ? "it ended by its own wish" : how);
}

void Core::State::BuryActor(Actor& actor, ErrorInfo death, Ending ending) {
  if (actor.state == ActorState::kDead) return;
  actors.Move(actor, ActorState::kDead);
  actor.death = std::move(death);
  --workers.ProgramOf(classes.Get(actor.creation).program).actors;
  timers.Remove({actor.restart_at, TimerKind::kRestart, actor.id});
  Hold(actor, {});
  std::vector<TaskId> begun;
  for (const Task* task = actor.sent.first(); task; task = task->next) begun.push_back(task->id);
  for (TaskId id : begun) {
    if (const Task* task = tasks.Find(id)) CancelChildren(*task);
  }
  if (Task* creation = tasks.Find(actor.id)) {
    const int64_t pid = creation->worker ? creation->worker->pid : 0;
    Detach(*creation);
    CloseTask(*creation, TaskState::kCancelled, actor.death.message, microseconds{0}, pid);
  }
  for (TaskId id : UnfinishedCalls(actor)) {
    Task& call = *tasks.Find(id);
    FailAsAsked(call, ForCall(call, actor.death));
  }
  if (Worker* worker = std::exchange(actor.worker, nullptr)) {
    worker->actor = nullptr;
    // What it still submits is for nobody, and ends with it.
    if (Session* session = sessions.FindOpen(worker->session)) session->root = session->number;
    if (ending == Ending::kKill) {
      Kill(*worker, actor.death.message);
    } else if (worker->state != WorkerState::kLeaving) {
      Leave(*worker);
      Decide(EndActor{worker->id});
    }
  }
  for (ObjectId id : std::exchange(actor.refs, {})) Unpin(id);
  for (ObjectId id : std::exchange(actor.nested_refs, {})) Unpin(id);
  actor.args = std::string();
  Session& head = *sessions.Find(kHeadSession);
  if (classes.Get(actor.creation).detached) (void)DropReference(head, actor.id);
  FreeIfUnwanted(*objects.Find(actor.id));
}

void Core::State::LeaveWorker(Actor& actor) {
  Worker* worker = std::exchange(actor.worker, nullptr);
  if (worker == nullptr) return;
  Hold(actor, {});
  worker->actor = nullptr;
  FreeIfUnwanted(*objects.Find(actor.id));
  if (worker->state == WorkerState::kLeaving) return;
  Leave(*worker);
  Decide(EndActor{worker->id});
}

bool Core::State::MayRestart(const Actor& actor) const {
  const int most = classes.Get(actor.creation).actor->max_restarts;
  return most < 0 || actor.restarts < static_cast<uint32_t>(most);
}

void Core::State::LoseActor(Actor& actor, int64_t pid, const std::string& reason) {
  const std::string what = "process " + std::to_string(pid) + " ended: " + reason;
  if (!MayRestart(actor)) {
    const uint32_t restarts = actor.restarts;
    return BuryActor(
        actor,
        DeathOf(actor,
                "its " + what +
                    (restarts > 0 ? "\n  restarts before that: " + std::to_string(restarts) : "")),
        Ending::kKill);
  }
  ErrorInfo unavailable = DeathOf(actor, "");
  unavailable.kind = ErrorKind::kActorUnavailable;
  unavailable.message = "the actor had this call when its " + what +
                        "\n  it is being started anew; whether the call had run is not known";
  actors.Move(actor, ActorState::kRestarting);
  ++actor.restarts;
  actor.last_end = what;
  std::vector<TaskId> lost, again;
  for (Task* task = actor.sent.first(); task; task = task->next) {
    if (!task->is_call) continue;
    const bool repeats = MayRunAgain(*task) && !task->cancel_asked;
    (repeats ? again : lost).push_back(task->id);
  }
  for (TaskId id : again) RunAgain(*tasks.Find(id), /*counts=*/true);
  if (Task* creation = tasks.Find(actor.id)) {
    Detach(*creation);
    CloseTask(*creation, TaskState::kFailed, unavailable.message, microseconds{0}, pid);
  }
  for (TaskId id : lost) {
    Task& call = *tasks.Find(id);
    FailAsAsked(call, ForCall(call, unavailable));
  }
  Hold(actor, {});
  actor.worker->actor = nullptr;
  actor.worker = nullptr;
  FreeIfUnwanted(*objects.Find(actor.id));
  Duration pause{0};
  if (actor.fruitless++ > 0) {
    pause = limits::kRestartBackoffFirst;
    for (uint32_t i = 1; i < actor.fruitless && pause < limits::kRestartBackoffMost; ++i)
      pause *= 2;
    pause = std::min<Duration>(pause, limits::kRestartBackoffMost);
  }
  actor.restart_at = now + pause;
  if (pause > Duration{0}) return timers.Add({actor.restart_at, TimerKind::kRestart, actor.id});
  OnRestartDue(actor);
}

void Core::State::OnRestartDue(Actor& actor) {
  if (actor.state != ActorState::kRestarting || tasks.Find(actor.id)) return;
  actor.restart_at = kNever;
  RepeatCreation(actor);
}

// Calls refer to their actor, so none is left. A constructor that runs is let end.
void Core::State::DropActor(Actor& actor) {
  Object& object = *objects.Find(actor.id);
  if (actor.state != ActorState::kDead) {
    if (const Task* creation = tasks.Find(actor.id); creation && creation->worker) return;
    BuryActor(actor, DeathOf(actor, "nobody referred to it any more"), Ending::kLeave);
  }
  if (object.kept) return;
  actors.Erase(actor, RowOf(actor));
  Free(object);
}

void Core::State::BuryRooted(SessionNumber root) {
  std::vector<ActorId> ids;
  for (const auto& [id, actor] : actors.all()) {
    if (actor.root == root && actor.state != ActorState::kDead) ids.push_back(id);
  }
  for (ActorId id : ids) {
    Actor& actor = *actors.Find(id);
    BuryActor(actor, DeathOf(actor, "the driver that it lived for has ended"), Ending::kKill);
  }
}

// Requires: the worker is gone, its tasks not yet. What a task has made that had ended lives on:
// others may have been handed it.
void Core::State::BuryOwned(const Worker& owner) {
  std::vector<ActorId> ids;
  for (const auto& [id, actor] : actors.all()) {
    if (actor.owner != owner.session || actor.state == ActorState::kDead) continue;
    const bool detached = classes.Get(actor.creation).detached;
    const bool unfinished = actor.parent != 0 && tasks.Find(actor.parent) != nullptr;
    const bool rooted = actor.root == owner.session;
    if (!detached && (owner.hosted || unfinished || rooted)) ids.push_back(id);
  }
  for (ActorId id : ids) {
    Actor& actor = *actors.Find(id);
    BuryActor(actor, DeathOf(actor, "the process that made it has ended"), Ending::kKill);
  }
}

}  // namespace kiln::core
