#include "tests/unit/core_harness.h"

namespace kiln::core {
namespace {

using H = CoreHarness;

TEST_CASE("a queued task is dropped by cancel, and what depends on it is cancelled too") {
  H h(1);
  h.Submit(H::Library("running"));
  const TaskId ready = h.Submit(H::Library("ready"));
  const TaskId waiting = h.Submit(H::Library("waiting"), {.refs = {ready}});
  CHECK(h.Cancel(ready) == CancelOutcome::kDropped);
  CHECK(h.ErrorOf(ready).kind == ErrorKind::kCancelled);
  CHECK(h.ErrorOf(waiting).kind == ErrorKind::kCancelled);
  CHECK(h.ErrorOf(waiting).chain == std::vector<std::string>{"waiting"});
  CHECK(h.StateOf(ready) == "CANCELLED");
  CHECK(h.StateOf(waiting) == "CANCELLED");
}

TEST_CASE("a waiting task is dropped by cancel") {
  H h;
  const ObjectId object = h.Create(0, 1);
  const TaskId waiting = h.Submit(H::Library(), {.refs = {object, object}});
  CHECK(h.Cancel(waiting) == CancelOutcome::kDropped);
  REQUIRE(h.core.OnObjectSealed(H::kDriver, object, {}, h.now).ok());
  h.Pump();
  CHECK(h.run.empty());
}

TEST_CASE("a running task is asked to stop, and if it fails then the result is Cancelled") {
  H h;
  const TaskId task = h.Submit(H::Library());
  CHECK(h.Cancel(task) == CancelOutcome::kAsked);
  REQUIRE(h.cancels.size() == 1);
  CHECK(h.cancels[0].task == task);
  CHECK(h.Cancel(task) == CancelOutcome::kAsked);
  CHECK(h.cancels.size() == 1);
  h.Fail(task);
  CHECK(h.ErrorOf(task).kind == ErrorKind::kCancelled);
}

TEST_CASE("a running task that finishes in spite of the token keeps its result") {
  H h;
  const TaskId task = h.Submit(H::Library());
  h.Cancel(task);
  h.Finish(task, "done");
  CHECK(h.ValueOf(task) == "done");
  CHECK(h.Cancel(task) == CancelOutcome::kFinished);
}

TEST_CASE("a task that had not begun and comes back after cancel is Cancelled") {
  H h(1);
  const TaskId task = h.Submit(H::Library());
  h.Cancel(task);
  h.Return(h.WorkerOf(task), {task});
  CHECK(h.ErrorOf(task).kind == ErrorKind::kCancelled);
}

TEST_CASE("force kills the worker of a running task, which is not retried") {
  H h(1);
  const TaskId task = h.Submit(H::Library());
  const WorkerId worker = h.WorkerOf(task);
  CHECK(h.Cancel(task, /*force=*/true) == CancelOutcome::kKilled);
  REQUIRE(h.kills.size() == 1);
  CHECK(h.kills[0].worker == worker);
  CHECK(h.ErrorOf(task).kind == ErrorKind::kCancelled);
  CHECK(h.Running(h.Submit(H::Library())));
}

TEST_CASE("force after a plain cancel kills too") {
  H h;
  const TaskId task = h.Submit(H::Library());
  h.Cancel(task);
  CHECK(h.Cancel(task, /*force=*/true) == CancelOutcome::kKilled);
}

TEST_CASE("force spares tasks behind and retries tasks below on the stack") {
  CoreOptions options = H::Options(1);
  options.max_workers = 1;
  H h(options);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId other = h.Submit(H::Library("other"));
  // The child is the driver's, so that it is not cancelled with its parent's attempt.
  const TaskId child = h.Submit(H::Library("child"));
  h.Block(parent, {child});
  REQUIRE(h.WorkerOf(child) == h.WorkerOf(parent));
  h.Cancel(child, /*force=*/true);
  CHECK(h.ErrorOf(child).kind == ErrorKind::kCancelled);
  CHECK(h.core.FindTask(parent)->attempt == 1);
  CHECK(h.core.FindTask(other)->attempt == 0);
  CHECK(h.Running(parent));
}

TEST_CASE("cancelling a task cancels what it has submitted, all the way down") {
  H h(2);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId child = h.SubmitFrom(parent, H::Library("child"));
  const TaskId grandchild = h.SubmitFrom(child, H::Library("grandchild"));
  TaskClass detached = H::Library("detached");
  detached.detached = true;
  const TaskId free_child = h.SubmitFrom(parent, detached);
  h.Cancel(parent);
  CHECK(h.StateOf(grandchild) == "CANCELLED");
  CHECK(h.cancels.size() == 2);
  CHECK(h.StateOf(free_child) == "READY");
}

TEST_CASE("cancelling what is unknown or was put is told apart") {
  H h;
  CHECK(h.core.OnCancel(MakeObjectId(1, 77), false, h.now).status().code() == Code::kNotFound);
  CHECK(h.Cancel(h.Put("x")) == CancelOutcome::kFinished);
}

// --- time-outs -----------------------------------------------------------------------------------

TaskClass Timed() {
  TaskClass task_class = H::Library("timed");
  task_class.timeout = milliseconds(100);
  return task_class;
}

TEST_CASE("a task that runs too long is asked to stop, then its worker is killed") {
  H h;
  const TaskId task = h.Submit(Timed());
  h.Advance(milliseconds(99));
  CHECK(h.cancels.empty());
  h.Advance(milliseconds(1));
  CHECK(h.cancels.size() == 1);
  h.Advance(limits::kCancelGrace - milliseconds(1));
  CHECK(h.kills.empty());
  h.Advance(milliseconds(1));
  CHECK(h.kills.size() == 1);
  const ErrorInfo error = h.ErrorOf(task);
  CHECK(error.kind == ErrorKind::kTimedOut);
  CHECK(error.message.find("100 ms") != std::string::npos);
}

TEST_CASE("a timed out task that stops when asked is TimedOut and not retried") {
  H h;
  TaskClass timed = Timed();
  timed.retry_exceptions = true;
  const TaskId task = h.Submit(timed);
  h.Advance(milliseconds(100));
  h.Fail(task);
  CHECK(h.ErrorOf(task).kind == ErrorKind::kTimedOut);
  h.Advance(seconds(2));
  CHECK(h.kills.empty());
}

TEST_CASE("the time-out counts from dispatch, anew for each attempt") {
  H h(1);
  const TaskId first = h.Submit(H::Library());
  const TaskId task = h.Submit(Timed());
  h.Advance(seconds(1));
  h.Finish(first);
  h.Advance(milliseconds(60));
  h.Lose(h.WorkerOf(task));
  h.Advance(milliseconds(60));
  CHECK(h.cancels.empty());
  h.Finish(task, "in time");
  CHECK(h.ValueOf(task) == "in time");
  CHECK(h.core.NextTimer() == kNever);
}

}  // namespace
}  // namespace kiln::core
