// Tasks on workers: given, taken off, blocked, resumed.
#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "daemon/core/core_state.h"

namespace kiln::core {
namespace {

// Returns: the index of the frame the task is in.
// Requires: the worker has it.
size_t DepthOf(const Worker& worker, const Task& task) {
  size_t depth = worker.stack.size() - 1;
  if (depth == 0) return depth;
  const Task* first = &task;
  while (first->previous != nullptr) first = first->previous;
  while (worker.stack[depth].tasks.first() != first) --depth;
  return depth;
}

}  // namespace

void Core::OnUnblocked(SessionNumber session, TaskId blocked_task, Time now) {
  State& state = *state_;
  state.Begin(now);
  Task* task = state.tasks.Find(blocked_task);
  if (task && task->worker && task->worker->session == session) {
    if (Block* block = state.BlockOf(*task)) block->needed = 0;
    state.ResumeIfDone(*task);
  }
  state.Finish();
}

// Requires: the task is ready.
void Core::State::Assign(Task& task, Worker& worker, Place place) {
  Session& root = *sessions.Find(task.root);
  ready.Remove(task, root, classes.Get(task.task_class).priority, classes.ShapeOf(task.task_class));
  tasks.Move(task, TaskState::kAssigned);
  root.last_served = ++last_served;
  ready.Mark(root);
  if (task.actor) return HostActor(task, worker);
  task.worker = &worker;
  ++worker.assigned;
  if (place == Place::kBehind) {
    worker.stack.back().tasks.PushBack(task);
    task.ahead_us = classes.AheadUs(task.task_class).value_or(0);
    worker.ahead_us += task.ahead_us;
    if (!worker.recall_timer) {
      worker.recall_timer = true;
      timers.Add({worker.progress + limits::kRecallAfter, TimerKind::kRecall, worker.id});
    }
  } else {
    worker.stack.emplace_back().tasks.PushBack(task);
    worker.progress = now;
    TakeResources(task);
    SetTimeout(task);
  }
  UpdateState(worker);
  Decide(RunTask{worker.id, task.id, place == Place::kNested});
}

// Requires: a worker has the task.
void Core::State::TakeOff(Task& task) {
  if (task.actor) return TakeOffCall(task);
  Worker& worker = *std::exchange(task.worker, nullptr);
  --worker.assigned;
  if (task.recalled) --worker.recalled;
  task.recalled = false;
  worker.ahead_us -= std::exchange(task.ahead_us, 0);
  const size_t depth = DepthOf(worker, task);
  Frame& frame = worker.stack[depth];
  const bool begun = frame.tasks.first() == &task;
  const bool held = begun && frame.holds_resources;
  frame.tasks.Remove(task);
  if (begun) frame.block.reset();
  if (frame.tasks.empty()) {
    if (held) GiveResources(task);
    worker.stack.erase(worker.stack.begin() + static_cast<std::ptrdiff_t>(depth));
  } else if (begun) {
    // The next one takes over the slot: same shape, same resources.
    Task& next = *frame.tasks.first();
    worker.ahead_us -= std::exchange(next.ahead_us, 0);
    frame.holds_resources = true;
    if (!held || next.root != task.root) {
      if (held) GiveResources(task);
      TakeResources(next);
    }
    if (next.kill_asked) SetKill(next);  // it was not begun when the kill was asked for
  }
  ResumeInnermost(worker);
}

void Core::State::TakeResources(const Task& task) {
  const Shape& shape = classes.ShapeOfClass(task.task_class);
  free.Subtract(shape.resources);
  Session& root = *sessions.Find(task.root);
  root.cpu_units += shape.cpu_units;
  ready.Mark(root);
}

void Core::State::GiveResources(const Task& task) {
  const Shape& shape = classes.ShapeOfClass(task.task_class);
  free.Add(shape.resources);
  Session& root = *sessions.Find(task.root);
  root.cpu_units -= shape.cpu_units;
  ready.Mark(root);
}

Block* Core::State::BlockOf(const Task& task) {
  if (task.worker == nullptr) return nullptr;
  if (task.actor) {
    auto found = task.actor->blocks.find(task.id);
    return found == task.actor->blocks.end() ? nullptr : &found->second;
  }
  for (Frame& frame : task.worker->stack) {
    if (frame.tasks.first() == &task) return frame.block.get();
  }
  return nullptr;
}

// Lets a blocked task go on that has what it waited for, if it is innermost or a call.
void Core::State::ResumeIfDone(Task& task) {
  if (!task.actor) return ResumeInnermost(*task.worker);
  const Block* block = BlockOf(task);
  if (block && block->needed == 0) ResumeCall(task);
}

// Returns: the task if it may block: it is the innermost one of this session's worker, or blocked
//          already. Else null.
Task* Core::State::FindBlockable(SessionNumber session, TaskId id) {
  Task* task = tasks.Find(id);
  if (task == nullptr || task->worker == nullptr || task->worker->session != session) {
    return nullptr;
  }
  if (task->actor) return task;
  const bool innermost = task->worker->stack.back().tasks.first() == task;
  return innermost || task->state == TaskState::kBlocked ? task : nullptr;
}

// Requires: FindBlockable.
void Core::State::BlockTask(Task& task, Block block) {
  if (task.actor) {
    task.actor->blocks[task.id] = std::move(block);
    if (task.state != TaskState::kBlocked) tasks.Move(task, TaskState::kBlocked);
    return AdjustHold(*task.actor);
  }
  Worker& worker = *task.worker;
  for (Frame& frame : worker.stack) {
    if (frame.tasks.first() != &task) continue;
    frame.block = std::make_unique<Block>(std::move(block));
    // One that is blocked already gave up the last wait and waits for something else now, perhaps
    // with a task above it that is on its way back.
    if (task.state == TaskState::kBlocked) return;
    tasks.Move(task, TaskState::kBlocked);
    frame.holds_resources = false;
    GiveResources(task);
    UpdateState(worker);
    return;
  }
}

void Core::State::CountDelivery(const Waiter& waiter) {
  if (waiter.block == 0) return;
  Task* task = tasks.Find(waiter.blocked_task);
  if (task == nullptr || task->worker == nullptr) return;
  Block* block = BlockOf(*task);
  if (block == nullptr || block->number != waiter.block) return;
  if (block->needed > 0) --block->needed;
  if (block->needed == 0) ResumeIfDone(*task);
}

// Lets the innermost task go on if it has what it waited for.
void Core::State::ResumeInnermost(Worker& worker) {
  if (worker.blocked() && worker.stack.back().block->needed == 0) {
    Frame& frame = worker.stack.back();
    frame.block.reset();
    frame.holds_resources = true;
    Task& task = *frame.tasks.first();
    TakeResources(task);  // at once, even if that overdraws: it is in the middle of its work
    tasks.Move(task, TaskState::kAssigned);
    worker.progress = now;
  }
  UpdateState(worker);
}

void Core::State::UpdateState(Worker& worker) {
  if (worker.state == WorkerState::kLeaving || worker.hosted) return busy.Remove(worker);
  const WorkerState state = worker.stack.empty() ? WorkerState::kIdle
                            : worker.blocked()   ? WorkerState::kBlocked
                                                 : WorkerState::kBusy;
  workers.Move(worker, state, now);
  PlaceBusy(worker);
}

void Core::State::PlaceBusy(Worker& worker) {
  if (worker.state == WorkerState::kBusy && worker.stack.size() == 1 && worker.recalled == 0) {
    const TaskList& queue = worker.stack.front().tasks;
    const Task& first = *queue.first();
    if (!first.cancel_asked && classes.IsShort(first.task_class)) {
      return busy.Place(worker, classes.ShapeOf(first.task_class), queue.size());
    }
  }
  busy.Remove(worker);
}

// Asks the worker for the tasks behind the first `kept` of its innermost frame.
void Core::State::Recall(Worker& worker, size_t kept) {
  Frame& frame = worker.stack.back();
  RecallTasks recall{worker.id, {}};
  size_t place = 0;
  for (Task* task = frame.tasks.first(); task; task = task->next) {
    if (place++ < kept || task->recalled) continue;
    task->recalled = true;
    ++worker.recalled;
    recall.tasks.push_back(task->id);
  }
  if (recall.tasks.empty()) return;
  Decide(std::move(recall));
  PlaceBusy(worker);
}

void Core::State::OnRecallDue(Worker& worker) {
  worker.recall_timer = false;
  if (worker.stack.empty() || worker.stack.back().tasks.size() < 2) return;
  if (worker.blocked()) return;  // it returns them by itself
  const Time due = worker.progress + limits::kRecallAfter;
  if (due <= now) {
    Recall(worker, 1);
  } else {
    worker.recall_timer = true;
    timers.Add({due, TimerKind::kRecall, worker.id});
  }
}

}  // namespace kiln::core
