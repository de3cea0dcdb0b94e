#include "tests/unit/core_harness.h"

namespace kiln::core {
namespace {

using H = CoreHarness;

TEST_CASE("an object is there until its last reference is given back") {
  H h;
  const ObjectId object = h.Put("x");
  h.core.OnRetained(H::kDriver, std::vector<ObjectId>{object, MakeObjectId(1, 99)});
  REQUIRE(h.Release({object}).ok());
  CHECK(h.Sealed(object));
  REQUIRE(h.Release({object}).ok());
  CHECK_FALSE(h.core.FindObject(object));
  CHECK(h.Release({object}).ok());  // gone, so nothing to release
}

TEST_CASE("nothing is released from the first one on that the session does not hold") {
  H h;
  const SessionNumber other = h.OpenDriver(8);
  const ObjectId a = h.Put("a"), b = h.Put("b"), theirs = h.Put("theirs", other);
  CHECK(h.Release({a, theirs, b}).code() == Code::kFailedPrecondition);
  CHECK_FALSE(h.core.FindObject(a));
  CHECK(h.Sealed(theirs));
  CHECK(h.Sealed(b));
}

TEST_CASE("an object in the store is created, sealed and freed") {
  H h;
  const ObjectId object = h.Create(4096, 100);
  CHECK(h.core.FindObject(object)->state == ObjectView::State::kCreated);
  REQUIRE(h.core.OnObjectSealed(H::kDriver, object, {}, h.now).ok());
  CHECK(h.core.OnObjectSealed(H::kDriver, object, {}, h.now).code() == Code::kNotFound);
  CHECK(h.core.FindObject(object)->references == 1);
  REQUIRE(h.Release({object}).ok());
  CHECK(h.freed == std::vector<Slice>{{4096, 100}});
}

TEST_CASE("only the creator may seal or abort") {
  H h;
  const SessionNumber other = h.OpenDriver(8);
  const ObjectId object = h.Create(0, 10);
  CHECK(h.core.OnObjectSealed(other, object, {}, h.now).code() == Code::kNotFound);
  CHECK(h.core.OnObjectAborted(other, object).code() == Code::kNotFound);
  CHECK(h.core.OnObjectAborted(H::kDriver, object).ok());
  h.Pump();
  CHECK(h.freed == std::vector<Slice>{{0, 10}});
  CHECK_FALSE(h.core.FindObject(object));
}

TEST_CASE("what waits for an object that is given up gets ObjectLost") {
  H h;
  const ObjectId object = h.Create(0, 10);
  const TaskId task = h.Submit(H::Library(), {.refs = {object}});
  h.Want({object});
  CHECK(h.core.OnObjectAborted(H::kDriver, object).ok());
  h.Pump();
  CHECK(h.ErrorOf(task).kind == ErrorKind::kObjectLost);
  REQUIRE(h.delivered.size() == 1);
  CHECK(h.delivered[0].object == object);
}

TEST_CASE("ids that are foreign or used are refused") {
  H h;
  const ObjectId used = h.Put("x");
  CHECK(h.core.OnObjectPut(H::kDriver, used, "y", {}, h.now).code() == Code::kInvalidArgument);
  CHECK(h.core.OnObjectCreated(H::kDriver, used, {}).code() == Code::kInvalidArgument);
  CHECK_FALSE(h.core.OnObjectPut(H::kDriver, MakeObjectId(2, 1), "y", {}, h.now).ok());
  CHECK_FALSE(h.core.OnObjectPut(H::kDriver, 0, "y", {}, h.now).ok());
  CHECK(h.ValueOf(used) == "x");
}

TEST_CASE("a value keeps the objects in it alive") {
  H h;
  const ObjectId inner = h.Put("inner");
  const ObjectId outer = h.Put("outer", H::kDriver, {inner});
  REQUIRE(h.Release({inner}).ok());
  CHECK(h.Sealed(inner));
  CHECK(h.core.FindObject(inner)->references == 1);
  REQUIRE(h.Release({outer}).ok());
  CHECK_FALSE(h.core.FindObject(inner));
}

TEST_CASE("a list of 100,000 objects, each in the next, is freed without recursion") {
  H h;
  ObjectId last = h.Put("first");
  for (int i = 0; i < 100'000; ++i) {
    const ObjectId next = h.NextId(H::kDriver);
    REQUIRE(h.core.OnObjectPut(H::kDriver, next, "", {last}, h.now).ok());
    REQUIRE(h.core.OnReleased(H::kDriver, std::vector<ObjectId>{last}, h.now).ok());
    last = next;
  }
  CHECK(h.core.GetTotals().objects == 100'001);
  REQUIRE(h.Release({last}).ok());
  CHECK(h.core.GetTotals().objects == 0);
}

TEST_CASE("a task whose results nobody wants still runs, its result is dropped") {
  H h;
  const TaskId task = h.Submit(H::Library());
  REQUIRE(h.Release({task}).ok());
  CHECK(h.Running(task));
  h.Finish(task);
  CHECK_FALSE(h.core.FindObject(task));
}

TEST_CASE("each session is told once for each object it wants") {
  H h;
  const SessionNumber other = h.OpenDriver(8);
  const TaskId task = h.Submit(H::Library());
  const ObjectId ready = h.Put("x");
  h.Want({ready, task});
  h.Want({task}, other);
  CHECK(h.delivered.size() == 1);
  h.Finish(task);
  REQUIRE(h.delivered.size() == 3);
  CHECK(h.delivered[1].session == H::kDriver);
  CHECK(h.delivered[2].session == other);
  h.Want({MakeObjectId(1, 99)});
  REQUIRE(h.lost.size() == 1);
}

TEST_CASE("a wanted object is delivered although nobody holds it any more") {
  H h;
  const TaskId task = h.Submit(H::Library());
  h.Want({task});
  REQUIRE(h.Release({task}).ok());
  h.Finish(task);  // the harness checks that it is there when it is delivered
  CHECK(h.delivered.size() == 1);
  h.Put("the next event");
  CHECK_FALSE(h.core.FindObject(task));
}

TEST_CASE("a session that went is told nothing") {
  H h;
  const SessionNumber other = h.OpenDriver(8);
  const TaskId task = h.Submit(H::Library());
  h.Want({task}, other);
  h.CloseSession(other);
  h.Finish(task);
  CHECK(h.delivered.empty());
}

TEST_CASE("the head's reference ends at its time to live") {
  H h;
  const ObjectId object = h.Put("x", kHeadSession);
  REQUIRE(h.core.SetTimeToLive(object, h.now + seconds(1)).ok());
  REQUIRE(h.core.SetTimeToLive(object, h.now + seconds(2)).ok());
  h.Advance(seconds(1));
  CHECK(h.Sealed(object));
  h.Advance(seconds(1));
  CHECK_FALSE(h.core.FindObject(object));
  CHECK(h.core.SetTimeToLive(object, h.now).code() == Code::kNotFound);
}

TEST_CASE("a released object has no time to live any more") {
  H h;
  const ObjectId object = h.Put("x", kHeadSession);
  REQUIRE(h.core.SetTimeToLive(object, h.now + seconds(1)).ok());
  REQUIRE(h.Release({object}, kHeadSession).ok());
  CHECK(h.core.NextTimer() == kNever);
}

TEST_CASE("the biggest objects are named first, with the task that made them") {
  H h;
  h.Create(0, 10);
  const ObjectId big = h.Create(4096, 30);
  const TaskId task = h.Submit(H::Library("maker"));
  TaskOutcome outcome;
  outcome.results = {{h.Create(8192, 20, h.workers.at(h.WorkerOf(task)).session), {}}};
  h.Report(task, std::move(outcome));
  const std::vector<ObjectView> biggest = h.core.BiggestObjects(2);
  REQUIRE(biggest.size() == 2);
  CHECK(biggest[0].id == big);
  CHECK(biggest[1].id == task);
  CHECK(h.core.MakerName(task) == "maker");
  CHECK(h.core.MakerName(big).empty());
}

TEST_CASE("tasks are listed newest first, then the last finished ones") {
  H h(1);
  const TaskId a = h.Submit(H::Library("a"));
  const TaskId b = h.Submit(H::Library("b"));
  const TaskId c = h.Submit(H::Library("c"), {.refs = {b}});
  h.Finish(a, "x", milliseconds(7));
  std::vector<TaskRow> rows;
  h.core.VisitTasks([&](const TaskRow& row) {
    rows.push_back(row);
    return true;
  });
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].id == c);
  CHECK(rows[0].detail == "waits for 1 arguments");
  CHECK(rows[1].id == b);
  CHECK(rows[1].state == "ASSIGNED");
  CHECK(rows[2].id == a);
  CHECK(rows[2].run_time == milliseconds(7));
  CHECK(rows[2].worker_pid == H::PidOf(1));
}

TEST_CASE("finished tasks are remembered up to a bound") {
  H h(1);
  for (size_t i = 0; i < limits::kFinishedTasksKept + 5; ++i) h.Finish(h.Submit(H::Library()));
  size_t rows = 0;
  h.core.VisitTasks([&](const TaskRow&) { return ++rows, true; });
  CHECK(rows == limits::kFinishedTasksKept);
  CHECK(h.core.GetTotals().tasks_finished == limits::kFinishedTasksKept + 5);
}

}  // namespace
}  // namespace kiln::core
