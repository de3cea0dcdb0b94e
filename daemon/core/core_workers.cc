// Worker processes: started, ready, retired, killed, lost.
#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "daemon/core/core_state.h"

namespace kiln::core {

Status Core::OnWorkerReady(WorkerId id, SessionNumber number, int64_t pid, Time now) {
  State& state = *state_;
  Worker* worker = state.workers.Find(id);
  if (worker == nullptr || worker->state != WorkerState::kStarting) {
    return Status(Code::kNotFound,
                  "worker " + std::to_string(id) + " is not one that the head waits for");
  }
  state.Begin(now);
  Session& session = state.sessions.Insert(number);
  session.kind = SessionKind::kWorker;
  session.program = worker->program;
  worker->session = number;
  worker->pid = pid;
  state.timers.Remove({worker->start_due, TimerKind::kWorkerStart, id});
  state.workers.Move(*worker, WorkerState::kIdle, now);
  Program& program = state.workers.ProgramOf(worker->program);
  program.failures = 0;
  program.backoff = Duration{0};
  program.failure.clear();
  state.Finish();
  return {};
}

void Core::OnWorkerLost(WorkerId id, const std::string& reason, Time now) {
  State& state = *state_;
  Worker* worker = state.workers.Find(id);
  if (worker == nullptr) return;
  state.Begin(now);
  Program& program = state.workers.ProgramOf(worker->program);
  const bool started = worker->session != 0;
  const Time started_at = worker->started_at;
  // One that ended before it did anything counts too, or it would be started over and over.
  const bool failed = worker->start_failed || worker->state == WorkerState::kStarting ||
                      (worker->state == WorkerState::kIdle && worker->finished == 0);
  const std::string why =
      worker->start_failed
          ? "did not say hello within " +
                std::to_string(
                    std::chrono::duration_cast<seconds>(limits::kWorkerStartTimeout).count()) +
                " s; " + reason
          : reason;
  worker->killed = true;  // nothing is sent to it any more
  if (started) {
    if (worker->state != WorkerState::kLeaving) {
      state.workers.Move(*worker, WorkerState::kLeaving, now);
      state.busy.Remove(*worker);
    }
    Session& session = *state.sessions.Find(worker->session);
    state.CloseSession(session);
    state.BuryOwned(*worker);
    state.RemoveOwned(*worker);
    state.CancelSubmitted(session);
    state.DropStreams(session);
    state.LoseTasks(*worker, reason);
    if (worker->actor) state.LoseActor(*worker->actor, worker->pid, reason);
    session.closing = false;
    state.ForgetIfDone(session);
  }
  state.timers.Remove({worker->start_due, TimerKind::kWorkerStart, id});
  state.timers.Remove({worker->leave_due, TimerKind::kWorkerLeave, id});
  state.workers.Erase(*worker);
  // What was started before the last failure was known fails for the same reason: a fork server
  // that dies takes all that wait for it with it, and counts once.
  if (failed && started_at > program.failed_at) state.OnStartFailed(program, why);
  state.Finish();
}

std::optional<ProgramId> Core::FindWorkerProgram(WorkerId id) const {
  const Worker* worker = state_->workers.Find(id);
  if (worker == nullptr) return std::nullopt;
  return worker->program;
}

// Ends the attempts of a worker that is gone. The first task of each frame had begun.
void Core::State::LoseTasks(Worker& worker, const std::string& reason) {
  std::vector<std::pair<TaskId, bool>> lost;  // with: had begun
  for (const Frame& frame : worker.stack) {
    for (const Task* task = frame.tasks.first(); task; task = task->next) {
      lost.emplace_back(task->id, task == frame.tasks.first());
    }
  }
  for (const auto& [id, begun] : lost) {
    Task& task = *tasks.Find(id);
    if (task.cancel_asked || task.timed_out) {
      FailAsAsked(task, {});
    } else if (!begun) {
      RunAgain(task, /*counts=*/false);
    } else if (MayRunAgain(task)) {
      RunAgain(task, /*counts=*/true);
    } else {
      FailTask(task, MakeError(task, ErrorKind::kWorkerCrashed,
                               "worker process " + std::to_string(worker.pid) + " " + reason));
    }
  }
}

// --- start and end -------------------------------------------------------------------------------

// One place is kept for a library host: other programs' tasks may wait for library tasks.
int Core::State::CapFor(ProgramId program) const {
  const bool keep = program != kLibraryHost && options.max_workers > 1 &&
                    workers.programs().at(kLibraryHost).staying() == 0;
  return options.max_workers - (keep ? 1 : 0);
}

Worker* Core::State::FindSpare(ProgramId program) {
  return workers.LongestIdle(program, /*keep_host=*/options.max_workers > 1);
}

// At the cap one more for each CPU may be started for actors, or tasks that wait for them might
// hold all processes that could become theirs.
bool Core::State::CanStart(const Program& program, int creations) const {
  const int more = std::min(creations, std::max(1, options.num_workers));
  return workers.alive_for_tasks() < CapFor(program.id) + more && now >= program.retry_at;
}

void Core::State::Start(ProgramId program) {
  Worker& worker = workers.Insert(program);
  worker.started_at = now;
  worker.start_due = now + limits::kWorkerStartTimeout;
  timers.Add({worker.start_due, TimerKind::kWorkerStart, worker.id});
  Decide(StartWorker{worker.id, program});
}

// The worker gets no more tasks and is about to end.
void Core::State::Leave(Worker& worker) {
  if (worker.state == WorkerState::kLeaving) return;
  workers.Move(worker, WorkerState::kLeaving, now);
  busy.Remove(worker);
  worker.leave_due = now + limits::kLeaveGrace;
  timers.Add({worker.leave_due, TimerKind::kWorkerLeave, worker.id});
}

void Core::State::Retire(Worker& worker) {
  Leave(worker);
  Decide(RetireWorker{worker.id});
}

void Core::State::Kill(Worker& worker, std::string why) {
  if (std::exchange(worker.killed, true)) return;
  if (worker.state != WorkerState::kLeaving) workers.Move(worker, WorkerState::kLeaving, now);
  busy.Remove(worker);
  Decide(KillWorker{worker.id, std::move(why)});
}

void Core::State::OnStartFailed(Program& program, const std::string& reason) {
  program.failure = reason;
  program.failed_at = now;
  const Duration doubled = std::max<Duration>(program.backoff * 2, limits::kStartBackoffFirst);
  program.backoff = std::min<Duration>(doubled, limits::kStartBackoffMost);
  // Those that work go on working off the queue.
  const bool any_works =
      std::any_of(program.workers.begin(), program.workers.end(),
                  [](const Worker* worker) { return worker->session != 0 && !worker->killed; });
  if (++program.failures >= limits::kMaxStartFailures && !any_works) {
    program.failures = 0;
    program.backoff = limits::kStartBackoffMost;
    std::vector<TaskId> ids;
    tasks.ForEach([&](const Task& task) {
      const bool hit = task.state == TaskState::kReady && !task.is_call &&
                       classes.ShapeOfClass(task.task_class).program == program.id;
      if (hit) ids.push_back(task.id);
    });
    std::sort(ids.begin(), ids.end());
    for (TaskId id : ids) {
      Task* task = tasks.Find(id);
      if (task == nullptr) continue;  // it was an actor's that has ended with its constructor
      FailTask(*task, MakeError(*task, ErrorKind::kWorkerCrashed,
                                "no worker could be started: " + reason));
    }
  }
  program.retry_at = now + program.backoff;
  timers.Add({program.retry_at, TimerKind::kProgram, program.id});
}

// --- how many ------------------------------------------------------------------------------------

// Starts workers that ready tasks lack, restores the reserve, retires what is too many.
void Core::State::AdjustWorkers() {
  bool met = true;
  int room_coming = workers.leaving_for_tasks();
  for (const Demand& demand : CountDemand()) {
    Program& program = workers.ProgramOf(demand.program);
    for (int missing = demand.tasks - program.starting; missing > 0 && now >= program.retry_at;
         --missing) {
      if (CanStart(program, demand.creations)) {
        Start(demand.program);
      } else {
        met = false;
        if (!MakeRoom(program, room_coming)) break;
      }
    }
  }
  if (met && started) RestoreReserve();
  RetireExcess();
}

// True if a worker of the program is on its way, or can be started now or when another has left.
bool Core::State::MayGetWorker(const Program& program, bool creation) {
  if (program.starting > 0) return true;
  if (now < program.retry_at) return false;
  return CanStart(program, creation ? 1 : 0) || workers.leaving_for_tasks() > 0 ||
         FindSpare(program.id) != nullptr;
}

// Returns: for each program that may get a worker, how many of its ready tasks fit in what is free
// now, in the order in which they would be served. The others lay no claim to what is free.
std::vector<Core::State::Demand> Core::State::CountDemand() {
  std::vector<Demand> demand;
  if (ready.empty()) return demand;
  Resources left = free;
  for (const Line* line : ready.Order()) {
    const Shape& shape = classes.GetShape(line->shape);
    if (!shape.resources.FitsIn(left)) continue;
    if (!MayGetWorker(workers.ProgramOf(shape.program), shape.creation)) continue;
    const auto most = std::min<size_t>(line->size(), static_cast<size_t>(options.max_workers));
    int count = 0;
    while (static_cast<size_t>(count) < most && shape.resources.FitsIn(left)) {
      left.Subtract(shape.resources);
      ++count;
    }
    if (count == 0) continue;
    auto known = std::find_if(demand.begin(), demand.end(),
                              [&](const Demand& entry) { return entry.program == shape.program; });
    if (known == demand.end()) known = demand.insert(demand.end(), Demand{shape.program});
    known->tasks += count;
    if (shape.creation) known->creations += count;
  }
  return demand;
}

// Makes room for a worker of `program` at the cap, unless enough is coming already.
bool Core::State::MakeRoom(Program& program, int& room_coming) {
  if (room_coming > 0) {
    --room_coming;
    return true;
  }
  Worker* idle = FindSpare(program.id);
  if (idle == nullptr) return false;
  Retire(*idle);
  return true;
}

// Library hosts first, then the programs that drivers want kept ready, or that have made actors:
// the next one finds a process. Nobody is retired for them: at the cap an idle worker of one
// program is worth as much as that of another.
void Core::State::RestoreReserve() {
  for (auto& [id, program] : workers.programs()) {
    const bool makes_actors = program.actors > 0 && program.open_drivers > 0;
    if (id != kLibraryHost && program.kept_by == 0 && !makes_actors) continue;
    while (program.staying() < options.num_workers && CanStart(program)) Start(id);
  }
}

bool Core::State::IsExcess(const Worker& worker) const {
  const Program& program = workers.programs().at(worker.program);
  if (program.id != kLibraryHost && program.open_drivers == 0) return program.tasks == 0;
  return program.staying() > options.num_workers &&
         workers.in_state(WorkerState::kIdle) > options.num_workers;
}

// Retires idle workers that are too many: at once those that nobody can need any more, the others
// when they were idle for kIdleWorkerLife.
void Core::State::RetireExcess() {
  for (auto& [id, program] : workers.programs()) {
    const bool needless = id != kLibraryHost && program.open_drivers == 0 && !program.shared;
    for (size_t i = 0; i < program.idle.size();) {
      Worker& worker = *program.idle[i];
      if (!IsExcess(worker)) break;
      const Time due = worker.idle_since + limits::kIdleWorkerLife;
      if (needless || due <= now) {
        Retire(worker);  // leaves program.idle
        continue;
      }
      if (!worker.idle_timer) {
        worker.idle_timer = true;
        timers.Add({due, TimerKind::kWorkerIdle, worker.id});
      }
      ++i;
    }
  }
}

void Core::State::ForgetPrograms() {
  std::erase_if(workers.programs(), [this](const auto& entry) {
    const Program& program = entry.second;
    if (!program.forgettable()) return false;
    Decide(ForgetProgram{program.id, program.sessions});
    return true;
  });
}

// The last driver with this program may have gone.
void Core::State::CloseProgram(Program& program) {
  if (program.id == kLibraryHost || program.open_drivers > 0 || program.tasks > 0) return;
  for (Worker* worker : program.workers) {
    if (worker->state == WorkerState::kStarting) Kill(*worker, "nobody needs its program any more");
  }
}

}  // namespace kiln::core
