// Tasks given ahead of their turn, in simulated time: what a long one among short ones delays.
#include <functional>

#include "tests/unit/core_harness.h"

namespace kiln::core {
namespace {

using H = CoreHarness;

// Workers that take simulated time: each runs its queue in order and answers recalls at once.
class Timed {
 public:
  explicit Timed(int num_cpus) : h(num_cpus) {}

  // Lets the core learn that tasks of the class are short.
  void Measure(const TaskClass& task_class) {
    h.Finish(h.Submit(task_class), "value", microseconds(10));
  }
  TaskId Submit(const TaskClass& task_class, Duration run_time, SessionNumber session = 1) {
    const TaskId task = h.Submit(task_class, {.session = session});
    run_times_[task] = run_time;
    submitted_[task] = h.now;
    return task;
  }
  // Runs until `until`, or until all tasks have ended.
  void Run(Time until = kNever) {
    for (;;) {
      Begin();
      WorkerId first = 0;
      for (const auto& [worker, end] : ends_) {
        if (first == 0 || end < ends_.at(first)) first = worker;
      }
      if (first == 0) return;
      const Time next = std::min(ends_.at(first), h.core.NextTimer());
      if (next > until) return;
      h.now = std::max(h.now, next);
      if (next == ends_.at(first)) {
        EndTask(first);
      } else {
        h.core.OnTimer(h.now);
        h.Pump();
      }
      AnswerRecalls();
    }
  }
  // From the submit to the begin and the end of each task.
  std::map<TaskId, Duration> begun, ended;
  // The longest a task stood in a worker's queue.
  Duration longest_ahead{0};
  H h;

 private:
  void Begin() {
    for (; seen_runs_ < h.runs.size(); ++seen_runs_) given_[h.runs[seen_runs_].task] = h.now;
    for (const auto& [id, worker] : h.workers) {
      if (worker.tasks.empty() || ends_.contains(id)) continue;
      const TaskId task = worker.tasks.front();
      ends_[id] = h.now + run_times_.at(task);
      begun[task] = h.now - submitted_.at(task);
      longest_ahead = std::max(longest_ahead, h.now - given_.at(task));
    }
  }
  void EndTask(WorkerId worker) {
    const TaskId task = h.workers.at(worker).tasks.front();
    ends_.erase(worker);
    ended[task] = h.now - submitted_.at(task);
    h.Finish(task, "value", std::chrono::duration_cast<microseconds>(run_times_.at(task)));
  }
  void AnswerRecalls() {
    for (; seen_recalls_ < h.recalls.size(); ++seen_recalls_) {
      const RecallTasks recall = h.recalls[seen_recalls_];
      std::vector<TaskId> back;
      const std::vector<TaskId>& queue = h.workers.at(recall.worker).tasks;
      for (size_t i = 1; i < queue.size(); ++i) {
        if (std::count(recall.tasks.begin(), recall.tasks.end(), queue[i])) {
          back.push_back(queue[i]);
        }
      }
      h.Return(recall.worker, back);
    }
  }

  std::map<TaskId, Duration> run_times_;
  std::map<TaskId, Time> submitted_, given_;
  std::map<WorkerId, Time> ends_;  // of the task that runs there
  size_t seen_runs_ = 0, seen_recalls_ = 0;
};

constexpr int kShortTasks = 1'000;
constexpr Duration kShort = microseconds(10);
// What a short task may stand behind one that turns out long, or is of a lower priority.
constexpr Duration kMostAhead = limits::kRecallAfter + limits::kPipelineWork;

TEST_CASE("a long task among 1,000 short ones delays none of them by more than a few ms") {
  const bool alike = GENERATE(true, false);
  const int place = GENERATE(0, 3, 500);
  Timed world(2);
  const TaskClass shorts = H::Library("short");
  const TaskClass longs = alike ? shorts : H::Library("long");
  world.Measure(shorts);
  world.Measure(longs);  // it was short before
  TaskId long_task = 0;
  for (int i = 0; i < kShortTasks; ++i) {
    if (i == place) long_task = world.Submit(longs, milliseconds(500));
    world.Submit(shorts, kShort);
  }
  world.Run();
  CHECK(world.ended.size() == kShortTasks + 1);
  for (const auto& [task, delay] : world.ended) {
    // One worker does them all, in the worst case.
    if (task != long_task) CHECK(delay <= kShortTasks * kShort + kMostAhead);
  }
  CHECK(world.longest_ahead <= kMostAhead);
}

TEST_CASE("tasks of a class that is mostly short do not wait behind its long ones") {
  Timed world(2);
  const TaskClass both = H::Library("both");
  world.Measure(both);
  Duration work{0};
  for (int i = 0; i < kShortTasks; ++i) {
    const Duration run_time = i % 100 == 50 ? Duration(milliseconds(20)) : kShort;
    work += run_time;
    world.Submit(both, run_time);
  }
  world.Run();
  CHECK(world.longest_ahead <= kMostAhead);
  Duration last{0};
  for (const auto& [task, delay] : world.ended) last = std::max(last, delay);
  CHECK(last <= work / 2 + milliseconds(25));  // both workers are busy, but for one long task
}

TEST_CASE("what was given ahead holds up a higher priority by little") {
  Timed world(1);
  world.Measure(H::Library("low"));
  for (int i = 0; i < kShortTasks; ++i) world.Submit(H::Library("low"), kShort);
  world.Run(world.h.now + milliseconds(2));
  TaskClass high = H::Library("high");
  high.priority = 1;
  const TaskId urgent = world.Submit(high, kShort);
  world.Run();
  CHECK(world.begun.at(urgent) <= limits::kMaxPipelined * kShort);
}

TEST_CASE("two drivers with short tasks end together") {
  Timed world(2);
  const SessionNumber other = world.h.OpenDriver(9);
  world.Measure(H::Library("a"));
  world.Measure(H::Library("b"));
  for (int i = 0; i < kShortTasks / 2; ++i) world.Submit(H::Library("a"), kShort);
  std::vector<TaskId> late;
  for (int i = 0; i < kShortTasks / 4; ++i) {
    late.push_back(world.Submit(H::Library("b"), kShort, other));
  }
  world.Run();
  // Half of the CPUs is the other's from when it comes, but for what was given ahead.
  for (TaskId task : late) {
    CHECK(world.ended.at(task) <= (kShortTasks / 4 + 2 * limits::kMaxPipelined) * kShort);
  }
}

}  // namespace
}  // namespace kiln::core
