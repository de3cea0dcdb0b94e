#include "tests/unit/core_harness.h"

namespace kiln::core {
namespace {

using H = CoreHarness;

// Lets the core learn how long tasks of a class run.
void Measure(H& h, const TaskClass& task_class, Duration run_time) {
  h.Finish(h.Submit(task_class), "value", std::chrono::duration_cast<microseconds>(run_time));
}

std::vector<TaskId> SubmitMany(H& h, const TaskClass& task_class, int count) {
  std::vector<TaskId> tasks;
  for (int i = 0; i < count; ++i) tasks.push_back(h.Submit(task_class));
  return tasks;
}

TEST_CASE("a class that was not measured is not given ahead of its turn") {
  H h(1);
  const std::vector<TaskId> tasks = SubmitMany(h, H::Library(), 10);
  CHECK(h.workers.at(h.WorkerOf(tasks[0])).tasks.size() == 1);
}

TEST_CASE("short tasks are given ahead, up to the work a queue may hold") {
  H h(1);
  Measure(h, H::Library("a quarter"), limits::kPipelineWork / 4);
  SubmitMany(h, H::Library("a quarter"), 40);
  CHECK(h.workers.begin()->second.tasks.size() == 5);  // four ahead of the running one
  CHECK(h.UsedCpus() == 1);

  H shorter(1);
  Measure(shorter, H::Library("no-op"), microseconds(0));
  SubmitMany(shorter, H::Library("no-op"), 1000);
  CHECK(shorter.workers.begin()->second.tasks.size() == limits::kMaxPipelined);
}

TEST_CASE("tasks given ahead are spread evenly and only over busy workers") {
  H h(2);
  Measure(h, H::Library(), microseconds(10));
  SubmitMany(h, H::Library(), 6);
  CHECK(h.workers.at(1).tasks.size() == 3);
  CHECK(h.workers.at(2).tasks.size() == 3);
}

TEST_CASE("long tasks, tasks with a time-out and those that must not run twice wait their turn") {
  H h(1);
  TaskClass timed = H::Library("timed");
  timed.timeout = seconds(1);
  TaskClass once = H::Library("once");
  once.max_retries = 0;
  for (const TaskClass& task_class : {timed, once}) {
    Measure(h, task_class, microseconds(10));
    const std::vector<TaskId> tasks = SubmitMany(h, task_class, 3);
    CHECK(h.workers.begin()->second.tasks.size() == 1);
    for (TaskId task : tasks) h.Finish(task, "value", microseconds(10));
  }
  Measure(h, H::Library("long"), milliseconds(10));
  SubmitMany(h, H::Library("long"), 3);
  CHECK(h.workers.begin()->second.tasks.size() == 1);
}

TEST_CASE("short tasks of several classes are given ahead, if they ask for the same") {
  H h(1);
  const TaskClass a = H::Library("a"), b = H::Library("b"), half = H::Library("half", 0.5);
  for (const TaskClass& task_class : {a, b, half}) Measure(h, task_class, microseconds(10));
  h.Submit(a);
  h.Submit(b);
  h.Submit(a);
  CHECK(h.workers.begin()->second.tasks.size() == 3);
  h.Submit(half);
  h.Submit(b);  // not its turn yet
  CHECK(h.workers.begin()->second.tasks.size() == 3);
}

TEST_CASE("nothing is given ahead to a worker that runs a task of a long class") {
  H h(1);
  Measure(h, H::Library("long"), milliseconds(10));
  Measure(h, H::Library("short"), microseconds(10));
  h.Submit(H::Library("long"));
  h.Submit(H::Library("short"));
  CHECK(h.workers.begin()->second.tasks.size() == 1);
}

TEST_CASE("the work given ahead is bounded over all classes together") {
  H h(1);
  Measure(h, H::Library("a"), limits::kPipelineWork / 2);
  Measure(h, H::Library("b"), limits::kPipelineWork / 4);
  for (int i = 0; i < 8; ++i) h.Submit(H::Library(i % 2 ? "a" : "b"));
  CHECK(h.workers.begin()->second.tasks.size() == 3);  // b, then a and b with 3/4 of the bound
}

TEST_CASE("the slot passes from one task to the next") {
  H h(1);
  Measure(h, H::Library(), microseconds(10));
  for (TaskId task : SubmitMany(h, H::Library(), 5)) {
    CHECK(h.UsedCpus() == 1);
    h.Finish(task, "value", microseconds(10));
  }
  CHECK(h.UsedCpus() == 0);
}

TEST_CASE("a worker that finishes nothing for a while gives its queue back") {
  H h(2);
  Measure(h, H::Library(), microseconds(10));
  const std::vector<TaskId> tasks = SubmitMany(h, H::Library(), 4);
  const WorkerId slow = 1;
  const std::vector<TaskId> queue = {h.workers.at(slow).tasks[1]};
  h.Advance(limits::kRecallAfter);
  REQUIRE(h.recalls.size() == 2);
  CHECK(h.recalls[0].worker == slow);
  CHECK(h.recalls[0].tasks == queue);
  CHECK(h.StateOf(queue[0]) == "ASSIGNED");
  h.Return(slow, queue);
  CHECK(h.StateOf(queue[0]) == "READY");
  h.Advance(seconds(1));
  CHECK(h.recalls.size() == 2);
}

TEST_CASE("an idle worker gets the later half of another one's queue") {
  H h(2);
  Measure(h, H::Library(), microseconds(100));
  const std::vector<TaskId> tasks = SubmitMany(h, H::Library(), 10);
  const std::vector<TaskId> fast = h.workers.at(1).tasks;
  const std::vector<TaskId> slow = h.workers.at(2).tasks;
  REQUIRE(slow.size() == 5);
  for (TaskId task : fast) h.Finish(task, "value", microseconds(100));
  REQUIRE(h.recalls.size() == 1);
  CHECK(h.recalls[0].worker == 2);
  CHECK(h.recalls[0].tasks == std::vector<TaskId>(slow.begin() + 3, slow.end()));
  h.Return(2, h.recalls[0].tasks);
  CHECK(h.WorkerOf(slow[3]) == 1);
  CHECK(h.core.FindTask(slow[3])->attempt == 0);
}

TEST_CASE("a queue with little work is left to its worker") {
  H h(2);
  Measure(h, H::Library(), microseconds(10));
  SubmitMany(h, H::Library(), 10);
  const std::vector<TaskId> fast = h.workers.at(1).tasks;
  for (TaskId task : fast) h.Finish(task, "value", microseconds(10));
  CHECK(h.recalls.empty());
}

TEST_CASE("tasks that had not begun on a lost worker run again without counting a retry") {
  H h(1);
  Measure(h, H::Library(), microseconds(10));
  const std::vector<TaskId> tasks = SubmitMany(h, H::Library(), 3);
  h.Lose(h.WorkerOf(tasks[0]));
  CHECK(h.core.FindTask(tasks[0])->attempt == 1);
  CHECK(h.core.FindTask(tasks[1])->attempt == 0);
  CHECK(h.core.FindTask(tasks[2])->attempt == 0);
  CHECK(h.Running(tasks[0]));
}

TEST_CASE("a million tasks queue and drain in linear time") {
  H h(2);
  // Bypasses the harness's checks, which look at everything after each event.
  const auto drain = [&](int count) {
    const ClassId task_class = h.Class(H::Library("no-op"));
    const Time begin = Clock::now();
    for (int i = 0; i < count; ++i) {
      TaskSpec spec;
      spec.id = h.NextId(H::kDriver);
      spec.session = H::kDriver;
      spec.task_class = task_class;
      REQUIRE(h.core.OnTaskSubmitted(std::move(spec), h.now).ok());
    }
    std::vector<RunTask> under_way;
    int finished = 0;
    for (;;) {
      for (const Decision& decision : h.core.TakeDecisions()) {
        if (const auto* run = std::get_if<RunTask>(&decision)) under_way.push_back(*run);
      }
      if (under_way.empty()) break;
      for (const RunTask& run : std::exchange(under_way, {})) {
        TaskOutcome outcome;
        outcome.results = {{"", {}}};
        h.core.OnTaskFinished(run.worker, run.task, std::move(outcome), h.now);
        ++finished;
      }
    }
    CHECK(finished == count);
    return std::chrono::duration<double>(Clock::now() - begin).count() / count;
  };
  drain(10'000);
  const double few = drain(20'000);
  const double many = drain(500'000);
  CHECK(many < 4 * few);  // quadratic would be 25
}

}  // namespace
}  // namespace kiln::core
