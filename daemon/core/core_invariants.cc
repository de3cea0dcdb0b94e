// What must hold between events, checked from scratch. For tests.
#include "daemon/core/core_invariants.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "common/limits.h"
#include "daemon/core/group_resources.h"

namespace kiln::core {
namespace {

// A session's counts, from scratch.
struct SessionSums {
  uint64_t tasks = 0, rooted = 0;
  int64_t cpu_units = 0;
};

}  // namespace

std::string Core::CheckInvariants() const {
  const Invariants check{*state_};
  for (std::string broken :
       {check.Tasks(), check.Lines(), check.Workers(), check.Resources(), check.Sessions(),
        check.Objects(), check.Timers(), check.Streams(), check.StreamBlocks(), check.Actors()}) {
    if (!broken.empty()) return broken;
  }
  return {};
}

std::string Core::Invariants::Tasks() const {
  std::string broken;
  uint64_t bytes = 0;
  std::map<TaskState, uint64_t> counts;
  state.tasks.ForEach([&](const Task& task) {
    bytes += task.args.size();
    ++counts[task.state];
    if (broken.empty()) broken = TaskOf(task);
  });
  if (!broken.empty()) return broken;
  if (bytes != state.queued_bytes) return "queued_bytes is not the sum over all tasks";
  for (TaskState at :
       {TaskState::kWaiting, TaskState::kReady, TaskState::kAssigned, TaskState::kBlocked}) {
    if (counts[at] != state.tasks.in_state(at)) {
      return "wrong count of tasks in state " + std::string(Name(at));
    }
  }
  return {};
}

std::string Core::Invariants::TaskOf(const Task& task) const {
  if (task.state >= TaskState::kFinished) return Of("ended and still there: task", task.id);
  const bool on_worker = task.state == TaskState::kAssigned || task.state == TaskState::kBlocked;
  if (on_worker != (task.worker != nullptr)) return Of("worker does not fit state: task", task.id);
  if (!on_worker && task.cancel_asked) return Of("cancelled and still queued: task", task.id);
  if (!on_worker && task.has_deadline) return Of("queued with a deadline: task", task.id);
  if (task.has_deadline != state.deadlines.contains(task.id)) {
    return Of("deadline flag is wrong: task", task.id);
  }
  if (state.sessions.Find(task.session) == nullptr || state.sessions.Find(task.root) == nullptr) {
    return Of("session is gone: task", task.id);
  }
  uint32_t unsealed = 0;
  if (task.arguments) {
    for (uint32_t i = 0; i < task.arguments->refs; ++i) {
      const Object* object = state.objects.Find(task.arguments->ids[i]);
      if (object == nullptr) return Of("argument is gone: task", task.id);
      unsealed += object->state != ObjectState::kSealed;
    }
    if (task.state == TaskState::kWaiting && unsealed != task.arguments->unsealed) {
      return Of("wrong count of unsealed arguments: task", task.id);
    }
  }
  if ((task.state == TaskState::kWaiting) != (unsealed > 0)) {
    return Of("state does not fit its arguments: task", task.id);
  }
  const TaskClass& task_class = state.classes.Get(task.task_class);
  if (task.is_call != (task.actor && task_class.method))
    return Of("no call of its actor:", task.id);
  if (task_class.actor) return task.actor ? "" : Of("makes no actor: task", task.id);
  for (uint32_t i = 0; i < task_class.num_returns; ++i) {
    const Object* result = state.objects.Find(task.id + i);
    if (result == nullptr || result->state != ObjectState::kPending || result->task() != task.id) {
      return Of("result is not pending: task", task.id);
    }
  }
  return {};
}

std::string Core::Invariants::Lines() const {
  size_t ready = 0;
  for (const auto& [key, line] : state.ready.lines()) {
    size_t size = line.late.size();
    uint64_t before = 0;
    for (const Task* task = line.in_order.first(); task; task = task->next) {
      ++size;
      if (task->sequence <= before) return Of("line out of order at task", task->id);
      if (task->state != TaskState::kReady) return Of("in a line and not ready: task", task->id);
      if (state.classes.ShapeOf(task->task_class) != line.shape || task->root != line.number) {
        return Of("in a foreign line: task", task->id);
      }
      before = task->sequence;
    }
    if (size != line.size()) return "wrong length of a line";
    ready += size;
    if (size > 0 && line.root != state.sessions.Find(line.number)) return "a line has no root";
    if (line.marked) continue;
    if (size == 0) return "a line ran empty unnoticed";
    if (!line.in_place || line.rank != line.CurrentRank()) return "a line is out of its place";
  }
  const std::vector<Line*>& order = state.ready.last_order();
  const bool sorted = std::is_sorted(
      order.begin(), order.end(), [](const Line* a, const Line* b) { return a->rank < b->rank; });
  if (!sorted) return "the lines are out of order";
  if (ready != state.ready.size()) return "wrong length of the ready queue";
  for (const auto& [id, actor] : state.actors.all()) {
    for (const CallGroup& group : actor.groups) {
      for (const auto& [caller, line] : group.lines) {
        for (const Task* task = line.calls.first(); task; task = task->next) {
          ready += task->state == TaskState::kReady;
        }
      }
    }
  }
  if (ready != state.tasks.in_state(TaskState::kReady)) return "a ready task is in no line";
  return {};
}

std::string Core::Invariants::Workers() const {
  const int cap = state.options.max_workers + std::max(1, state.options.num_workers);
  if (state.workers.alive_for_tasks() > cap) return "more workers than the cap";
  std::map<WorkerState, int> counts;
  std::map<ShapeId, size_t> ahead;
  size_t assigned = 0;
  for (const auto& [id, worker] : state.workers.all()) {
    ++counts[worker.state];
    assigned += worker.assigned;
    if (worker.busy_length > 1) ahead[worker.busy_shape] += worker.busy_length - 1;
    if (std::string broken = StackOf(worker); !broken.empty()) return broken;
  }
  const uint64_t on_workers =
      state.tasks.in_state(TaskState::kAssigned) + state.tasks.in_state(TaskState::kBlocked);
  if (assigned != on_workers) return "an assigned task is on no worker";
  if (ahead.size() != state.busy.shapes_ahead().size()) return "wrong number of shapes ahead";
  for (const auto& [shape, count] : ahead) {
    if (count != state.busy.Ahead(shape)) return "wrong count of tasks given ahead";
  }
  for (const auto& [at, count] : counts) {
    if (count != state.workers.in_state(at)) return "wrong count of workers in a state";
  }
  for (const auto& [id, program] : state.workers.programs()) {
    int idle = 0, starting = 0, leaving = 0;
    for (const Worker* worker : program.workers) {
      idle += worker->state == WorkerState::kIdle;
      starting += worker->state == WorkerState::kStarting;
      leaving += worker->state == WorkerState::kLeaving;
    }
    if (idle != static_cast<int>(program.idle.size()) || starting != program.starting ||
        leaving != program.leaving) {
      return "wrong counts of workers of program " + std::to_string(id);
    }
  }
  return {};
}

std::string Core::Invariants::StackOf(const Worker& worker) const {
  const std::string name = "worker " + std::to_string(worker.id) + " ";
  uint32_t assigned = 0, recalled = 0, ahead_us = 0;
  if (worker.actor) {
    if (worker.actor->worker != &worker) return name + "hosts an actor that says otherwise";
    assigned += worker.actor->sent.size();
  }
  for (const Frame& frame : worker.stack) {
    if (frame.tasks.empty()) return name + "has an empty frame";
    for (const Task* task = frame.tasks.first(); task; task = task->next) {
      ++assigned;
      recalled += task->recalled;
      if (task->worker != &worker) return name + "has a task that says otherwise";
      const bool blocked = frame.block != nullptr && task == frame.tasks.first();
      if (blocked != (task->state == TaskState::kBlocked)) return name + "has a wrong task state";
      if (state.classes.ShapeOf(task->task_class) !=
          state.classes.ShapeOf(frame.tasks.first()->task_class)) {
        return name + "mixes shapes";
      }
      ahead_us += task->ahead_us;
      if (task == frame.tasks.first() && task->ahead_us > 0) return name + "counts what runs";
    }
    if (frame.holds_resources == (frame.block != nullptr)) return name + "holds wrong resources";
  }
  if (assigned != worker.assigned || recalled != worker.recalled) return name + "counts wrongly";
  if (ahead_us != worker.ahead_us) return name + "has a wrong sum of work ahead";
  if (worker.busy_length > 0) {
    const bool fits =
        worker.state == WorkerState::kBusy && worker.stack.size() == 1 && worker.recalled == 0 &&
        worker.busy_length == worker.stack.front().tasks.size() &&
        worker.busy_shape == state.classes.ShapeOf(worker.stack.front().tasks.first()->task_class);
    if (!fits) return name + "stands among the busy ones in a wrong place";
  }
  if (worker.stack.size() > limits::kMaxNestedDepth) return name + "is too deep";
  if (worker.blocked() && worker.stack.back().block->needed == 0) return name + "should resume";
  if (worker.state == WorkerState::kLeaving) return {};
  if ((worker.actor != nullptr) != worker.hosted) return name + "hosts a dead actor";
  const WorkerState expected = worker.session == 0    ? WorkerState::kStarting
                               : worker.actor         ? WorkerState::kActor
                               : worker.stack.empty() ? WorkerState::kIdle
                               : worker.blocked()     ? WorkerState::kBlocked
                                                      : WorkerState::kBusy;
  return expected == worker.state ? "" : name + "is in a wrong state";
}

std::string Core::Invariants::Resources() const {
  core::Resources free = state.options.total;
  free.Subtract(state.jobs.held());
  free.Subtract(state.reserved_groups.held());
  for (const auto& [id, group] : state.groups.all()) {
    if (group.state == GroupState::kCreated) free.Add(OfBundles(group.bundles, id));
  }
  core::Resources living;
  for (const auto& [id, worker] : state.workers.all()) {
    for (const Frame& frame : worker.stack) {
      if (!frame.holds_resources) continue;
      free.Subtract(state.classes.ShapeOfClass(frame.tasks.first()->task_class).resources);
    }
  }
  for (const auto& [id, actor] : state.actors.all()) {
    if (actor.holds) free.Subtract(actor.held);
    if (actor.state == ActorState::kAlive) living.Add(actor.held);
  }
  living.Subtract(state.actors.held());
  if (living.cpu_units() != 0 || living.memory_bytes() != 0) return "actors hold something else";
  // Compared by difference: one side may know a custom resource by name with nothing of it.
  core::Resources difference = free;
  difference.Subtract(state.free);
  if (difference.num_cpus() != 0 || difference.memory_bytes() != 0) {
    return "free resources are not the total minus what is held";
  }
  for (const auto& [name, units] : difference.custom()) {
    if (units != 0) return "free " + name + " is not the total minus what is held";
  }
  return {};
}

std::string Core::Invariants::Sessions() const {
  std::map<SessionNumber, SessionSums> sums;
  std::map<ProgramId, uint64_t> programs;
  std::map<ProgramId, int> kept_by;
  state.tasks.ForEach([&](const Task& task) {
    ++sums[task.session].tasks;
    ++sums[task.root].rooted;
    ++programs[state.classes.ShapeOfClass(task.task_class).program];
  });
  for (const auto& [id, worker] : state.workers.all()) {
    for (const Frame& frame : worker.stack) {
      const Task& task = *frame.tasks.first();
      if (!frame.holds_resources) continue;
      sums[task.root].cpu_units += state.classes.ShapeOfClass(task.task_class).cpu_units;
    }
  }
  for (const auto& [id, actor] : state.actors.all()) {
    if (actor.holds) sums[actor.root].cpu_units += FairCpuUnits(actor.held);
  }
  for (const auto& [number, session] : state.sessions.all()) {
    const std::string name = "session " + std::to_string(number) + " ";
    const SessionSums& expected = sums[number];
    if (session.tasks != expected.tasks) return name + "has a wrong count of tasks";
    if (session.rooted != expected.rooted) return name + "is root of a wrong count of tasks";
    if (session.cpu_units != expected.cpu_units) return name + "has a wrong count of CPUs";
    uint64_t listed = 0;
    for (const Task* task = session.first_task; task; task = task->session_next) {
      if (task->session != number) return name + "lists a foreign task";
      ++listed;
    }
    if (listed != session.tasks) return name + "lists a wrong number of tasks";
    if (session.open && session.keeps_ready) ++kept_by[session.program];
    const bool needed = session.open || session.tasks > 0 || session.rooted > 0;
    if (!needed) return name + "is closed and still there";
    if (!session.open && !session.references.empty()) return name + "is closed and holds objects";
  }
  for (const auto& [id, program] : state.workers.programs()) {
    if (program.tasks != programs[id]) return "wrong count of tasks of a program";
    if (program.kept_by != kept_by[id]) return "wrong count of drivers that keep a program ready";
  }
  return {};
}

std::string Core::Invariants::Objects() const {
  std::map<ObjectId, std::pair<uint64_t, uint64_t>> expected;  // references, pins
  std::map<ObjectId, SessionNumber> created;
  for (const auto& [number, session] : state.sessions.all()) {
    uint64_t references = 0;
    session.references.ForEach([&](const Reference& held) {
      expected[held.id].first += held.count;
      references += held.count;
    });
    if (references != session.reference_count) return "wrong sum of a session's references";
    for (ObjectId id : session.created) created[id] = session.number;
  }
  for (const auto& [id, actor] : state.actors.all()) {
    for (ObjectId ref : actor.refs) ++expected[ref].second;
    for (ObjectId ref : actor.nested_refs) ++expected[ref].second;
  }
  state.tasks.ForEach([&](const Task& task) {
    if (task.is_call) ++expected[task.actor->id].second;
    if (!task.arguments) return;
    for (ObjectId id : task.arguments->ids) ++expected[id].second;
  });
  state.objects.ForEach([&](const Object& object) {
    if (!object.content) return;
    for (ObjectId id : object.content->contained) ++expected[id].second;
  });
  std::string broken;
  state.objects.ForEach([&](const Object& object) {
    const auto& [references, pins] = expected[object.id];
    if (object.references != references) broken = Of("wrong count of references on", object.id);
    if (object.pins != pins) broken = Of("wrong count of pins on", object.id);
    const bool pending = object.state == ObjectState::kPending;
    if (pending != (object.content == nullptr)) broken = Of("content does not fit", object.id);
    const bool made = state.tasks.Find(object.task()) || state.groups.Find(object.id);
    if (pending && !made) broken = Of("nobody makes", object.id);
    const bool sealed = object.state == ObjectState::kSealed;
    if (sealed && object.interest) broken = Of("sealed and awaited:", object.id);
    const bool constructing = object.is_actor() && state.tasks.Find(object.id);
    if (object.is_actor() && !state.actors.Find(object.id)) broken = Of("no actor:", object.id);
    if (sealed && object.unwanted() && !object.kept && !constructing)
      broken = Of("unwanted and kept:", object.id);
    if ((object.state == ObjectState::kCreated) != created.contains(object.id)) {
      broken = Of("nobody writes", object.id);
    }
  });
  for (const auto& [id, counts] : expected) {
    if (state.objects.Find(id) == nullptr) return Of("referred to and gone:", id);
  }
  return broken;
}

std::string Core::Invariants::Timers() const {
  for (const auto& [id, due] : state.deadlines) {
    if (state.tasks.Find(id) == nullptr) return Of("deadline of a gone task", id);
  }
  for (const auto& [id, due] : state.expiries) {
    if (state.sessions.Find(kHeadSession)->references.Find(id) == nullptr) {
      return Of("time to live without a reference:", id);
    }
  }
  if (!state.failing.empty() || !state.unwanted.empty() || !state.settling.empty() ||
      !state.forsaken.empty() || !state.dropped.empty())
    return "notes are left over";
  return {};
}

std::string Core::Invariants::Streams() const {
  uint64_t streaming = 0;
  std::string broken;
  state.tasks.ForEach([&](const Task& task) {
    if (!state.classes.Get(task.task_class).streaming) return;
    ++streaming;
    auto found = state.streams.find(task.id);
    if (found == state.streams.end()) {
      broken = Of("no record of the stream of task", task.id);
      return;
    }
    const Stream& stream = found->second;
    if (stream.consumed > stream.handed) broken = Of("more consumed than handed by", task.id);
    if (!task.worker && stream.produced > 0) broken = Of("queued and has produced: task", task.id);
    if (!task.cancel_asked && state.objects.Find(task.id)->unwanted()) {
      broken = Of("nobody reads the stream of task", task.id);
    }
  });
  if (broken.empty() && streaming != state.streams.size()) return "streams are left over";
  return broken;
}

// Whoever waits for the other side of a stream has to.
std::string Core::Invariants::StreamBlocks() const {
  for (const auto& [id, worker] : state.workers.all()) {
    for (const Frame& frame : worker.stack) {
      if (!frame.block || frame.block->needed == 0) continue;
      const Block& block = *frame.block;
      const Task& task = *frame.tasks.first();
      if (block.window) {
        auto own = state.streams.find(task.id);
        if (own == state.streams.end()) return Of("waits without a stream: task", task.id);
        if (!state.WindowIsFull(task, own->second)) return Of("has a window again: task", task.id);
      }
      if (block.stream == 0) continue;
      auto awaited = state.streams.find(block.stream);
      if (awaited == state.streams.end()) return Of("awaits an ended stream: task", task.id);
      if (awaited->second.handed >= block.items) return Of("has its item: task", task.id);
      if (awaited->second.waiter != id) return Of("would not be told of its item: task", task.id);
    }
  }
  return {};
}

}  // namespace kiln::core
