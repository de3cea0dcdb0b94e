#include "tests/unit/core_harness.h"

namespace kiln::core {
namespace {

using H = CoreHarness;

TEST_CASE("as many library hosts as CPUs are started at once and kept ready") {
  H h(3);
  CHECK(h.CountWorkers(kLibraryHost) == 3);
  const WorkerId first = h.workers.begin()->first;
  h.Finish(h.Submit(H::Library()));
  h.Lose(first, "exited with code 1");
  h.Advance(limits::kStartBackoffFirst);
  CHECK(h.CountWorkers(kLibraryHost) == 3);
}

TEST_CASE("a worker of a driver's program is started when a task needs it, one for one task") {
  H h(2);
  h.auto_ready = false;
  CHECK(h.CountWorkers(H::kProgram) == 0);
  const TaskId task = h.Submit(H::Own());
  CHECK(h.CountWorkers(H::kProgram) == 1);
  h.Advance(milliseconds(1));
  CHECK(h.CountWorkers(H::kProgram) == 1);
  h.Submit(H::Own());
  CHECK(h.CountWorkers(H::kProgram) == 2);
  h.Submit(H::Own());
  CHECK(h.CountWorkers(H::kProgram) == 2);  // no CPU is free for a third
  h.Ready(h.starts[2].worker);
  CHECK(h.WorkerOf(task) == h.starts[2].worker);
}

TEST_CASE("a task runs only on workers of its program") {
  H h(2);
  const TaskId own = h.Submit(H::Own());
  const TaskId library = h.Submit(H::Library());
  CHECK(h.workers.at(h.WorkerOf(own)).program == H::kProgram);
  CHECK(h.workers.at(h.WorkerOf(library)).program == kLibraryHost);
}

TEST_CASE("there are never more workers than the cap, an idle one makes room") {
  CoreOptions options = H::Options(2);
  options.max_workers = 2;
  H h(options);
  const TaskId task = h.Submit(H::Own());
  CHECK(h.retired == std::vector<WorkerId>{1});
  CHECK(h.workers.at(h.WorkerOf(task)).program == H::kProgram);
  CHECK(h.CountWorkers(kLibraryHost) == 1);
}

TEST_CASE("the last library host makes room for nobody") {
  CoreOptions options = H::Options(2);
  options.max_workers = 2;
  H h(options);
  h.Submit(H::Own());
  h.Submit(H::Own());
  CHECK(h.CountWorkers(kLibraryHost) == 1);
  CHECK(h.CountWorkers(H::kProgram) == 1);
  CHECK(h.Running(h.Submit(H::Library())));
}

TEST_CASE("idle workers above the number of CPUs end after a while, the reserve stays") {
  H h(2);
  std::vector<TaskId> blocked;
  const ObjectId object = h.Create(0, 1);
  for (int i = 0; i < 5; ++i) {
    blocked.push_back(h.Submit(H::Library()));
    h.Block(blocked.back(), {object});
  }
  CHECK(h.CountWorkers(kLibraryHost) == 5);
  REQUIRE(h.core.OnObjectSealed(H::kDriver, object, {}, h.now).ok());
  h.Pump();
  for (TaskId task : blocked) h.Finish(task);
  CHECK(h.CountWorkers(kLibraryHost) == 5);
  h.Advance(limits::kIdleWorkerLife);
  CHECK(h.CountWorkers(kLibraryHost) == 2);
  h.Advance(limits::kIdleWorkerLife * 10);
  CHECK(h.CountWorkers(kLibraryHost) == 2);
}

TEST_CASE("workers of a connected driver stay warm and go with it") {
  H h(2);
  const TaskId a = h.Submit(H::Own()), b = h.Submit(H::Own());
  h.Finish(a);
  h.Finish(b);
  h.Advance(limits::kIdleWorkerLife * 3);
  CHECK(h.CountWorkers(H::kProgram) == 2);
  h.CloseSession(H::kDriver);
  CHECK(h.CountWorkers(H::kProgram) == 0);
  CHECK(h.CountWorkers(kLibraryHost) == 2);
}

TEST_CASE("a driver of the same program keeps the workers") {
  H h(2);
  const SessionNumber other = h.OpenDriver(H::kProgram);
  h.Finish(h.Submit(H::Own()));
  h.CloseSession(H::kDriver);
  CHECK(h.CountWorkers(H::kProgram) == 1);
  h.CloseSession(other);
  CHECK(h.CountWorkers(H::kProgram) == 0);
}

TEST_CASE("a starting worker that nobody needs any more is killed") {
  H h(2);
  h.auto_ready = false;
  h.Submit(H::Own());
  h.CloseSession(H::kDriver);
  CHECK(h.kills.size() == 1);
  CHECK(h.CountWorkers(H::kProgram) == 0);
}

// --- starts that fail ----------------------------------------------------------------------------

TEST_CASE("a worker that says nothing is killed and counts as failed to start") {
  H h(1);
  h.auto_ready = false;
  const TaskId task = h.Submit(H::Own());
  const WorkerId silent = h.starts.back().worker;
  h.Advance(limits::kWorkerStartTimeout);
  REQUIRE(h.kills.size() == 1);
  CHECK(h.kills[0].worker == silent);
  REQUIRE(h.core.GetTotals().worker_failures.size() == 1);
  CHECK(h.core.GetTotals().worker_failures[0].find("did not say hello") != std::string::npos);
  CHECK(h.StateOf(task) == "READY");
  CHECK_FALSE(h.core.OnWorkerReady(silent, 999, 1, h.now).ok());
}

TEST_CASE("starts that fail back off, then the waiting tasks fail with the reason") {
  H h(1);
  h.auto_ready = false;
  const TaskId task = h.Submit(H::Own());
  const size_t before = h.starts.size();
  std::vector<Duration> pauses;
  for (int i = 1; i < limits::kMaxStartFailures; ++i) {
    h.Lose(h.starts.back().worker, "exited with code 127: no such file");
    const size_t starts = h.starts.size();
    const Time begin = h.now;
    while (h.starts.size() == starts) h.Advance(h.core.NextTimer() - h.now);
    pauses.push_back(h.now - begin);
  }
  CHECK(pauses.front() == limits::kStartBackoffFirst);
  CHECK(pauses.back() == limits::kStartBackoffFirst * 8);
  CHECK(h.starts.size() == before + limits::kMaxStartFailures - 1);
  h.Lose(h.starts.back().worker, "exited with code 127: no such file");
  const ErrorInfo error = h.ErrorOf(task);
  CHECK(error.kind == ErrorKind::kWorkerCrashed);
  CHECK(error.message.find("no such file") != std::string::npos);
  // New ones wait for the longest pause.
  const TaskId later = h.Submit(H::Own());
  const size_t starts = h.starts.size();
  h.Advance(limits::kStartBackoffMost - milliseconds(1));
  CHECK(h.starts.size() == starts);
  h.Advance(milliseconds(1));
  REQUIRE(h.starts.size() == starts + 1);
  h.Ready(h.starts.back().worker);
  CHECK(h.Running(later));
  CHECK(h.core.GetTotals().worker_failures.empty());
}

TEST_CASE("workers that were started together and fail together are one failure") {
  H h(8);
  h.auto_ready = false;
  std::vector<TaskId> tasks;
  for (int i = 0; i < 8; ++i) tasks.push_back(h.Submit(H::Own()));
  REQUIRE(h.CountWorkers(H::kProgram) == 8);
  const size_t starts = h.starts.size();
  for (size_t i = starts - 8; i < starts; ++i) h.Lose(h.starts[i].worker, "its fork server ended");
  for (TaskId task : tasks) CHECK(h.StateOf(task) == "READY");
  h.Advance(limits::kStartBackoffFirst - milliseconds(1));
  CHECK(h.starts.size() == starts);
  h.Advance(milliseconds(1));
  CHECK(h.starts.size() == starts + 8);
}

TEST_CASE("a ready worker ends the back-off") {
  H h(1);
  h.auto_ready = false;
  h.Submit(H::Own());
  h.Lose(h.starts.back().worker, "exited with code 1");
  h.Advance(limits::kStartBackoffFirst);
  h.Ready(h.starts.back().worker);
  CHECK(h.core.GetTotals().worker_failures.empty());
}

TEST_CASE("workers that end before they did anything are not started over and over") {
  H h(1);
  for (int i = 0; i < 3; ++i) {
    const size_t starts = h.starts.size();
    h.Lose(h.workers.begin()->first, "exited with code 1");
    CHECK(h.starts.size() == starts);
    h.Advance(limits::kStartBackoffFirst);
    CHECK(h.starts.size() == starts + 1);
  }
}

TEST_CASE("a program that cannot get a worker does not hold up one that can") {
  CoreOptions options = H::Options(1);
  options.max_workers = 2;
  H h(options);
  // The only place for this program is taken by a blocked worker, and the library host is gone.
  const TaskId parent = h.Submit(H::Own("parent"));
  h.Block(parent, {h.Create(0, 1)});
  h.auto_ready = false;
  h.Finish(h.Submit(H::Library()));
  h.Lose(1);
  const WorkerId next = h.starts.back().worker;
  h.Lose(next, "exited with code 1");
  const TaskId stuck = h.Submit(H::Own("stuck"));
  const TaskId library = h.Submit(H::Library());
  h.Advance(limits::kStartBackoffFirst);
  REQUIRE(h.starts.back().program == kLibraryHost);
  h.Ready(h.starts.back().worker);
  CHECK_FALSE(h.Running(stuck));
  CHECK(h.Running(library));
}

// --- kept ready ----------------------------------------------------------------------------------

TEST_CASE("a driver can have workers of its program ready before its first task") {
  H h(3);
  const SessionNumber driver = h.OpenDriver(9, /*keep_ready=*/true);
  CHECK(h.CountWorkers(9) == 3);
  const size_t starts = h.starts.size();
  const TaskId task = h.Submit(H::Own("own", 9), {.session = driver});
  CHECK(h.Running(task));
  CHECK(h.starts.size() == starts);
  h.Lose(h.WorkerOf(task));
  h.Advance(limits::kStartBackoffFirst);
  CHECK(h.CountWorkers(9) == 3);
  h.Advance(limits::kIdleWorkerLife * 3);
  CHECK(h.CountWorkers(9) == 3);
}

TEST_CASE("workers are kept ready as long as any driver wants that, and no longer") {
  H h(2);
  const SessionNumber plain = h.OpenDriver(9);
  CHECK(h.CountWorkers(9) == 0);
  const SessionNumber first = h.OpenDriver(9, true);
  const SessionNumber second = h.OpenDriver(9, true);
  CHECK(h.CountWorkers(9) == 2);
  h.CloseSession(first);
  h.Lose(h.starts.back().worker);
  h.Advance(limits::kStartBackoffMost);
  CHECK(h.CountWorkers(9) == 2);
  h.CloseSession(second);
  h.Lose(h.starts.back().worker);
  h.Advance(limits::kStartBackoffMost);
  CHECK(h.CountWorkers(9) == 1);  // warm for the other driver, not replaced
  h.CloseSession(plain);
  CHECK(h.CountWorkers(9) == 0);
}

TEST_CASE("workers are kept ready only where the cap has room, and make room for tasks") {
  CoreOptions options = H::Options(2);
  options.max_workers = 3;
  H h(options);
  const SessionNumber driver = h.OpenDriver(9, true);
  CHECK(h.CountWorkers(kLibraryHost) == 2);
  CHECK(h.CountWorkers(9) == 1);
  CHECK(h.retired.empty());
  CHECK(h.Running(h.Submit(H::Own())));  // the host idle for the longest went
  const TaskId again = h.Submit(H::Own());
  CHECK(h.Running(again));
  CHECK(h.CountWorkers(kLibraryHost) == 1);
  CHECK(h.CountWorkers(9) == 0);
  h.CloseSession(H::kDriver);
  h.Advance(limits::kCancelGrace);  // its tasks' workers are killed
  CHECK(h.CountWorkers(kLibraryHost) == 2);
  CHECK(h.CountWorkers(9) == 1);
  CHECK(h.Running(h.Submit(H::Own("own", 9), {.session = driver})));
}

TEST_CASE("a program that cannot start is not started over and over to be kept ready") {
  H h(2);
  h.auto_ready = false;
  h.OpenDriver(9, true);
  const size_t before = h.starts.size();
  for (int seconds_passed = 0; seconds_passed < 60; ++seconds_passed) {
    for (const StartWorker& start : std::vector(h.starts)) {
      if (start.program == 9 && h.workers.contains(start.worker))
        h.Lose(start.worker, "exit code 1");
    }
    h.Advance(seconds(1));
  }
  CHECK(h.starts.size() > before);
  CHECK(h.starts.size() - before < 50);
}

TEST_CASE("a host of libraries that is no driver's stays warm for a while after its last task") {
  H h(2);
  TaskClass python = H::Library();
  python.library = "python:/lib";
  python.program = 9;
  h.Finish(h.Submit(python));
  CHECK(h.CountWorkers(9) == 1);
  h.Finish(h.Submit(python));
  CHECK(h.CountWorkers(9) == 1);
  h.Advance(limits::kIdleWorkerLife);
  CHECK(h.CountWorkers(9) == 0);
  REQUIRE(h.forgotten.size() == 1);
  CHECK(h.forgotten[0].sessions == 0);
  CHECK(h.Running(h.Submit(python)));
}

// --- leaving -------------------------------------------------------------------------------------

TEST_CASE("a leaving worker gets no tasks and is replaced") {
  H h(1);
  h.auto_leave = false;
  const TaskId task = h.Submit(H::Library());
  const WorkerId worker = h.WorkerOf(task);
  h.Return(worker, {task}, /*leaving=*/true);
  CHECK(h.WorkerOf(task) != worker);
  CHECK(h.core.FindTask(task)->attempt == 0);
  h.Lose(worker, "left");
  CHECK(h.CountWorkers(kLibraryHost) == 1);
}

TEST_CASE("a worker that was told to leave and stays is killed") {
  CoreOptions options = H::Options(1);
  options.max_workers = 2;
  H h(options);
  h.auto_leave = false;
  const TaskId task = h.Submit(H::Library());
  h.Return(h.WorkerOf(task), {task}, /*leaving=*/true);
  h.Advance(limits::kLeaveGrace);
  REQUIRE(h.kills.size() == 1);
  CHECK(h.kills[0].worker == 1);
}

TEST_CASE("a program is forgotten when its drivers, tasks and workers are gone, not before") {
  H h(2);
  h.core.OnSessionOpened(901, SessionKind::kDriver, 9, h.now);
  h.core.OnSessionOpened(902, SessionKind::kDriver, 9, h.now);
  h.Pump();
  TaskClass detached = H::Own("d", 9);
  detached.detached = true;
  const TaskId task = h.Submit(detached, {.session = 901});
  h.core.OnSessionClosed(901, h.now);
  h.core.OnSessionClosed(902, h.now);
  h.Pump();
  CHECK(h.forgotten.empty());
  h.Finish(task);
  h.Pump();
  REQUIRE(h.forgotten.size() == 1);
  CHECK(h.forgotten[0].program == 9);
  CHECK(h.forgotten[0].sessions == 2);
  h.core.OnSessionOpened(903, SessionKind::kDriver, 9, h.now);
  h.core.OnSessionClosed(903, h.now);
  h.Pump();
  REQUIRE(h.forgotten.size() == 2);
  CHECK(h.forgotten[1].sessions == 1);
}

TEST_CASE("a worker that is not one of ours is refused") {
  H h;
  CHECK(h.core.OnWorkerReady(77, 500, 1, h.now).code() == Code::kNotFound);
  CHECK(h.core.OnWorkerReady(1, 500, 1, h.now).code() == Code::kNotFound);
  CHECK(h.core.FindWorkerProgram(1) == kLibraryHost);
  CHECK_FALSE(h.core.FindWorkerProgram(77));
}

TEST_CASE("workers are listed with state and innermost task") {
  H h(2);
  h.auto_ready = false;
  const TaskId task = h.Submit(H::Library("busy"));
  h.Submit(H::Own());
  const std::vector<WorkerRow> rows = h.core.ListWorkers();
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].state == "IDLE");
  CHECK(rows[1].state == "BUSY");
  CHECK(rows[1].task == "busy");
  CHECK(rows[1].assigned == 1);
  CHECK(rows[2].state == "STARTING");
  h.Finish(task);
  CHECK(h.core.ListWorkers()[1].finished == 1);
}

}  // namespace
}  // namespace kiln::core
