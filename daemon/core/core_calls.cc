// Calls of actors: in order for each caller, callers in turns, a few sent ahead.
#include <algorithm>
#include <chrono>
#include <utility>

#include "common/limits.h"
#include "daemon/core/core_state.h"

namespace kiln::core {
namespace {

constexpr double kPipelineWorkUs =
    std::chrono::duration<double, std::micro>(limits::kPipelineWork).count();
// Weight of the newest run time in an actor's mean.
constexpr double kNewestWeight = 0.25;

}  // namespace

Caller Core::State::CallerOf(const Task& call) {
  return {call.session, call.by_actor ? 0 : call.parent};
}

CallGroup& Core::State::GroupOf(const Task& call) {
  Actor& actor = *call.actor;
  const std::string& name = classes.Get(call.task_class).group;
  if (name.empty()) return actor.groups.front();
  for (CallGroup& group : actor.groups) {
    if (group.name == name) return group;
  }
  return actor.groups.front();  // it fails: see WhyNeverRuns
}

bool Core::State::KnowsGroup(const Task& call) const {
  const std::string& name = classes.Get(call.task_class).group;
  return name.empty() || std::any_of(call.actor->groups.begin(), call.actor->groups.end(),
                                     [&](const CallGroup& group) { return group.name == name; });
}

// A new call is the last one; those that come back from a lost process were before all that wait.
void Core::State::Enqueue(Task& call) {
  CallGroup& group = GroupOf(call);
  CallLine& line = group.lines[CallerOf(call)];
  Task* before = line.calls.last();
  while (before && before->sequence > call.sequence) before = before->previous;
  line.calls.InsertAfter(before, call);
  ++call.actor->waiting;
  PlaceLine(group, CallerOf(call), line);
}

// Requires: the call waits in its line.
void Core::State::Dequeue(Task& call) {
  CallGroup& group = GroupOf(call);
  CallLine& line = group.lines.at(CallerOf(call));
  line.calls.Remove(call);
  --call.actor->waiting;
  PlaceLine(group, CallerOf(call), line);
}

void Core::State::PlaceLine(CallGroup& group, const Caller& caller, CallLine& line) {
  const bool in_turn = !line.calls.empty() && line.calls.first()->state == TaskState::kReady;
  if (in_turn && !line.in_turn) {
    group.turns.push_back(&line);
  } else if (!in_turn && line.in_turn) {
    group.turns.erase(std::find(group.turns.begin(), group.turns.end(), &line));
  }
  line.in_turn = in_turn;
  if (line.calls.empty()) group.lines.erase(caller);
}

// A round trip between two calls costs more than a short call: more are sent, as much work as is
// given ahead to a worker.
size_t Core::State::CallsToSend(const Actor& actor, const CallGroup& group) const {
  const double mean = std::max(actor.mean_run_us, 1.0);
  const double ahead = actor.mean_run_us < 0 ? 1.0 : kPipelineWorkUs / mean;
  return group.limit + static_cast<size_t>(std::clamp<double>(ahead, 1, limits::kMaxCallsAhead));
}

void Core::State::SendCalls(Actor& actor) {
  if (actor.state != ActorState::kAlive || actor.worker->state == WorkerState::kLeaving) return;
  for (CallGroup& group : actor.groups) {
    const size_t most = CallsToSend(actor, group);
    while (group.sent < most && !group.turns.empty()) {
      CallLine& line = *group.turns.front();
      Task& call = *line.calls.first();
      const Caller caller = CallerOf(call);
      // To the end of the turns, if it has another one that is ready.
      group.turns.pop_front();
      line.in_turn = false;
      line.calls.Remove(call);
      --actor.waiting;
      PlaceLine(group, caller, line);
      tasks.Move(call, TaskState::kAssigned);
      call.worker = actor.worker;
      ++actor.worker->assigned;
      actor.sent.PushBack(call);
      ++group.sent;
      Decide(RunTask{actor.worker->id, call.id, /*nested=*/false});
    }
  }
  AdjustHold(actor);
}

// Requires: the worker of its actor has the call, or the constructor.
void Core::State::TakeOffCall(Task& task) {
  Actor& actor = *task.actor;
  --std::exchange(task.worker, nullptr)->assigned;
  actor.sent.Remove(task);
  actor.blocks.erase(task.id);
  if (task.is_call) --GroupOf(task).sent;
  AdjustHold(actor);
}

void Core::State::ResumeCall(Task& task) {
  task.actor->blocks.erase(task.id);
  tasks.Move(task, TaskState::kAssigned);
  AdjustHold(*task.actor);
}

void Core::State::FinishCall(Task& call, const TaskOutcome& outcome) {
  Actor& actor = *call.actor;
  ++actor.finished;
  actor.fruitless = 0;
  const auto newest = static_cast<double>(std::max<int64_t>(outcome.run_time.count(), 0));
  actor.mean_run_us = actor.mean_run_us < 0
                          ? newest
                          : actor.mean_run_us + kNewestWeight * (newest - actor.mean_run_us);
}

std::vector<TaskId> Core::State::UnfinishedCalls(const Actor& actor) const {
  std::vector<const Task*> calls;
  for (const Task* task = actor.sent.first(); task; task = task->next) {
    if (task->is_call) calls.push_back(task);
  }
  for (const CallGroup& group : actor.groups) {
    for (const auto& [caller, line] : group.lines) {
      for (const Task* task = line.calls.first(); task; task = task->next) calls.push_back(task);
    }
  }
  std::sort(calls.begin(), calls.end(),
            [](const Task* a, const Task* b) { return a->sequence < b->sequence; });
  std::vector<TaskId> ids;
  ids.reserve(calls.size());
  for (const Task* task : calls) ids.push_back(task->id);
  return ids;
}

// --- reading -------------------------------------------------------------------------------------

uint64_t Core::PendingCalls(ActorId id, SessionNumber session) const {
  const Actor* actor = state_->actors.Find(id);
  if (actor == nullptr) return 0;
  uint64_t pending = 0;
  for (const Task* task = actor->sent.first(); task; task = task->next) {
    pending += task->is_call && task->session == session;
  }
  for (const CallGroup& group : actor->groups) {
    for (auto line = group.lines.lower_bound({session, 0});
         line != group.lines.end() && line->first.session == session; ++line) {
      pending += line->second.calls.size();
    }
  }
  return pending;
}

}  // namespace kiln::core
