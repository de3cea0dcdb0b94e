// Asking tasks to stop: cancel, time-outs, and the grace period after either.
#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "daemon/core/core_state.h"

namespace kiln::core {

Result<CancelOutcome> Core::OnCancel(ObjectId id, bool force, Time now) {
  State& state = *state_;
  state.Begin(now);
  const Object* object = state.objects.Find(id);
  if (object == nullptr) {
    state.Finish();
    return Status(Code::kNotFound, "object " + FormatRef(id) + " is unknown");
  }
  Task* task = object->task() ? state.tasks.Find(object->task()) : nullptr;
  const CancelOutcome outcome = task ? state.CancelTree(*task, force) : CancelOutcome::kFinished;
  state.Finish();
  return outcome;
}

// Cancels the task and the unfinished tasks it has submitted, theirs included.
CancelOutcome Core::State::CancelTree(Task& task, bool force) {
  std::vector<TaskId> pending;
  AppendChildren(task, pending);
  const CancelOutcome outcome = CancelOne(task, force);
  while (!pending.empty()) {
    const TaskId id = pending.back();
    pending.pop_back();
    Task* child = tasks.Find(id);
    if (child == nullptr || child->cancel_asked) continue;
    AppendChildren(*child, pending);
    CancelOne(*child, force);
  }
  return outcome;
}

// Only a task that has begun has children: they are in the list of its worker's session.
void Core::State::AppendChildren(const Task& task, std::vector<TaskId>& children) const {
  if (task.worker == nullptr) return;
  const Session* session = sessions.Find(task.worker->session);
  if (session == nullptr) return;
  for (const Task* child = session->first_task; child; child = child->session_next) {
    const bool detached = classes.Get(child->task_class).detached;
    if (child->parent == task.id && !detached) children.push_back(child->id);
  }
}

// Ends what a task that fails has submitted.
void Core::State::CancelChildren(const Task& parent) {
  std::vector<TaskId> children;
  AppendChildren(parent, children);
  for (TaskId id : children) {
    if (Task* child = tasks.Find(id)) CancelTree(*child, /*force=*/false);
  }
}

CancelOutcome Core::State::CancelOne(Task& task, bool force) {
  if (task.worker == nullptr) {
    task.cancel_asked = true;
    FailAsAsked(task, {});
    return CancelOutcome::kDropped;
  }
  Worker& worker = *task.worker;
  if (!task.cancel_asked && !worker.killed) Decide(CancelTask{worker.id, task.id});
  task.cancel_asked = true;
  PlaceBusy(worker);
  if (!force) return CancelOutcome::kAsked;
  const bool begun = std::any_of(worker.stack.begin(), worker.stack.end(),
                                 [&](const Frame& frame) { return frame.tasks.first() == &task; });
  if (task.actor) return CancelOutcome::kAsked;  // its other calls need the process
  task.kill_asked = true;
  if (!begun) return CancelOutcome::kAsked;  // the worker hands it back, or see TakeOff
  Kill(worker, "its task " + classes.Get(task.task_class).name + " was cancelled by force");
  return CancelOutcome::kKilled;
}

void Core::State::SetTimeout(Task& task) {
  const Duration timeout = classes.Get(task.task_class).timeout;
  if (timeout <= Duration{0}) return;
  // A time-out so long that the clock cannot name its end is none.
  if (timeout >= kNever - now) return;
  task.has_deadline = true;
  deadlines[task.id].timeout = now + timeout;
  timers.Add({now + timeout, TimerKind::kTaskTimeout, task.id});
}

void Core::State::SetKill(Task& task) {
  Deadlines& due = deadlines[task.id];
  if (due.kill != kNever) return;
  task.has_deadline = true;
  due.kill = now + limits::kCancelGrace;
  timers.Add({due.kill, TimerKind::kTaskKill, task.id});
}

void Core::State::ClearDeadlines(Task& task) {
  if (!task.has_deadline) return;
  task.has_deadline = false;
  auto found = deadlines.find(task.id);
  timers.Remove({found->second.timeout, TimerKind::kTaskTimeout, task.id});
  timers.Remove({found->second.kill, TimerKind::kTaskKill, task.id});
  deadlines.erase(found);
}

void Core::State::OnTimeout(Task& task) {
  if (task.worker == nullptr) return;
  task.timed_out = true;
  if (!task.cancel_asked && !task.worker->killed) {
    Decide(CancelTask{task.worker->id, task.id});
  }
  SetKill(task);
}

void Core::State::OnGraceOver(Task& task) {
  if (task.worker == nullptr) return;
  Kill(*task.worker, "its task " + classes.Get(task.task_class).name + " did not stop when asked");
}

}  // namespace kiln::core
