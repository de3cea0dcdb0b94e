#include "tests/unit/core_harness.h"

namespace kiln::core {
namespace {

using H = CoreHarness;

TaskClass WithPriority(int priority, const std::string& name = "f") {
  TaskClass task_class = H::Library(name);
  task_class.priority = priority;
  return task_class;
}

TEST_CASE("ready tasks run in order of submission") {
  H h(1);
  std::vector<TaskId> expected;
  for (int i = 0; i < 5; ++i) expected.push_back(h.Submit(H::Library("f" + std::to_string(i % 2))));
  for (TaskId task : expected) h.Finish(task);
  CHECK(h.run == expected);
}

TEST_CASE("a higher priority runs first") {
  H h(1);
  const TaskId running = h.Submit(H::Library());
  const TaskId low = h.Submit(WithPriority(-1));
  const TaskId normal = h.Submit(H::Library());
  const TaskId high = h.Submit(WithPriority(5));
  for (TaskId task : {running, high, normal, low}) h.Finish(task);
  CHECK(h.run == std::vector<TaskId>{running, high, normal, low});
}

TEST_CASE("two drivers take turns, however much one has queued") {
  H h(1);
  const SessionNumber other = h.OpenDriver(8);
  std::vector<TaskId> mine, theirs;
  for (int i = 0; i < 4; ++i) mine.push_back(h.Submit(H::Library()));
  for (int i = 0; i < 2; ++i) theirs.push_back(h.Submit(H::Library(), {.session = other}));
  for (int i = 0; i < 6; ++i) h.Finish(h.run.back());
  CHECK(h.run == std::vector<TaskId>{mine[0], theirs[0], mine[1], theirs[1], mine[2], mine[3]});
}

TEST_CASE("tasks of a driver's tasks count for that driver") {
  H h(2);
  const SessionNumber other = h.OpenDriver(8);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId fill = h.Submit(H::Library("fill"));
  std::vector<TaskId> children;
  for (int i = 0; i < 3; ++i) children.push_back(h.SubmitFrom(parent, H::Library("child")));
  const TaskId theirs = h.Submit(H::Library(), {.session = other});
  CHECK(h.core.FindTask(children[0])->root == H::kDriver);
  h.Finish(fill);
  CHECK(h.Running(theirs));
}

TEST_CASE("a detached task runs on behalf of the head") {
  H h;
  TaskClass detached = H::Library();
  detached.detached = true;
  const TaskId task = h.Submit(detached);
  CHECK(h.core.FindTask(task)->root == kHeadSession);
  h.CloseSession(H::kDriver);
  CHECK(h.Running(task));
  h.Finish(task, "kept");
  CHECK(h.ValueOf(task) == "kept");
  REQUIRE(h.Release({task}, kHeadSession).ok());
  CHECK_FALSE(h.core.FindObject(task));
}

TEST_CASE("a task whose arguments were sealed late goes to the place of its submission") {
  H h(1);
  const TaskId running = h.Submit(H::Library());
  const ObjectId object = h.Create(0, 10);
  const TaskId first = h.Submit(H::Library());
  const TaskId second = h.Submit(H::Library(), {.refs = {object}});
  const TaskId third = h.Submit(H::Library());
  REQUIRE(h.core.OnObjectSealed(H::kDriver, object, {}, h.now).ok());
  h.Pump();
  for (TaskId task : {running, first, second, third}) h.Finish(task);
  CHECK(h.run == std::vector<TaskId>{running, first, second, third});
}

TEST_CASE("a task that does not fit is passed by, but not for ever") {
  H h(2);
  TaskId small = h.Submit(H::Library("small"));
  const TaskId big = h.Submit(H::Library("big", 2));
  uint32_t passed_by = 0;
  // There is always a small task running, so the big one never fits by chance.
  while (!h.Running(big)) {
    const TaskId next = h.Submit(H::Library("small"));
    if (h.Running(next)) ++passed_by;
    h.Finish(small);
    if (!h.Running(next)) break;
    small = next;
  }
  CHECK(passed_by == limits::kMaxBypasses);
  const TaskId late = h.Submit(H::Library("small"));
  CHECK(h.Running(big));
  CHECK_FALSE(h.Running(late));
}

TEST_CASE("a higher priority may pass a task that is waited for") {
  H h(2);
  TaskId small = h.Submit(H::Library("small"));
  h.Submit(H::Library("big", 2));
  for (uint32_t i = 0; i < limits::kMaxBypasses; ++i) {
    const TaskId next = h.Submit(H::Library("small"));
    h.Finish(small);
    small = next;
  }
  CHECK_FALSE(h.Running(h.Submit(H::Library("small"))));
  CHECK(h.Running(h.Submit(WithPriority(1, "urgent"))));
}

TEST_CASE("fractions of a CPU and custom resources bound what runs together") {
  H h(1);
  const TaskClass half = H::Library("half", 0.5);
  const TaskId a = h.Submit(half), b = h.Submit(half), c = h.Submit(half);
  CHECK(h.Running(a));
  CHECK(h.Running(b));
  CHECK_FALSE(h.Running(c));

  CoreOptions options = H::Options(4);
  options.total.SetCustom("disk", 1);
  H d(options);
  TaskClass disk = H::Library("disk");
  disk.resources.SetCustom("disk", 1);
  const TaskId first = d.Submit(disk), second = d.Submit(disk);
  const TaskId other = d.Submit(H::Library());
  CHECK(d.Running(first));
  CHECK_FALSE(d.Running(second));
  CHECK(d.Running(other));
  d.Finish(first);
  CHECK(d.Running(second));
}

// --- jobs ----------------------------------------------------------------------------------------

TEST_CASE("jobs hold their CPUs while they run and start in order") {
  H h(2);
  REQUIRE(h.core.OnJobSubmitted(1, Resources(2), h.now).ok());
  REQUIRE(h.core.OnJobSubmitted(2, Resources(1), h.now).ok());
  h.Pump();
  CHECK(h.jobs == std::vector<JobId>{1});
  CHECK_FALSE(h.Running(h.Submit(H::Library())));
  h.core.OnJobEnded(1, h.now);
  h.Pump();
  CHECK(h.jobs == std::vector<JobId>{1, 2});
  CHECK(h.UsedCpus() == 2);
}

TEST_CASE("a job that can never fit is refused with the reason") {
  H h(2);
  const Status status = h.core.OnJobSubmitted(1, Resources(3), h.now);
  CHECK(status.code() == Code::kResourceExhausted);
  CHECK(status.message().find("num_cpus: 3 asked, 2 here") != std::string::npos);
}

TEST_CASE("a waiting job is passed by tasks, but not for ever") {
  H h(2);
  TaskId small = h.Submit(H::Library());
  REQUIRE(h.core.OnJobSubmitted(1, Resources(2), h.now).ok());
  for (uint32_t i = 0; i < limits::kMaxBypasses; ++i) {
    const TaskId next = h.Submit(H::Library());
    REQUIRE(h.Running(next));
    h.Finish(small);
    small = next;
  }
  CHECK_FALSE(h.Running(h.Submit(H::Library())));
  h.Finish(small);
  CHECK(h.jobs == std::vector<JobId>{1});
}

TEST_CASE("a job that waits for another job's CPUs does not stop tasks") {
  H h(2);
  REQUIRE(h.core.OnJobSubmitted(1, Resources(1), h.now).ok());
  REQUIRE(h.core.OnJobSubmitted(2, Resources(2), h.now).ok());
  for (uint32_t i = 0; i < 2 * limits::kMaxBypasses; ++i) h.Finish(h.Submit(H::Library()));
  CHECK(h.Running(h.Submit(H::Library())));
}

TEST_CASE("a job ended before it started is forgotten") {
  H h(1);
  REQUIRE(h.core.OnJobSubmitted(1, Resources(1), h.now).ok());
  h.Pump();
  REQUIRE(h.core.OnJobSubmitted(2, Resources(1), h.now).ok());
  h.core.OnJobEnded(2, h.now);
  h.core.OnJobEnded(1, h.now);
  h.Pump();
  CHECK(h.jobs == std::vector<JobId>{1});
  CHECK(h.UsedCpus() == 0);
}

}  // namespace
}  // namespace kiln::core
