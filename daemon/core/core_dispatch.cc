// Who runs next, and where: jobs, idle workers, the queues of busy ones.
//
// Policy: priority, then fairness between roots, then order of submission. What does not fit is
// passed by, at most kMaxBypasses times.
#include <algorithm>
#include <chrono>
#include <map>

#include "common/limits.h"
#include "daemon/core/core_state.h"

namespace kiln::core {
namespace {

constexpr auto kPipelineWorkUs =
    static_cast<uint32_t>(std::chrono::duration_cast<microseconds>(limits::kPipelineWork).count());
constexpr auto kStealWorkUs = std::chrono::duration_cast<microseconds>(limits::kStealWork).count();

}  // namespace

Status Core::OnJobSubmitted(JobId job, Resources resources, Time now) {
  State& state = *state_;
  const std::string lacking = resources.FirstLacking(state.options.total);
  if (!lacking.empty()) {
    return Status(Code::kResourceExhausted, "the job asks for more than the head has: " + lacking);
  }
  state.Begin(now);
  state.jobs.Add(job, ++state.last_reservation, resources);
  state.Finish();
  return {};
}

void Core::OnJobEnded(JobId job, Time now) {
  State& state = *state_;
  state.Begin(now);
  state.free.Add(state.jobs.End(job));
  state.Finish();
}

bool Core::State::Dispatch() {
  bool failed = Reserve();
  if (!ready.empty()) {
    while (RunOnIdle()) {
    }
    while (RunNested(/*stuck=*/false)) {
    }
    if (IsStuck() && !RunNested(/*stuck=*/true)) failed |= FailUnreachable();
    while (RunBehind()) {
    }
  }
  if (failed) return true;
  if (ready.empty()) StealForIdle();
  AdjustWorkers();
  return false;
}

// Jobs and groups in the order they were submitted. Who does not fit is passed by the other kind,
// at most kMaxBypasses times.
bool Core::State::Reserve() {
  bool any_group = false;
  for (;;) {
    ReservationQueue::Waiting* const job = jobs.first();
    ReservationQueue::Waiting* const group = NextGroup();
    const bool job_first = job && (!group || job->order < group->order);
    ReservationQueue::Waiting* const older = job_first ? job : group;
    ReservationQueue::Waiting* const younger = job_first ? group : job;
    if (older == nullptr) return any_group;
    ReservationQueue::Waiting* next = older;
    if (!older->resources.FitsIn(free)) {
      const bool waits = younger && younger->resources.FitsIn(free) && !HoldsOthers(*older);
      if (!waits) return any_group;
      ++older->bypasses;
      next = younger;
    }
    free.Subtract(next->resources);
    const uint64_t id = next->id;
    if (next == job) {
      jobs.Start(*next);
      Decide(StartJob{id});
    } else {
      reserved_groups.Start(*next);
      CreateGroup(*groups.Find(id));
      any_group = true;
    }
  }
}

ReservationQueue::Waiting* Core::State::NextGroup() {
  if (reserved_groups.waiting().empty()) return nullptr;
  const Resources claimable = Claimable();
  for (ReservationQueue::Waiting& group : reserved_groups.waiting()) {
    if (group.resources.FitsIn(claimable)) return &group;
  }
  return nullptr;
}

// What can be waited for. What jobs, actors and groups hold cannot: they may be waiting for tasks,
// and may live for ever.
Resources Core::State::Claimable() const {
  Resources claimable = options.total;
  claimable.Subtract(jobs.held());
  claimable.Subtract(actors.held());
  claimable.Subtract(reserved_groups.held());
  return claimable;
}

// True if what waits was passed by so often that all others wait for it now.
bool Core::State::HoldsOthers(const ReservationQueue::Waiting& waiting) const {
  return waiting.bypasses >= limits::kMaxBypasses && waiting.resources.FitsIn(Claimable());
}

bool Core::State::ReservationHoldsQueue() {
  const ReservationQueue::Waiting* job = jobs.first();
  if (job && HoldsOthers(*job)) return true;
  const ReservationQueue::Waiting* group = NextGroup();
  return group && HoldsOthers(*group);
}

// True if the head of the line was passed by so often that nothing of the same or a lower priority
// may start before it.
bool Core::State::Holds(const Line& line) const {
  if (line.BypassesOfHead() < limits::kMaxBypasses) return false;
  const Shape& shape = classes.GetShape(line.shape);
  if (!shape.resources.FitsIn(Claimable())) return false;
  if (!shape.resources.FitsIn(free)) return true;
  // Its turn has come; it is waited for only if a worker is there or on its way.
  const Program& program = workers.programs().at(shape.program);
  return !program.idle.empty() || program.starting > 0;
}

// Returns: the line whose head is to run on an idle worker now; null if none can.
Line* Core::State::ChooseLine() {
  if (workers.in_state(WorkerState::kIdle) == 0 || ReservationHoldsQueue()) return nullptr;
  const std::vector<Line*>& lines = ready.Order();
  passed.clear();
  for (size_t begin = 0, end = 0; begin < lines.size(); begin = end) {
    // Lines of one priority; all of them, if none can hold up those below.
    end = ready.any_bypassed ? begin + 1 : lines.size();
    while (end < lines.size() && lines[end]->priority == lines[begin]->priority) ++end;
    bool held = false;
    Line* chosen = ChooseInGroup(lines, begin, end, held);
    if (chosen || held) return chosen;
  }
  return nullptr;
}

// Chooses among lines in a row. Sets `held` if those behind them must not run either.
Line* Core::State::ChooseInGroup(const std::vector<Line*>& lines, size_t begin, size_t end,
                                 bool& held) {
  const auto has_worker = [this](const Line& line) {
    return !workers.programs().at(classes.GetShape(line.shape).program).idle.empty();
  };
  if (ready.any_bypassed) {
    for (size_t i = begin; i < end; ++i) {
      if (!Holds(*lines[i])) continue;
      held = true;
      const bool fits = classes.GetShape(lines[i]->shape).resources.FitsIn(free);
      return fits && has_worker(*lines[i]) ? lines[i] : nullptr;
    }
  }
  for (size_t i = begin; i < end; ++i) {
    const Shape& shape = classes.GetShape(lines[i]->shape);
    if (!shape.resources.FitsIn(free)) {
      // In a placement group nobody outside of it is in the way, or would be waited for.
      if (!shape.grouped) passed.push_back(lines[i]);
    } else if (has_worker(*lines[i])) {
      for (Line* line : passed) line->CountBypass();
      if (!passed.empty()) ready.any_bypassed = true;
      if (ReservationQueue::Waiting* job = jobs.first()) ++job->bypasses;
      if (ReservationQueue::Waiting* group = NextGroup()) ++group->bypasses;
      return lines[i];
    }
  }
  return nullptr;
}

// Returns: false if nothing can run on an idle worker.
bool Core::State::RunOnIdle() {
  Line* line = ready.empty() ? nullptr : ChooseLine();
  if (line == nullptr) return false;
  // The one that ran last is the warmest.
  Program& program = workers.ProgramOf(classes.GetShape(line->shape).program);
  Assign(line->head(), *program.idle.back(), Place::kIdle);
  return true;
}

// Gives the task whose turn is next to a busy worker ahead of its turn, if it and what runs there
// are of one shape and short: the slot passes from one to the next without a message in between.
// Returns: false if that is not so.
bool Core::State::RunBehind() {
  if (ready.empty() || workers.in_state(WorkerState::kBusy) == 0 || ReservationHoldsQueue())
    return false;
  if (AnyHoldsFirst()) return false;
  const Line& line = *ready.Order().front();
  Task& task = line.head();
  const std::optional<uint16_t> run_us = classes.AheadUs(task.task_class);
  if (!run_us) return false;
  Worker* best = busy.Shortest(line.shape);
  while (best && now - best->progress >= limits::kRecallAfter) {
    busy.Remove(*best);
    best = busy.Shortest(line.shape);
  }
  if (best == nullptr || best->busy_length >= limits::kMaxPipelined) return false;
  if (best->ahead_us + *run_us > kPipelineWorkUs) return false;
  // Spread evenly: nobody gets more ahead than its share of what waits.
  const size_t waiting = line.size() + busy.Ahead(line.shape);
  const auto cpus = static_cast<size_t>(std::max(1, options.num_workers));
  if (best->busy_length > (waiting + cpus - 1) / cpus) return false;
  Assign(task, *best, Place::kBehind);
  return true;
}

// True if a line of the highest priority holds up all others.
bool Core::State::AnyHoldsFirst() {
  if (!ready.any_bypassed) return false;
  bool any_bypassed = false;
  const std::vector<Line*>& lines = ready.Order();
  for (const Line* line : lines) {
    if (line->priority == lines.front()->priority && Holds(*line)) return true;
    any_bypassed |= line->BypassesOfHead() > 0;
  }
  ready.any_bypassed = any_bypassed;
  return false;
}

// Nothing is ready and somebody is idle: takes the later half of another worker's queue back, if
// that is work enough.
void Core::State::StealForIdle() {
  if (workers.in_state(WorkerState::kIdle) == 0 || busy.shapes_ahead().empty()) return;
  // At most one worker is asked for each program with an idle one.
  std::map<ProgramId, Worker*> longest;
  for (ShapeId id : busy.shapes_ahead()) {
    const Shape& shape = classes.GetShape(id);
    if (workers.ProgramOf(shape.program).idle.empty() || !shape.resources.FitsIn(free)) continue;
    Worker* worker = busy.Longest(id);
    if (worker == nullptr || worker->busy_length < 3 || worker->ahead_us < kStealWorkUs) continue;
    Worker*& best = longest[shape.program];
    if (best == nullptr || worker->busy_length > best->busy_length) best = worker;
  }
  for (const auto& [program, worker] : longest) {
    Recall(*worker, 1 + worker->busy_length / 2);
  }
}

}  // namespace kiln::core
