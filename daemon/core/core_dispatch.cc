// Who runs next, and where: jobs, idle workers, the queues of busy ones.
//
// Policy: priority, then fairness between roots, then order of submission. What does not fit is
// passed by, at most kMaxBypasses times.
#include <algorithm>
#include <tuple>

#include "common/limits.h"
#include "daemon/core/core_state.h"

namespace kiln::core {

Status Core::OnJobSubmitted(JobId job, Resources resources, Time now) {
  State& state = *state_;
  const std::string lacking = resources.FirstLacking(state.options.total);
  if (!lacking.empty()) {
    return Status(Code::kResourceExhausted, "the job asks for more than the head has: " + lacking);
  }
  state.Begin(now);
  state.jobs.Add(job, resources);
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
  StartJobs();
  bool failed = false;
  if (!ready.empty()) {
    while (RunOnIdle()) {
    }
    while (RunNested(/*stuck=*/false)) {
    }
    if (IsStuck() && !RunNested(/*stuck=*/true)) failed = FailUnreachable();
    while (RunBehind()) {
    }
  }
  if (failed) return true;
  if (ready.empty()) StealForIdle();
  AdjustWorkers();
  return false;
}

void Core::State::StartJobs() {
  while (JobQueue::Waiting* job = jobs.first()) {
    if (!job->resources.FitsIn(free)) return;
    free.Subtract(job->resources);
    Decide(StartJob{jobs.StartFirst()});
  }
}

// True if the oldest job was passed by so often that tasks wait for it now. What other jobs hold is
// not waited for: they may be waiting for tasks themselves.
bool Core::State::JobHoldsQueue() const {
  const JobQueue::Waiting* job = jobs.first();
  if (job == nullptr || job->bypasses < limits::kMaxBypasses) return false;
  Resources claimable = options.total;
  claimable.Subtract(jobs.held());
  return job->resources.FitsIn(claimable);
}

const std::vector<Line*>& Core::State::OrderLines() {
  order.clear();
  for (auto& [key, line] : ready.lines()) order.push_back(&line);
  if (order.size() < 2) return order;
  const auto rank = [this](const Line* line) {
    const Session& root = *sessions.Find(line->root);
    return std::tuple(-int64_t{line->priority}, root.cpu_units, root.last_served, line->root,
                      line->head().sequence);
  };
  std::sort(order.begin(), order.end(),
            [&](const Line* a, const Line* b) { return rank(a) < rank(b); });
  return order;
}

// True if the head of the line was passed by so often that nothing of the same or a lower priority
// may start before it.
bool Core::State::Holds(const Line& line) const {
  if (line.BypassesOfHead() < limits::kMaxBypasses) return false;
  const Shape& shape = classes.GetShape(line.shape);
  Resources claimable = options.total;
  claimable.Subtract(jobs.held());  // as in JobHoldsQueue
  if (!shape.resources.FitsIn(claimable)) return false;
  if (!shape.resources.FitsIn(free)) return true;
  // Its turn has come; it is waited for only if a worker is there or on its way.
  const Program& program = workers.programs().at(shape.program);
  return !program.idle.empty() || program.starting > 0;
}

// Returns: the line whose head is to run on an idle worker now; null if none can.
Line* Core::State::ChooseLine() {
  if (workers.in_state(WorkerState::kIdle) == 0 || JobHoldsQueue()) return nullptr;
  const std::vector<Line*>& lines = OrderLines();
  std::vector<Line*> passed;  // do not fit
  for (size_t begin = 0, end = 0; begin < lines.size(); begin = end) {
    while (end < lines.size() && lines[end]->priority == lines[begin]->priority) ++end;
    bool held = false;
    Line* chosen = ChooseInGroup(lines, begin, end, passed, held);
    if (chosen || held) return chosen;
  }
  return nullptr;
}

// Chooses among the lines of one priority. Sets `held` if lower ones must not run either.
Line* Core::State::ChooseInGroup(const std::vector<Line*>& lines, size_t begin, size_t end,
                                 std::vector<Line*>& passed, bool& held) {
  const auto has_worker = [this](const Line& line) {
    return !workers.programs().at(classes.GetShape(line.shape).program).idle.empty();
  };
  for (size_t i = begin; i < end; ++i) {
    if (!Holds(*lines[i])) continue;
    held = true;
    const bool fits = classes.GetShape(lines[i]->shape).resources.FitsIn(free);
    return fits && has_worker(*lines[i]) ? lines[i] : nullptr;
  }
  for (size_t i = begin; i < end; ++i) {
    if (!classes.GetShape(lines[i]->shape).resources.FitsIn(free)) {
      passed.push_back(lines[i]);
    } else if (has_worker(*lines[i])) {
      for (Line* line : passed) line->CountBypass();
      if (JobQueue::Waiting* job = jobs.first()) ++job->bypasses;
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
// are of one class and short: the slot passes from one to the next without a message in between.
// Returns: false if that is not so.
bool Core::State::RunBehind() {
  if (ready.empty() || workers.in_state(WorkerState::kBusy) == 0 || JobHoldsQueue()) return false;
  const std::vector<Line*>& lines = OrderLines();
  for (const Line* line : lines) {
    if (line->priority != lines.front()->priority) break;
    if (Holds(*line)) return false;
  }
  const Line& line = *lines.front();
  Task& task = line.head();
  const uint32_t depth = classes.PipelineDepth(task.task_class);
  if (depth < 2) return false;
  Worker* best = nullptr;
  size_t waiting = line.size();  // and what was given ahead
  for (Worker* worker : workers.programs().at(classes.GetShape(line.shape).program).workers) {
    if (worker->state != WorkerState::kBusy || worker->stack.size() != 1) continue;
    const TaskList& queue = worker->stack.front().tasks;
    waiting += queue.size() - 1;
    if (queue.size() >= depth || queue.first()->task_class != task.task_class) continue;
    if (worker->recalled > 0 || now - worker->progress >= limits::kRecallAfter) continue;
    if (queue.first()->cancel_asked) continue;
    if (best == nullptr || queue.size() < best->stack.front().tasks.size()) best = worker;
  }
  // Spread evenly: nobody gets more ahead than its share of what waits.
  const auto cpus = static_cast<size_t>(std::max(1, options.num_workers));
  if (best == nullptr || best->stack.front().tasks.size() > (waiting + cpus - 1) / cpus) {
    return false;
  }
  Assign(task, *best, Place::kBehind);
  return true;
}

// Nothing is ready and somebody is idle: takes the later half of another worker's queue back.
void Core::State::StealForIdle() {
  for (auto& [id, program] : workers.programs()) {
    if (program.idle.empty()) continue;
    Worker* longest = nullptr;
    for (Worker* worker : program.workers) {
      if (worker->state != WorkerState::kBusy || worker->stack.size() != 1) continue;
      const TaskList& queue = worker->stack.front().tasks;
      if (worker->recalled > 0 || queue.size() < 3) continue;
      if (!classes.ShapeOfClass(queue.first()->task_class).resources.FitsIn(free)) continue;
      if (longest == nullptr || queue.size() > longest->stack.front().tasks.size()) {
        longest = worker;
      }
    }
    if (longest) Recall(*longest, 1 + longest->stack.front().tasks.size() / 2);
  }
}

}  // namespace kiln::core
