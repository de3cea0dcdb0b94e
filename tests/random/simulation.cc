#include "tests/random/simulation.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "common/limits.h"

namespace kiln::core {
namespace {

CoreOptions RandomOptions(std::mt19937_64& random) {
  CoreOptions options;
  const int cpus = 1 + static_cast<int>(random() % 4);
  options.total = Resources(cpus, 1000);
  options.total.SetCustom("disk", 2);
  options.num_workers = cpus;
  options.max_workers = cpus + static_cast<int>(random() % 5);
  options.max_queued_tasks = 200;
  options.max_queued_bytes = 10'000;
  return options;
}

}  // namespace

Simulation::Simulation(uint64_t seed)
    : random_(seed), options_(RandomOptions(random_)), core_(options_) {
  core_.OnStart(now_);
  Pump();
  OpenDriver();
}

void Simulation::Run(int steps) {
  for (int i = 0; i < steps; ++i) Step();
}

void Simulation::Check(bool holds, const std::string& what) const {
  if (!holds) throw std::runtime_error(what + Describe());
}

std::string Simulation::Describe() const {
  const Totals totals = core_.GetTotals();
  std::string text = "\ncpus used " + std::to_string(totals.used.num_cpus()) + " of " +
                     std::to_string(totals.total.num_cpus());
  core_.VisitTasks([&](const TaskRow& row) {
    if (row.state == "FINISHED" || row.state == "FAILED" || row.state == "CANCELLED") return false;
    text += "\n" + FormatRef(row.id) + " " + row.state + " " + row.name + " worker " +
            std::to_string(row.worker) + " " + row.detail;
    return true;
  });
  for (const WorkerRow& row : core_.ListWorkers()) {
    text += "\nworker " + std::to_string(row.id) + " " + row.state + " program " +
            std::to_string(row.program) + " assigned " + std::to_string(row.assigned);
    auto process = processes_.find(row.id);
    if (process == processes_.end()) continue;
    text += " queue " + std::to_string(process->second.queue.size()) + " in " +
            std::to_string(process->second.inbox.size()) + " out " +
            std::to_string(process->second.outbox.size());
    if (process->second.actor) text += " actor " + FormatRef(process->second.actor);
    for (const FakeTask& task : process->second.stack) {
      text += "\n    " + FormatRef(task.id) + (task.blocked ? " waits for" : " runs") +
              (task.window_full ? " its consumer" : "");
      for (ObjectId id : task.waits) text += " " + FormatRef(id);
    }
  }
  for (const ActorRow& row : core_.ListActors()) {
    if (row.state == "DEAD") continue;
    text += "\nactor " + FormatRef(row.id) + " " + row.state + " holds " +
            std::to_string(row.held.num_cpus()) + " calls " + std::to_string(row.pending_calls) +
            " references " + std::to_string(row.references) + " " + row.detail;
  }
  return text;
}

ObjectId Simulation::NextId(SessionNumber session, uint32_t count) {
  uint64_t& next = next_ids_[session];
  const ObjectId id = MakeObjectId(session, next + 1);
  next += count;
  return id;
}

Slice Simulation::NextSlice() {
  const Slice slice{next_offset_ += 4096, 1 + random_() % 4096};
  slices_[slice.offset_bytes] = slice.size_bytes;
  return slice;
}

std::vector<ObjectId> Simulation::Some(const std::vector<ObjectId>& from, int most) {
  std::vector<ObjectId> some;
  if (from.empty()) return some;
  for (int count = Number(most + 1); count > 0; --count) {
    some.push_back(from[static_cast<size_t>(Number(static_cast<int>(from.size())))]);
  }
  return some;
}

void Simulation::Step() {
  const int what = Number(100);
  if (what < 22) {
    StepDriver();
  } else if (what < 90) {
    if (Process* process = AnyProcess()) StepProcess(*process, false);
  } else if (what < 94) {
    Tick();
  } else if (what < 96) {
    now_ += milliseconds(Number(20));
  } else if (what < 99) {
    StepHead();
  } else if (Process* process = AnyProcess(); process && Chance(30)) {
    Die(*process, "was killed by signal 9 (SIGKILL)");
  }
  Pump();
}

void Simulation::Tick() {
  if (core_.NextTimer() == kNever) return;
  now_ = std::max(now_, core_.NextTimer());
  core_.OnTimer(now_);
}

// --- decisions -----------------------------------------------------------------------------------

void Simulation::Pump() {
  if (draining_ || Chance(75)) CarryOut();  // a turn of the loop may have many events
  const std::string broken = core_.CheckInvariants();
  Check(broken.empty(), "invariant: " + broken);
  const auto actors = std::count_if(processes_.begin(), processes_.end(),
                                    [](const auto& entry) { return entry.second.actor != 0; });
  const auto others = static_cast<int>(processes_.size()) - static_cast<int>(actors);
  Check(others <= options_.max_workers + options_.num_workers, "more processes than the cap");
}

void Simulation::CarryOut() {
  for (const Decision& decision : core_.TakeDecisions()) Apply(decision);
}

void Simulation::Apply(const Decision& decision) {
  if (const auto* start = std::get_if<StartWorker>(&decision)) {
    Process& process = processes_[start->worker];
    process.id = start->worker;
    process.program = start->program;
    last_worker_ = start->worker;
    process.deaf = !draining_ && Chance(2);
  } else if (const auto* kill = std::get_if<KillWorker>(&decision)) {
    if (Process* process = Addressee(kill->worker)) process->doomed = true;
  } else if (const auto* retire = std::get_if<RetireWorker>(&decision)) {
    Process* worker = Addressee(retire->worker);
    if (worker) worker->inbox.push_back([](Process& process) { process.doomed = true; });
  } else if (const auto* end = std::get_if<EndActor>(&decision)) {
    Process* worker = Addressee(end->worker);
    if (worker) worker->inbox.push_back([](Process& process) { process.doomed = true; });
  } else if (const auto* run = std::get_if<RunTask>(&decision)) {
    OnRun(*run);
  } else if (const auto* recall = std::get_if<RecallTasks>(&decision)) {
    Process* worker = Addressee(recall->worker);
    if (!worker) return;
    worker->inbox.push_back(
        [this, tasks = recall->tasks](Process& process) { ReturnTasks(process, tasks); });
  } else if (const auto* cancel = std::get_if<CancelTask>(&decision)) {
    Process* worker = Addressee(cancel->worker);
    if (!worker) return;
    worker->inbox.push_back([this, id = cancel->task](Process& process) {
      for (FakeTask& task : process.stack) {
        if (task.id == id) task.cancelled = true;
      }
      process.passed.insert(id);
      ReturnTasks(process, {id});
    });
  } else if (const auto* object = std::get_if<DeliverObject>(&decision)) {
    const auto view = core_.FindObject(object->object);
    Check(view && view->state == ObjectView::State::kSealed,
          "delivers an object that is not there");
    OnDelivered(object->session, object->object);
  } else if (const auto* item = std::get_if<HandItem>(&decision)) {
    OnItem(*item);
  } else if (const auto* advance = std::get_if<AdvanceStream>(&decision)) {
    Process* worker = Addressee(advance->worker);
    if (!worker) return;
    worker->inbox.push_back([id = advance->task, count = advance->count](Process& process) {
      process.consumed[id] = count;
      for (FakeTask& task : process.stack) {
        if (task.id != id || !task.window_full) continue;
        task.window_full = count != kNoWindow && task.yielded >= count + task.window;
        task.blocked = task.window_full;
      }
    });
  } else if (const auto* lost = std::get_if<DeliverLost>(&decision)) {
    OnDelivered(lost->session, lost->object);
  } else if (const auto* free = std::get_if<FreeSlice>(&decision)) {
    auto found = slices_.find(free->slice.offset_bytes);
    Check(found != slices_.end() && found->second == free->slice.size_bytes, "frees a slice twice");
    slices_.erase(found);
  } else if (const auto* job = std::get_if<StartJob>(&decision)) {
    Check(jobs_waiting_.erase(job->job) == 1, "starts an unknown job");
    jobs_running_.insert(job->job);
  } else if (const auto* ended = std::get_if<TaskEnded>(&decision)) {
    OnEnded(*ended);
  }
}

// A constructor may run again under the same id.
void Simulation::OnEnded(const TaskEnded& ended) {
  if (actors_.contains(ended.task)) return;
  Check(given_.erase(ended.task) == 1, "a task ends twice");
  limits_.erase(ended.task);
  calls_.OnEnded(ended.task);
  ++ended_;
}

void Simulation::OnRun(const RunTask& run) {
  if (calls_.ActorOf(run.task) && !Addressee(run.worker)) return;  // lost after that was decided
  Check(processes_.contains(run.worker), "runs a task on an unknown worker");
  Process& process = processes_.at(run.worker);
  const auto task = core_.FindTask(run.task);
  if (!task && calls_.ActorOf(run.task)) return;  // it ended after that was decided
  Check(task.has_value(), "runs an unknown task");
  const TaskClass& task_class = *task->task_class;
  const auto hosted = core_.FindHosted(run.worker);
  const ActorId actor = task_class.method ? calls_.ActorOf(run.task) : 0;
  if (task_class.method) {
    Check(hosted && hosted->id == actor && process.actor == actor, "calls another's actor");
    calls_.OnSent(run.task);
  } else {
    Check(task_class.program == process.program, "runs a task on a foreign program");
    Check(process.actor == 0, "runs a task in an actor");
  }
  if (task_class.actor) {
    Check(process.stack.empty(), "makes an actor of a worker that is not idle");
    Check(hosted && hosted->id == run.task, "does not say whose constructor it runs");
    process.actor = run.task;
    restarts_ += task->attempt > 0;
    const int most = task_class.actor->max_restarts;
    Check(most < 0 || static_cast<int>(task->attempt) <= most, "restarts an actor too often");
  }
  Check(process.session != 0, "runs a task on a worker that is not ready");
  for (ObjectId ref : task->refs) {
    const auto view = core_.FindObject(ref);
    Check(view && view->state == ObjectView::State::kSealed && !view->is_error,
          "runs a task whose argument is not there");
  }
  nested_ += run.nested;
  process.inbox.push_back([this, id = run.task, nested = run.nested,
                           consumed = task->stream_consumed](Process& worker) {
    worker.consumed[id] = consumed;
    if (!nested) {
      worker.queue.push_back(id);
    } else if (!worker.stack.empty() && worker.stack.back().blocked) {
      Begin(worker, id, /*nested=*/true);
    } else {
      worker.outbox.push_back([this, id](Process& process) {
        core_.OnTasksReturned(process.id, std::vector<TaskId>{id}, false, now_);
      });
    }
  });
}

// Returns: null if the worker ended after that was decided.
Process* Simulation::Addressee(WorkerId worker) {
  Check(worker <= last_worker_, "tells an unknown worker");
  auto found = processes_.find(worker);
  return found == processes_.end() ? nullptr : &found->second;
}

bool Simulation::IsOpen(SessionNumber session) const {
  if (session == kHeadSession) return true;
  if (auto worker = worker_sessions_.find(session); worker != worker_sessions_.end()) {
    return processes_.contains(worker->second);
  }
  return std::any_of(drivers_.begin(), drivers_.end(),
                     [&](const Driver& driver) { return driver.session == session; });
}

void Simulation::OnDelivered(SessionNumber session, ObjectId object) {
  if (!IsOpen(session)) return;  // it ended after that was decided
  int& unanswered = wanted_[{session, object}];
  Check(--unanswered >= 0, "delivers an object that nobody wants");
  auto worker = worker_sessions_.find(session);
  if (worker == worker_sessions_.end() || !processes_.contains(worker->second)) return;
  processes_.at(worker->second).inbox.push_back([object](Process& process) {
    for (FakeTask& task : process.stack) {
      if (!task.blocked || task.waits.erase(object) == 0) continue;
      if (--task.needed > 0) continue;
      task.blocked = false;
      task.awaited = 0;
    }
  });
}

// Each index comes once, in order. Tasks hear of an item at some later time, and whoever has one
// takes it at some time after that, even while it waits for something else.
void Simulation::OnItem(const HandItem& item) {
  Check(item.index == next_items_[item.task]++, "hands an item over out of order");
  ++items_;
  if (!IsOpen(item.session)) return;  // it ended after that was decided
  const auto view = core_.FindObject(item.object);
  Check(view && view->state == ObjectView::State::kSealed, "hands over an item that is not there");
  for (Driver& driver : drivers_) {
    if (driver.session != item.session) continue;
    driver.held.push_back(item.object);
    ++driver.streams[item.task].received;
    return;
  }
  Process& process = processes_.at(worker_sessions_.at(item.session));
  process.inbox.push_back([this, item](Process& worker) {
    for (FakeTask& task : worker.stack) {
      auto stream = task.streams.find(item.task);
      if (stream == task.streams.end()) continue;
      task.held.push_back(item.object);
      task.known.push_back(item.object);
      const uint64_t count = ++stream->second.received;
      if (task.blocked && task.awaited == item.task && count >= task.awaited_count) {
        task.blocked = false;
        task.awaited = 0;
        task.waits.clear();
      }
      worker.outbox.push_back([this, id = item.task, count, dropped = Chance(3)](Process& sender) {
        const Status status = core_.OnStreamConsumed(sender.session, id, count, dropped, now_);
        Check(status.ok(), "refuses an honest count: " + status.message());
      });
      return;
    }
    worker.outbox.push_back(
        [this, id = item.object](Process& sender) { Release(sender.session, {id}); });
  });
}

}  // namespace kiln::core
