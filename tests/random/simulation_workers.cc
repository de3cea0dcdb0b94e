// The world's workers: processes that start, run tasks as they like, are actors, and die.
#include <algorithm>
#include <utility>

#include "tests/random/simulation.h"

namespace kiln::core {

Process* Simulation::AnyProcess() {
  if (processes_.empty()) return nullptr;
  auto at = processes_.begin();
  std::advance(at, Number(static_cast<int>(processes_.size())));
  return &at->second;
}

void Simulation::StepProcess(Process& process, bool draining) {
  if (process.doomed && Chance(40)) return Die(process, "ended");
  if (process.session == 0) {
    if (process.deaf) return;
    if (!draining && Chance(5)) return Die(process, "exited with code 1");
    const SessionNumber session = next_session_++;
    const Status status = core_.OnWorkerReady(process.id, session, 1, now_);
    if (!status.ok()) CarryOut();  // it was to be killed
    Check(status.ok() || process.doomed, "refuses a worker");
    if (!status.ok()) return Die(process, "was not welcome");
    process.session = session;
    worker_sessions_[session] = process.id;
    return;
  }
  if (process.constructed || process.exiting) return StepActorProcess(process, draining);
  if (Chance(60) && MoveMessage(process)) return;
  if (process.stack.empty() && !process.queue.empty() && !draining && Chance(1)) {
    // Its library is out of date.
    ReturnTasks(process, {process.queue.begin(), process.queue.end()}, /*leaving=*/true);
    process.exiting = true;
    return;
  }
  if (process.stack.empty() && !process.queue.empty()) {
    const TaskId next = process.queue.front();
    process.queue.pop_front();
    return Begin(process, next, /*nested=*/false);
  }
  if (process.stack.empty()) {
    MoveMessage(process);
  } else {
    StepTask(process, process.stack.size() - 1, draining);
  }
}

void Simulation::StepActorProcess(Process& process, bool draining) {
  if (process.exiting || Chance(60)) {
    if (MoveMessage(process)) return;
    if (process.exiting) process.doomed = true;
  }
  if (process.exiting) return;
  if (const auto next = NextCall(process); next && Chance(50)) {
    const TaskId id = process.queue[*next];
    process.queue.erase(process.queue.begin() + static_cast<std::ptrdiff_t>(*next));
    process.passed.insert(id);
    calls_.OnBegun(id, process.passed);
    ++calls_begun_;
    return Begin(process, id, /*nested=*/false);
  }
  if (process.stack.empty()) {
    MoveMessage(process);
  } else {
    StepTask(process, static_cast<size_t>(Number(static_cast<int>(process.stack.size()))),
             draining);
  }
}

// Returns: empty for the default one, which takes the calls of groups that the actor does not have.
std::string Simulation::GroupOf(TaskId call, const ActorOptions& options) const {
  const auto view = core_.FindTask(call);
  return view && options.groups.contains(view->task_class->group) ? view->task_class->group : "";
}

// Groups do not wait for each other; within one, calls begin in order.
std::optional<size_t> Simulation::NextCall(const Process& process) const {
  const ActorOptions& options = actors_.at(process.actor).options;
  std::map<std::string, uint32_t> running;
  for (const FakeTask& task : process.stack) ++running[task.group];
  for (size_t i = 0; i < process.queue.size(); ++i) {
    const std::string group = GroupOf(process.queue[i], options);
    const uint32_t most = group.empty() ? options.max_concurrency : options.groups.at(group);
    if (running[group] < most) return i;
  }
  return std::nullopt;
}

bool Simulation::MoveMessage(Process& process) {
  auto& from = Chance(50) ? (process.inbox.empty() ? process.outbox : process.inbox)
                          : (process.outbox.empty() ? process.inbox : process.outbox);
  if (from.empty()) return false;
  const auto message = std::move(from.front());
  from.pop_front();
  message(process);
  return true;
}

void Simulation::Begin(Process& process, TaskId id, bool nested) {
  FakeTask task;
  task.id = id;
  if (auto actor = actors_.find(id); actor != actors_.end()) {
    task.constructor = true;
    task.limit = actor->second.rank;
    task.known = Usable(actor->second.given, task.limit);
  } else if (auto given = given_.find(id); given != given_.end()) {
    task.limit = limits_.at(id);
    task.known = Usable(given->second, task.limit);
    task.known.insert(task.known.end(), process.kept.begin(), process.kept.end());
  }
  if (process.actor) task.group = GroupOf(id, actors_.at(process.actor).options);
  if (const auto view = core_.FindTask(id); view && view->task_class->streaming) {
    task.streaming = true;
    task.window = nested ? 0 : view->task_class->stream_window;
  }
  process.stack.push_back(std::move(task));
}

Simulation::Submitter Simulation::SubmitterOf(const Process& process, const FakeTask& task) const {
  const TaskId parent = core_.FindTask(task.id) ? task.id : 0;
  const TaskId caller = process.actor ? 0 : parent;
  return {process.session, parent, process.program, task.limit, {process.session, caller}};
}

void Simulation::StepTask(Process& process, size_t index, bool draining) {
  FakeTask& task = process.stack[index];
  const SessionNumber session = process.session;
  if (task.blocked) {
    if (!task.cancelled && (task.window_full || !Chance(2))) return;
    task.blocked = false;  // time-out, or woken by its token
    task.window_full = false;
    task.awaited = 0;
    process.outbox.push_back(
        [this, id = task.id](Process& worker) { core_.OnUnblocked(worker.session, id, now_); });
    return;
  }
  ++task.steps;
  if (task.cancelled && Chance(50)) return EndTask(process, index, /*failed=*/Chance(90));
  if (draining || task.steps > 20) return EndTask(process, index, false);
  if (task.streaming && Chance(50)) return Yield(process, index);
  if (!task.streams.empty() && Chance(30)) return AwaitItem(process, index);
  if (Chance(10)) return StepActors(SubmitterOf(process, task), task.known, task.held);
  if (Chance(2)) return StepGroups(SubmitterOf(process, task), task.known, task.held);
  switch (Number(10)) {
    case 0:
    case 1: {
      if (process.stack.size() > 8) return EndTask(process, index, false);
      std::vector<ObjectId> held;
      // The frame is sent at once: ids are made by the sender.
      Submit(SubmitterOf(process, task), task.known, held);
      task.held.insert(task.held.end(), held.begin(), held.end());
      task.known.insert(task.known.end(), held.begin(), held.end());
      const auto child = core_.FindTask(held.front());
      if (child && child->task_class->streaming) task.streams[held.front()];
      break;
    }
    case 2:
    case 3:
      BlockTask(process, index);
      break;
    case 4: {
      const ObjectId id = NextId(session);
      Check(core_.OnObjectCreated(session, id, NextSlice()).ok(), "refuses a create");
      task.creating.push_back(id);
      break;
    }
    case 5:
      if (task.creating.empty()) break;
      Check(core_.OnObjectSealed(session, task.creating.back(), {}, now_).ok(), "refuses a seal");
      task.known.push_back(task.creating.back());
      task.held.push_back(task.creating.back());
      task.creating.pop_back();
      break;
    default:
      if (Chance(60)) EndTask(process, index, Chance(10));
  }
}

void Simulation::BlockTask(Process& process, size_t index) {
  FakeTask& task = process.stack[index];
  std::vector<ObjectId> some = Some(task.known, 4);
  std::sort(some.begin(), some.end());
  some.erase(std::unique(some.begin(), some.end()), some.end());
  if (some.empty()) return;
  task.blocked = true;
  task.waits = {some.begin(), some.end()};
  const auto all = static_cast<uint32_t>(some.size());
  task.needed = Chance(70) ? all : 1 + static_cast<uint32_t>(Number(static_cast<int>(all)));
  process.outbox.push_back([this, some, id = task.id, needed = task.needed](Process& worker) {
    Want(worker.session, some, id, needed);
  });
  ReturnQueue(process);
}

// Hands over an item, and waits if that was one too many for its consumer.
void Simulation::Yield(Process& process, size_t index) {
  FakeTask& task = process.stack[index];
  TaskResult item;
  ObjectId id = 0;
  if (!task.creating.empty()) {
    item.value = task.creating.back();
    task.creating.pop_back();
  } else {
    id = NextId(process.session);
    item.value = "item";
  }
  item.contained = Some(task.known, 1);
  const uint64_t place = task.yielded++;
  process.outbox.push_back([this, task_id = task.id, place, id, item](Process& worker) {
    const Status status = core_.OnYielded(worker.id, task_id, place, id, TaskResult(item), now_);
    Check(status.ok(), "refuses an honest item: " + status.message());
  });
  const uint64_t consumed = process.consumed[task.id];
  if (task.window == 0 || consumed == kNoWindow || task.yielded < consumed + task.window) return;
  task.blocked = task.window_full = true;
  ++windows_full_;
  ReturnQueue(process);
}

void Simulation::AwaitItem(Process& process, size_t index) {
  FakeTask& task = process.stack[index];
  auto stream = task.streams.begin();
  std::advance(stream, Number(static_cast<int>(task.streams.size())));
  const TaskId id = stream->first;
  task.blocked = true;
  task.awaited = id;
  task.awaited_count = stream->second.received + 1;
  task.waits = {id};
  task.needed = 1;
  process.outbox.push_back([this, id, by = task.id, count = task.awaited_count](Process& worker) {
    Want(worker.session, {id}, 0, 0);
    core_.OnItemAwaited(worker.session, by, id, count, now_);
  });
  ReturnQueue(process);
}

void Simulation::ReturnQueue(Process& process) {
  if (process.actor) return;  // an actor's calls wait where they are
  ReturnTasks(process, {process.queue.begin(), process.queue.end()});
}

void Simulation::EndTask(Process& process, size_t index, bool failed) {
  FakeTask task = std::move(process.stack[index]);
  process.stack.erase(process.stack.begin() + static_cast<std::ptrdiff_t>(index));
  TaskOutcome outcome;
  outcome.run_time = Chance(80) ? microseconds(Number(100)) : milliseconds(Number(100));
  outcome.failed = failed;
  outcome.retryable = Chance(80);
  const auto view = core_.FindTask(task.id);
  const uint32_t count = view ? view->task_class->num_returns : 1;
  for (uint32_t i = 0; i < (failed ? 1 : count); ++i) {
    TaskResult result;
    if (failed) {
      result.value = EncodeError(ErrorInfo{});
    } else if (!task.creating.empty()) {
      result.value = task.creating.back();
      task.creating.pop_back();
    } else {
      result.value = "value";
    }
    result.contained = Some(task.known, 1);
    outcome.results.push_back(std::move(result));
  }
  if (process.actor && Chance(draining_ ? 0 : 3)) outcome.failed = outcome.actor_exits = true;
  if (task.constructor) {
    process.constructed = !outcome.failed;
    process.exiting = outcome.failed;
    if (Chance(50)) {
      process.kept = task.held;
      task.held.clear();
    }
  } else if (outcome.actor_exits) {
    process.exiting = true;
  }
  for (ObjectId id : task.creating) {
    Check(core_.OnObjectAborted(process.session, id).ok(), "refuses an abort");
    Pump();
  }
  process.outbox.push_back(
      [this, id = task.id, outcome, held = task.held, streams = task.streams](Process& worker) {
        // What it returns may name the end of a stream, which goes on then without a reader.
        for (const auto& [stream, got] : streams) {
          const Status status = core_.OnStreamConsumed(worker.session, stream, 0, true, now_);
          Check(status.ok(), "refuses to drop a stream: " + status.message());
        }
        core_.OnTaskFinished(worker.id, id, TaskOutcome(outcome), now_);
        Pump();
        if (processes_.contains(worker.id)) Release(worker.session, held);
      });
}

void Simulation::ReturnTasks(Process& process, std::vector<TaskId> tasks, bool leaving) {
  std::erase_if(tasks, [&](TaskId id) { return std::erase(process.queue, id) == 0; });
  if (tasks.empty() && !leaving) return;
  process.outbox.push_back([this, tasks, leaving](Process& worker) {
    core_.OnTasksReturned(worker.id, tasks, leaving, now_);
  });
}

void Simulation::Die(Process& process, const std::string& reason) {
  const WorkerId id = process.id;
  const SessionNumber session = process.session;
  if (session != 0) {
    std::erase_if(wanted_, [&](const auto& entry) { return entry.first.first == session; });
  }
  processes_.erase(id);
  core_.OnWorkerLost(id, reason, now_);
}

bool Simulation::Busy(const Process& process) const {
  if (process.doomed || !process.inbox.empty() || !process.outbox.empty()) return true;
  if (process.session == 0) return !process.deaf;
  if (process.exiting) return true;
  if (process.constructed) {
    return NextCall(process).has_value() ||
           std::any_of(process.stack.begin(), process.stack.end(),
                       [](const FakeTask& task) { return !task.blocked || task.cancelled; });
  }
  if (process.stack.empty()) return !process.queue.empty();
  return !process.stack.back().blocked || process.stack.back().cancelled;
}

}  // namespace kiln::core
