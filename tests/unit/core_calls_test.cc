#include <catch2/catch.hpp>

#include "tests/unit/actor_harness.h"

namespace kiln::core {
namespace {

using Ids = std::vector<TaskId>;

TEST_CASE("calls of one caller are sent in the order they were submitted") {
  ActorHarness h;
  const ObjectId late = h.Submit(ActorHarness::Own());
  const ActorId actor = h.Alive();
  const size_t before = h.run.size();
  const TaskId first = h.Call(actor, ActorHarness::Method(), {.refs = {late}});
  const TaskId second = h.Call(actor);
  CHECK(h.RunSince(before).empty());  // the second waits behind the first, which waits for `late`
  h.Finish(late);
  h.Finish(first);
  CHECK(h.RunSince(before) == Ids{first, second});
}

TEST_CASE("callers of an actor take turns") {
  ActorHarness h;
  const ActorId actor = h.Alive();
  const SessionNumber other = h.OpenDriver(CoreHarness::kProgram);
  Ids mine, theirs;
  const size_t before = h.run.size();
  for (int i = 0; i < 10; ++i) mine.push_back(h.Call(actor));
  for (int i = 0; i < 3; ++i) {
    theirs.push_back(h.Call(actor, ActorHarness::Method(), {.session = other}));
  }
  while (h.run.size() < before + 13) h.Finish(h.workers.at(h.Host(actor)).tasks.front());
  const Ids order = h.RunSince(before);
  // What was sent before the other came is sent; then it is one by one.
  const auto at = [&](TaskId id) {
    return std::find(order.begin(), order.end(), id) - order.begin();
  };
  CHECK(at(theirs[0]) <= 4);
  CHECK(at(theirs[1]) == at(theirs[0]) + 2);
  CHECK(at(theirs[2]) == at(theirs[1]) + 2);
}

TEST_CASE("an actor has at most max_concurrency calls and those given ahead") {
  ActorHarness h;
  const ActorId actor = h.Alive(ActorHarness::Counter(0, 4));
  const size_t before = h.run.size();
  for (int i = 0; i < 20; ++i) h.Call(actor);
  CHECK(h.run.size() - before == 5);  // one ahead, for the calls' length is not known
}

TEST_CASE("short calls are given far ahead, long ones are not") {
  ActorHarness h;
  const ActorId actor = h.Alive();
  const size_t before = h.run.size();
  for (int i = 0; i < 2'000; ++i) h.Call(actor);
  for (int i = 0; i < 20; ++i) {
    h.Finish(h.workers.at(h.Host(actor)).tasks.front(), "v", microseconds(1));
  }
  CHECK(h.run.size() - before == 20 + 1 + limits::kMaxCallsAhead);
}

TEST_CASE("groups of calls do not wait for each other") {
  ActorHarness h;
  TaskClass task_class = ActorHarness::Counter();
  task_class.actor->groups["io"] = 2;
  const ActorId actor = h.Alive(task_class);
  TaskClass io = ActorHarness::Method("Read");
  io.group = "io";
  const size_t before = h.run.size();
  for (int i = 0; i < 5; ++i) h.Call(actor);
  const TaskId read = h.Call(actor, io);
  CHECK(h.Running(read));
  CHECK(h.run.size() - before == 2 + 1);
}

TEST_CASE("a call of a group that the actor does not have fails and says so") {
  ActorHarness h;
  const ActorId actor = h.Alive();
  TaskClass io = ActorHarness::Method("Read");
  io.group = "io";
  const TaskId call = h.Call(actor, io);
  CHECK(h.ErrorOf(call).kind == ErrorKind::kInvalidArguments);
  CHECK(h.ErrorOf(call).message == "the actor Counter has no concurrency group io");
  CHECK(h.Running(h.Call(actor)));
}

TEST_CASE("calls that may run again do so in their order, before those that waited") {
  ActorHarness h;
  const ActorId actor = h.Alive(ActorHarness::Counter(-1));
  const TaskClass again = ActorHarness::Method("Add", -1);
  const TaskId first = h.Call(actor, again);
  const TaskId second = h.Call(actor, again);
  const TaskId third = h.Call(actor, again);
  const size_t before = h.run.size();
  h.Lose(h.Host(actor));
  h.FinishConstructor(actor);
  h.Finish(first);
  h.Finish(second);
  CHECK(h.RunSince(before + 1) == Ids{first, second, third});
  CHECK(h.core.FindTask(third)->attempt == 0);
}

TEST_CASE("a call that is blocked gives back what its actor holds") {
  ActorHarness h(1);
  TaskClass task_class = ActorHarness::Counter();
  task_class.actor->held = Resources(1);
  const ActorId actor = h.Alive(task_class);
  const TaskId call = h.Call(actor);
  h.Call(actor);
  const SessionNumber session = h.workers.at(h.Host(actor)).session;
  const TaskId task = h.Submit(ActorHarness::Own(), {.session = session, .parent = call});
  CHECK_FALSE(h.Running(task));
  h.Block(call, {task});
  REQUIRE(h.Running(task));
  h.Finish(task);
  CHECK(h.UsedCpus() == 1);
  h.Finish(call);
}

TEST_CASE("a task that waits for an actor may run what that waits for") {
  // One CPU and room for one worker: the task that waits is the only one that can run the other.
  CoreOptions options = CoreHarness::Options(1);
  options.max_workers = 1;
  ActorHarness h(options);
  const ActorId actor = h.Alive();
  const TaskId outer = h.Submit(ActorHarness::Own("outer"));
  const SessionNumber worker = h.workers.at(h.WorkerOf(outer)).session;
  const TaskId call = h.Call(actor, ActorHarness::Method(), {.session = worker, .parent = outer});
  h.Block(outer, {call});
  const SessionNumber host = h.workers.at(h.Host(actor)).session;
  const TaskId inner = h.Submit(ActorHarness::Own("inner"), {.session = host, .parent = call});
  h.Block(call, {inner});
  REQUIRE(h.Running(inner));
  CHECK(h.runs.back().nested);
  h.Finish(inner);
  h.Finish(call);
  h.Finish(outer);
}

TEST_CASE("a cancelled call that waits is dropped, one that runs is asked to stop") {
  ActorHarness h;
  const ActorId actor = h.Alive();
  const TaskId running = h.Call(actor);
  h.Call(actor);
  const TaskId queued = h.Call(actor);
  CHECK(h.Cancel(queued) == CancelOutcome::kDropped);
  CHECK(h.Cancel(running, /*force=*/true) == CancelOutcome::kAsked);
  CHECK(h.kills.empty());
  h.Fail(running);
  CHECK(h.ErrorOf(running).kind == ErrorKind::kCancelled);
  CHECK(h.Row(actor).state == "ALIVE");
}

TEST_CASE("pending calls are counted for each caller") {
  ActorHarness h;
  const ActorId actor = h.Alive();
  const SessionNumber other = h.OpenDriver(CoreHarness::kProgram);
  for (int i = 0; i < 5; ++i) h.Call(actor);
  h.Call(actor, ActorHarness::Method(), {.session = other});
  CHECK(h.core.PendingCalls(actor, CoreHarness::kDriver) == 5);
  CHECK(h.core.PendingCalls(actor, other) == 1);
}

TEST_CASE("a call of an unknown actor fails, and a method needs one") {
  ActorHarness h;
  CHECK(h.ErrorOf(h.Call(MakeObjectId(99, 1))).kind == ErrorKind::kActorDied);
  TaskSpec spec;
  spec.id = h.NextId(CoreHarness::kDriver);
  spec.task_class = h.Class(ActorHarness::Method());
  spec.session = CoreHarness::kDriver;
  CHECK(h.core.OnTaskSubmitted(spec, h.now).code() == Code::kInvalidArgument);
  spec.task_class = h.Class(ActorHarness::Own());
  spec.actor = MakeObjectId(99, 1);
  CHECK(h.core.OnTaskSubmitted(spec, h.now).code() == Code::kInvalidArgument);
}

TEST_CASE("calls of two tasks do not wait for each other, though one worker runs both") {
  ActorHarness h(1);
  const ActorId actor = h.Alive();
  const TaskId first = h.Submit(ActorHarness::Own());
  const TaskId second = h.Submit(ActorHarness::Own());
  const WorkerId worker = h.WorkerOf(first);
  const SessionNumber session = h.workers.at(worker).session;
  const TaskId waits = h.Call(actor, ActorHarness::Method(),
                              {.session = session, .parent = first, .refs = {second}});
  h.Finish(first);
  REQUIRE(h.WorkerOf(second) == worker);
  const TaskId call = h.Call(actor, ActorHarness::Method(), {.session = session, .parent = second});
  h.Block(second, {call});
  REQUIRE(h.Running(call));
  CHECK_FALSE(h.Running(waits));
  CHECK(h.core.PendingCalls(actor, session) == 2);
  h.Finish(call);
  h.Finish(second);
  CHECK(h.Running(waits));
}

TEST_CASE("calls of one actor are in order, whichever of its calls submits them") {
  ActorHarness h;
  const ObjectId late = h.Submit(ActorHarness::Own());
  const ActorId actor = h.Alive();
  const ActorId caller = h.Alive(ActorHarness::Counter(0, 2));
  const TaskId one = h.Call(caller);
  const TaskId two = h.Call(caller);
  const SessionNumber session = h.workers.at(h.Host(caller)).session;
  h.Call(actor, ActorHarness::Method(), {.session = session, .parent = one, .refs = {late}});
  const TaskId behind = h.Call(actor, ActorHarness::Method(), {.session = session, .parent = two});
  CHECK_FALSE(h.Running(behind));
  h.Finish(late);
  CHECK(h.Running(behind));
}

TEST_CASE("a call that was sent ahead does not run, so its actor may be all blocked") {
  ActorHarness h(1);
  TaskClass task_class = ActorHarness::Counter();
  task_class.actor->held = Resources(1);
  task_class.actor->groups["io"] = 1;
  const ActorId actor = h.Alive(task_class);
  const TaskId call = h.Call(actor);
  h.Call(actor);  // ahead, in the same group
  const SessionNumber session = h.workers.at(h.Host(actor)).session;
  const TaskId task = h.Submit(ActorHarness::Own(), {.session = session, .parent = call});
  h.Block(call, {task});
  CHECK(h.Running(task));
}

TEST_CASE("an actor takes back what it holds when it gets a call that runs") {
  ActorHarness h(2);
  TaskClass task_class = ActorHarness::Counter(0, 2);
  task_class.actor->held = Resources(1);
  const ActorId actor = h.Alive(task_class);
  const TaskId call = h.Call(actor);
  const SessionNumber session = h.workers.at(h.Host(actor)).session;
  const TaskId task = h.Submit(ActorHarness::Library("f", 2), {.session = session, .parent = call});
  h.Block(call, {task});
  REQUIRE(h.Running(task));
  CHECK(h.UsedCpus() == 2);
  h.Call(actor);
  CHECK(h.UsedCpus() == 3);  // at once, as a task that goes on
}

TEST_CASE("a call that ends before it was sent is not missed") {
  ActorHarness h;
  const ActorId actor = h.Alive();
  TaskSpec spec;
  spec.id = h.NextId(CoreHarness::kDriver);
  spec.task_class = h.Class(ActorHarness::Method());
  spec.session = CoreHarness::kDriver;
  spec.actor = actor;
  const TaskId call = spec.id;
  REQUIRE(h.core.OnTaskSubmitted(std::move(spec), h.now).ok());
  h.core.OnActorKilled(actor, false, h.now);  // in the same turn
  CHECK(h.ErrorOf(call).kind == ErrorKind::kActorDied);
  CHECK_FALSE(h.core.FindTask(call));
}

TEST_CASE("what a call had submitted is cancelled when its actor dies") {
  ActorHarness h(2);
  const ActorId actor = h.Alive();
  const TaskId call = h.Call(actor);
  const TaskId ended = h.SubmitFrom(call, ActorHarness::Own("ended"));
  const TaskId child = h.SubmitFrom(call, ActorHarness::Own("child"));
  const TaskId queued = h.SubmitFrom(call, ActorHarness::Own("queued"));
  h.Finish(ended);
  h.auto_leave = false;
  h.Kill(actor);
  CHECK(h.StateOf(queued) == "ASSIGNED");
  CHECK(h.cancels.size() == 2);
  h.Fail(child);
  CHECK(h.ErrorOf(child).kind == ErrorKind::kCancelled);
}

TEST_CASE("calls that wait for their turn need no worker, and do not fail for lack of one") {
  ActorHarness h;
  const ActorId actor = h.Alive();
  h.Call(actor);
  h.Call(actor);
  const TaskId waits = h.Call(actor);
  h.auto_ready = false;
  while (h.CountWorkers(kLibraryHost) > 0) {
    for (const auto& [id, worker] : std::map(h.workers)) {
      if (worker.program == kLibraryHost) h.Lose(id, "exited with code 1");
    }
  }
  const TaskId other = h.Submit(ActorHarness::Library());
  for (int i = 0; h.StateOf(other) == "READY" && i < 20; ++i) {
    h.Advance(limits::kStartBackoffMost);
    for (const auto& [id, worker] : std::map(h.workers)) {
      if (worker.program == kLibraryHost) h.Lose(id, "exited with code 1");
    }
  }
  CHECK(h.StateOf(other) == "FAILED");
  CHECK(h.StateOf(waits) == "READY");
}

TEST_CASE("an actor whose process cannot be started takes with it what its calls wait for") {
  ActorHarness h;
  h.auto_ready = false;
  const ActorId actor = h.Create(ActorHarness::Counter());
  const ActorId second = h.Create(ActorHarness::Counter());
  const TaskId call = h.Call(actor);
  for (int i = 0; h.Row(actor).state == "PENDING" && i < 20; ++i) {
    for (const auto& [id, worker] : std::map(h.workers)) {
      if (worker.program == CoreHarness::kProgram) h.Lose(id, "exited with code 1");
    }
    h.Advance(limits::kStartBackoffMost);
  }
  CHECK(h.ErrorOf(call).message.find("no worker could be started") != std::string::npos);
  CHECK(h.Row(second).state == "DEAD");
}

TEST_CASE(
    "a lost worker whose last unfinished task was a constructor it had submitted is forgotten") {
  ActorHarness h(1);
  const TaskId task = h.Submit(ActorHarness::Own());
  const WorkerId worker = h.WorkerOf(task);
  const SessionNumber session = h.workers.at(worker).session;
  const ActorId actor = h.Create(ActorHarness::Counter(), "", {.session = session, .parent = task});
  h.Lose(worker);
  CHECK(h.Row(actor).state == "DEAD");
  for (const SessionRow& row : h.core.ListSessions()) CHECK(row.number != session);
}

}  // namespace
}  // namespace kiln::core
