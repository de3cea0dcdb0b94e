// Blocked workers run what they wait for, on the stack of the task that waits.
//
// A task is nested on a worker only if the worker's innermost task waits for it, directly or
// through others. So whoever is below on a stack depends on all above it, and no circle can arise
// that is not in the user's program already.
#include <algorithm>
#include <unordered_set>
#include <utility>

#include "common/limits.h"
#include "daemon/core/core_state.h"

namespace kiln::core {

bool Core::State::MayRun(const Task& task, const Worker& worker, Where where) const {
  const Shape& shape = classes.ShapeOfClass(task.task_class);
  if (where == Where::kNested && (shape.program != worker.program || shape.creation)) return false;
  return shape.resources.FitsIn(free);
}

// A call waits for its arguments and those of the first call of its line, and for what the calls
// wait for that run before it.
// Returns: the constructor of its actor, if it has not ended.
Task* Core::State::AppendCall(const Task& call, std::vector<Branch>& branches) {
  const auto append = [&](const Task& task) {
    if (task.state != TaskState::kWaiting) return;
    branches.push_back({&task.arguments->ids, 0, task.arguments->refs});
  };
  append(call);
  if (call.worker == nullptr) append(*GroupOf(call).lines.at(CallerOf(call)).calls.first());
  for (const auto& [id, block] : call.actor->blocks) {
    branches.push_back({&block.ids, block.first_unsealed, block.ids.size()});
  }
  return tasks.Find(call.actor->id);
}

// Requires: the worker is blocked.
// Returns:  the first ready task that may run there (or anywhere) among those its innermost task
//           waits for, in the order of the waits, depth first; null if there is none within `limit`
//           steps.
Task* Core::State::FindAwaited(const Worker& worker, Where where, size_t limit) {
  Block& innermost = *worker.stack.back().block;
  const auto is_sealed = [this](ObjectId id) {
    const Object* object = objects.Find(id);
    return object == nullptr || object->state == ObjectState::kSealed;
  };
  while (innermost.first_unsealed < innermost.ids.size() &&
         is_sealed(innermost.ids[innermost.first_unsealed])) {
    ++innermost.first_unsealed;
  }
  std::vector<Branch> branches = {{&innermost.ids, innermost.first_unsealed, innermost.ids.size()}};
  std::unordered_set<TaskId> seen;
  size_t steps = 0;
  while (!branches.empty()) {
    Branch& branch = branches.back();
    if (branch.next == branch.end) {
      branches.pop_back();
      continue;
    }
    if (++steps > limit) return nullptr;
    const Object* object = objects.Find((*branch.ids)[branch.next++]);
    if (object == nullptr || object->state != ObjectState::kPending) continue;
    Task* task = tasks.Find(object->task());
    if (task == nullptr || !seen.insert(task->id).second) continue;
    if (task->is_call) {
      if (Task* creation = AppendCall(*task, branches);
          creation && seen.insert(creation->id).second) {
        task = creation;  // all calls wait for it
      } else {
        continue;
      }
    }
    if (task->state == TaskState::kReady && MayRun(*task, worker, where)) return task;
    if (task->state == TaskState::kWaiting) {
      branches.push_back({&task->arguments->ids, 0, task->arguments->refs});
    } else if (task->state == TaskState::kBlocked) {
      const Block& block = *BlockOf(*task);
      branches.push_back({&block.ids, block.first_unsealed, block.ids.size()});
    }
  }
  return nullptr;
}

// Nests one task. `stuck`: nothing else goes on, so search in full and nest under waits too.
// Returns: false if none can be nested.
bool Core::State::RunNested(bool stuck) {
  if (ready.empty() || workers.in_state(WorkerState::kBlocked) == 0) return false;
  const std::vector<Line*>& lines = ready.Order();
  const bool any_fits = std::any_of(lines.begin(), lines.end(), [this](const Line* line) {
    return classes.GetShape(line->shape).resources.FitsIn(free);
  });
  if (!any_fits) return false;
  std::vector<Worker*> blocked;
  for (auto& [id, worker] : workers.all()) {
    if (worker.state != WorkerState::kBlocked) continue;
    if (worker.stack.size() >= limits::kMaxNestedDepth) continue;
    // A wait goes on with the first answer: what it starts here would hold that up. Another
    // process is better while there may be one.
    const bool any = worker.stack.back().block->any;
    if (any && !stuck && CanStart(workers.ProgramOf(worker.program))) continue;
    blocked.push_back(&worker);
  }
  std::stable_sort(blocked.begin(), blocked.end(), [](const Worker* a, const Worker* b) {
    return a->stack.size() < b->stack.size();
  });
  for (Worker* worker : blocked) {
    Task* task = FindAwaited(*worker, Where::kNested, stuck ? SIZE_MAX : limits::kMaxAwaitedWalk);
    if (task == nullptr) continue;
    Assign(*task, *worker, Place::kNested);
    return true;
  }
  return false;
}

// True if tasks are ready, workers are blocked, and nothing is under way or can be started that
// could change either.
bool Core::State::IsStuck() {
  const bool still = !ready.empty() && workers.in_state(WorkerState::kBlocked) > 0 &&
                     workers.in_state(WorkerState::kBusy) == 0 &&
                     workers.in_state(WorkerState::kStarting) == 0 &&
                     workers.leaving_for_tasks() == 0;
  if (!still || AwaitsDriver()) return false;
  for (const auto& [id, actor] : actors.all()) {
    const bool returns = (actor.state == ActorState::kRestarting && actor.restart_at != kNever) ||
                         (actor.worker && actor.worker->state == WorkerState::kLeaving);
    if (actor.runs() || returns) return false;
  }
  const auto can_move = [this](const Line* line) {
    const Shape& shape = classes.GetShape(line->shape);
    const Program& program = workers.ProgramOf(shape.program);
    if (!shape.resources.FitsIn(free) || now < program.retry_at) return false;
    return !program.idle.empty() || CanStart(program, shape.creation ? 1 : 0) ||
           FindSpare(program.id) != nullptr;
  };
  const std::vector<Line*>& lines = ready.Order();
  return std::none_of(lines.begin(), lines.end(), can_move);
}

// Fails a task that is waited for, when no process that is there can run it (it would be nested too
// deep, or needs another program) and none can be started for it. Waiting on would be for ever.
// Requires: IsStuck, and nothing can be nested.
// Returns:  false if there is none.
bool Core::State::FailUnreachable() {
  for (auto& [id, worker] : workers.all()) {
    if (worker.state != WorkerState::kBlocked) continue;
    Task* task = FindAwaited(worker, Where::kAnywhere, SIZE_MAX);
    if (task == nullptr) continue;
    const ProgramId program = classes.ShapeOfClass(task->task_class).program;
    if (task->actor) continue;  // there is always room for its process
    if (workers.alive_for_tasks() < CapFor(program) || FindSpare(program)) continue;
    const std::string why = program == worker.program
                                ? "it would be nested more than " +
                                      std::to_string(limits::kMaxNestedDepth) + " tasks deep"
                                : "it needs a worker of another program";
    FailTask(*task, MakeError(*task, ErrorKind::kResourceExhausted,
                              "all " + std::to_string(workers.alive_for_tasks()) +
                                  " workers are blocked and none can run this task: " + why));
    return true;
  }
  return false;
}

}  // namespace kiln::core
