#include "tests/unit/core_harness.h"

namespace kiln::core {
namespace {

using H = CoreHarness;

TEST_CASE("a driver that goes takes its queued tasks with it") {
  H h(1);
  const SessionNumber other = h.OpenDriver(8);
  const TaskId theirs = h.Submit(H::Library("theirs"), {.session = other});
  const TaskId ready = h.Submit(H::Library("ready"));
  const TaskId waiting = h.Submit(H::Library("waiting"), {.refs = {ready}});
  h.CloseSession(H::kDriver);
  CHECK(h.StateOf(ready) == "CANCELLED");
  CHECK(h.StateOf(waiting) == "CANCELLED");
  CHECK(h.Running(theirs));
  CHECK(h.core.GetTotals().objects == 1);
  CHECK(h.core.GetTotals().drivers == 1);
}

TEST_CASE("running tasks of a driver that went are asked to stop, then killed") {
  H h(2);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId child = h.SubmitFrom(parent, H::Library("child"));
  const TaskId queued = h.SubmitFrom(parent, H::Library("queued"));
  h.CloseSession(H::kDriver);
  CHECK(h.StateOf(queued) == "CANCELLED");
  CHECK(h.cancels.size() == 2);
  h.Finish(child);
  h.Advance(limits::kCancelGrace);
  CHECK(h.kills.size() == 1);
  CHECK(h.StateOf(parent) == "CANCELLED");
  CHECK(h.core.GetTotals().objects == 0);
  CHECK(h.UsedCpus() == 0);
}

TEST_CASE("a task submitted on behalf of a driver that went is cancelled at once") {
  H h(2);
  const TaskId parent = h.Submit(H::Library("parent"));
  h.CloseSession(H::kDriver);
  const TaskId late = h.SubmitFrom(parent, H::Library("late"));
  CHECK(h.StateOf(late) == "CANCELLED");
}

TEST_CASE("references and unfinished writes end with their session") {
  H h;
  const ObjectId put = h.Put("x");
  h.Create(4096, 7);
  h.CloseSession(H::kDriver);
  CHECK_FALSE(h.core.FindObject(put));
  CHECK(h.freed == std::vector<Slice>{{4096, 7}});
}

TEST_CASE("what a worker held goes when it is lost") {
  H h(1);
  const TaskId task = h.Submit(H::Library());
  const SessionNumber session = h.workers.at(h.WorkerOf(task)).session;
  const ObjectId put = h.Put("x", session);
  h.Create(0, 5, session);
  h.Lose(h.WorkerOf(task));
  CHECK_FALSE(h.core.FindObject(put));
  CHECK(h.freed == std::vector<Slice>{{0, 5}});
}

TEST_CASE("closing a worker's session as if it were a driver's changes nothing") {
  H h(1);
  const TaskId task = h.Submit(H::Library());
  h.CloseSession(h.workers.at(h.WorkerOf(task)).session);
  h.CloseSession(kHeadSession);
  h.Finish(task, "still there");
  CHECK(h.ValueOf(task) == "still there");
}

TEST_CASE("sessions are listed with what they hold") {
  H h(1);
  h.Submit(H::Library());
  h.Put("x");
  const std::vector<SessionRow> rows = h.core.ListSessions();
  REQUIRE(rows.size() == 3);  // the head, the driver, the worker
  CHECK(rows[1].number == H::kDriver);
  CHECK(rows[1].tasks == 1);
  CHECK(rows[1].references == 2);
  CHECK(rows[2].kind == SessionKind::kWorker);
}

// --- credit --------------------------------------------------------------------------------------

constexpr uint64_t kQuarter = limits::kSessionCreditTasks / 4;

// Queues without the harness's checks after each event.
void SubmitMany(H& h, SessionNumber session, uint64_t count, const std::string& args = {}) {
  const ClassId task_class = h.Class(H::Library());
  for (uint64_t i = 0; i < count; ++i) {
    TaskSpec spec;
    spec.id = h.NextId(session);
    spec.session = session;
    spec.task_class = task_class;
    spec.args = args;
    REQUIRE(h.core.OnTaskSubmitted(std::move(spec), h.now).ok());
  }
  h.Pump();
}

TEST_CASE("credit comes back in quarters") {
  H h;
  SubmitMany(h, H::kDriver, kQuarter - 1, "12345678");
  CHECK(h.grants.empty());
  SubmitMany(h, H::kDriver, 1, "12345678");
  REQUIRE(h.grants.size() == 1);
  CHECK(h.grants[0].session == H::kDriver);
  CHECK(h.grants[0].tasks == kQuarter);
  CHECK(h.grants[0].bytes == kQuarter * 8);
}

TEST_CASE("credit is withheld while the queue is full and comes when there is room, to all") {
  CoreOptions options = H::Options(1);
  options.max_queued_tasks = 2 * kQuarter;
  H h(options);
  const SessionNumber other = h.OpenDriver(8);
  SubmitMany(h, H::kDriver, kQuarter);
  REQUIRE(h.grants.size() == 1);
  CHECK_FALSE(h.core.QueueFull());
  SubmitMany(h, H::kDriver, kQuarter);
  SubmitMany(h, other, kQuarter);
  CHECK(h.core.QueueFull());
  REQUIRE(h.grants.size() == 3);  // each is told that the queue is full
  CHECK((h.grants[1].tasks == 0 && h.grants[1].bytes == 0));
  CHECK((h.grants[2].tasks == 0 && h.grants[2].bytes == 0));
  for (uint64_t i = 0; i <= kQuarter; ++i) {
    TaskOutcome outcome;
    outcome.results = {{"", {}}};
    const TaskId task = h.run.back();
    h.core.OnTaskFinished(h.WorkerOf(task), task, std::move(outcome), h.now);
    for (const Decision& decision : h.core.TakeDecisions()) {
      if (const auto* run = std::get_if<RunTask>(&decision)) {
        h.run.push_back(run->task);
        h.workers.at(run->worker).tasks.push_back(run->task);
      }
      if (const auto* grant = std::get_if<GrantCredit>(&decision)) h.grants.push_back(*grant);
    }
  }
  REQUIRE(h.grants.size() == 5);
  CHECK(h.grants[3].session == H::kDriver);
  CHECK(h.grants[4].session == other);
}

TEST_CASE("bytes of arguments are bounded like tasks") {
  CoreOptions options = H::Options(1);
  options.max_queued_bytes = 100;
  H h(options);
  h.Submit(H::Library(), {.args = std::string(99, 'x')});
  CHECK_FALSE(h.core.QueueFull());
  const TaskId last = h.Submit(H::Library(), {.args = "x"});
  CHECK(h.core.QueueFull());
  h.Cancel(last);
  CHECK_FALSE(h.core.QueueFull());
}

TEST_CASE("a task that submits far beyond the bounds gets errors instead of blocking") {
  CoreOptions options = H::Options(1);
  options.max_queued_tasks = 10;
  H h(options);
  const TaskId parent = h.Submit(H::Library("parent"));
  TaskId last = 0;
  for (int i = 0; i < 20; ++i) last = h.SubmitFrom(parent, H::Library());
  CHECK(h.ErrorOf(last).kind == ErrorKind::kResourceExhausted);
  CHECK(h.core.GetTotals().tasks_ready == 19);
}

TEST_CASE("a worker's session is granted credit though the queue is full") {
  CoreOptions options = H::Options(1);
  options.max_queued_tasks = 10;
  H h(options);
  const TaskId parent = h.Submit(H::Library("parent"));
  const SessionNumber session = h.workers.at(h.WorkerOf(parent)).session;
  SubmitMany(h, session, kQuarter);
  REQUIRE(h.grants.size() == 1);
  CHECK(h.grants[0].session == session);
}

}  // namespace
}  // namespace kiln::core
