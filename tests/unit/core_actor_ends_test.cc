#include <catch2/catch.hpp>

#include "tests/unit/actor_harness.h"

namespace kiln::core {
namespace {

TEST_CASE("an actor ends when its last handle goes and its calls have ended") {
  ActorHarness h;
  const ActorId actor = h.Alive();
  const TaskId call = h.Call(actor);
  REQUIRE(h.Release({actor}).ok());
  CHECK(h.Row(actor).state == "ALIVE");
  h.Finish(call);
  CHECK(h.Row(actor).state == "DEAD");
  CHECK(h.ended_actors.size() == 1);
  CHECK_FALSE(h.core.FindActor(actor));
  CHECK(h.ValueOf(call) == "value");
}

TEST_CASE("a handle inside of a value keeps its actor") {
  ActorHarness h;
  const ActorId actor = h.Alive();
  const ObjectId box = h.Put("box", CoreHarness::kDriver, {actor});
  REQUIRE(h.Release({actor}).ok());
  CHECK(h.Row(actor).state == "ALIVE");
  REQUIRE(h.Release({box}).ok());
  CHECK(h.Row(actor).state == "DEAD");
}

TEST_CASE("an actor that nobody refers to is not begun, or ends after its constructor") {
  ActorHarness h(1);
  const TaskId task = h.Submit(ActorHarness::Own());
  const ActorId queued = h.Create(ActorHarness::Counter());
  REQUIRE(h.Release({queued}).ok());
  CHECK(h.Row(queued).state == "DEAD");
  h.Finish(task);
  const ActorId begun = h.Create(ActorHarness::Counter());
  REQUIRE(h.Running(begun));
  REQUIRE(h.Release({begun}).ok());
  CHECK(h.Row(begun).state == "PENDING");
  TaskOutcome outcome;
  outcome.results.push_back({"", {}});
  h.Report(begun, std::move(outcome));
  CHECK(h.Row(begun).state == "DEAD");
}

TEST_CASE("kill ends an actor whatever it does, or has it started anew") {
  ActorHarness h;
  const ActorId actor = h.Alive(ActorHarness::Counter(1));
  const TaskId call = h.Call(actor);
  h.Kill(actor, /*may_restart=*/true);
  CHECK(h.ErrorOf(call).kind == ErrorKind::kActorUnavailable);
  h.FinishConstructor(actor);
  const TaskId last = h.Call(actor);
  h.Kill(actor);
  CHECK(h.ErrorOf(last).message.find("it was killed") != std::string::npos);
  CHECK(h.Row(actor).state == "DEAD");
  const ActorId constructing = h.Create(ActorHarness::Counter(-1));
  h.Kill(constructing);
  CHECK(h.Row(constructing).state == "DEAD");
}

TEST_CASE("an actor that exits fails its calls and is not started anew") {
  ActorHarness h;
  const ActorId actor = h.Alive(ActorHarness::Counter(-1));
  const TaskId call = h.Call(actor);
  const TaskId next = h.Call(actor);
  TaskOutcome outcome;
  outcome.actor_exits = true;
  outcome.failed = true;
  h.Report(call, std::move(outcome));
  CHECK(h.ErrorOf(call).message.find("own wish") != std::string::npos);
  CHECK(h.ErrorOf(next).kind == ErrorKind::kActorDied);
  CHECK(h.Row(actor).state == "DEAD");
}

TEST_CASE("an actor ends with its driver, a detached one does not") {
  ActorHarness h;
  const SessionNumber driver = h.OpenDriver(CoreHarness::kProgram);
  const ActorId own = h.Create(ActorHarness::Counter(-1), "own", {.session = driver});
  h.FinishConstructor(own);
  TaskClass lasting = ActorHarness::Counter(1);
  lasting.detached = true;
  const ActorId detached = h.Create(lasting, "lasting", {.session = driver});
  h.FinishConstructor(detached);
  const TaskId call = h.Call(detached, ActorHarness::Method(), {.session = driver});
  h.CloseSession(driver);
  CHECK(h.Row(own).state == "DEAD");
  CHECK(h.Row(detached).state == "ALIVE");
  h.Advance(limits::kCancelGrace * 2);
  CHECK(h.Row(detached).state == "ALIVE");  // its call is only asked to stop
  h.Finish(call);
  h.Lose(h.Host(detached));
  h.FinishConstructor(detached);  // started anew without the driver
  h.Kill(detached);
  CHECK(h.Row(detached).state == "DEAD");
}

TEST_CASE("what an actor made ends with it, and what a finished task made lives on") {
  ActorHarness h(4);
  const ActorId parent = h.Alive();
  const TaskId call = h.Call(parent);
  const SessionNumber session = h.workers.at(h.Host(parent)).session;
  const ActorId child = h.Create(ActorHarness::Counter(), "", {.session = session, .parent = call});
  h.FinishConstructor(child);
  h.core.OnRetained(CoreHarness::kDriver, std::vector<ObjectId>{child});
  h.Finish(call);
  h.Kill(parent);
  CHECK(h.Row(child).state == "DEAD");

  const TaskId task = h.Submit(ActorHarness::Own());
  const WorkerId worker = h.WorkerOf(task);
  const ActorId made = h.Create(ActorHarness::Counter(), "",
                                {.session = h.workers.at(worker).session, .parent = task});
  h.FinishConstructor(made);
  h.core.OnRetained(CoreHarness::kDriver, std::vector<ObjectId>{made});
  h.Finish(task);
  h.Lose(worker);
  CHECK(h.Row(made).state == "ALIVE");
}

TEST_CASE("an actor that exits says how, if its language does") {
  ActorHarness h;
  const ActorId actor = h.Alive();
  const TaskId call = h.Call(actor);
  TaskOutcome outcome;
  outcome.actor_exits = outcome.failed = true;
  ErrorInfo error;
  error.message = "the actor called sys.exit(3)";
  outcome.results.push_back({EncodeError(error), {}});
  h.Report(call, std::move(outcome));
  CHECK(h.ErrorOf(call).message == "the actor Counter is dead: the actor called sys.exit(3)");
}

TEST_CASE("an actor that nobody refers to is not started anew") {
  ActorHarness h;
  const ActorId actor = h.Create(ActorHarness::Counter(-1));
  REQUIRE(h.Release({actor}).ok());
  h.Lose(h.WorkerOf(actor));
  CHECK(h.Row(actor).state == "DEAD");

  const ActorId failing = h.Create(ActorHarness::Counter(-1));
  h.Lose(h.WorkerOf(failing));
  REQUIRE(h.Release({failing}).ok());
  h.Lose(h.WorkerOf(failing));  // before the pause
  CHECK(h.Row(failing).state == "DEAD");
}

TEST_CASE("what an actor submits after its driver has gone ends with its process") {
  ActorHarness h;
  const SessionNumber driver = h.OpenDriver(CoreHarness::kProgram);
  TaskClass task_class = ActorHarness::Counter();
  task_class.actor->held = Resources(1);
  const ActorId actor = h.Create(task_class, "", {.session = driver});
  h.FinishConstructor(actor);
  const WorkerId host = h.Host(actor);
  const SessionNumber session = h.workers.at(host).session;
  h.auto_leave = false;
  h.CloseSession(driver);
  const TaskId task = h.Submit(ActorHarness::Own(), {.session = session});
  const ActorId child = h.Create(ActorHarness::Counter(-1), "", {.session = session});
  h.Lose(host, "left");
  CHECK(h.Row(child).state == "DEAD");
  REQUIRE(h.cancels.size() == 1);
  CHECK(h.cancels[0].task == task);
  h.Fail(task);
  CHECK(h.UsedCpus() == 0);
}

TEST_CASE("an actor that a call makes lives for the driver of the actor that was called") {
  ActorHarness h(4);
  const ActorId parent = h.Alive();
  const SessionNumber other = h.OpenDriver(CoreHarness::kProgram);
  const TaskId call = h.Call(parent, ActorHarness::Method(), {.session = other});
  const SessionNumber session = h.workers.at(h.Host(parent)).session;
  const ActorId child = h.Create(ActorHarness::Counter(), "", {.session = session, .parent = call});
  h.CloseSession(other);
  h.FinishConstructor(child);
  CHECK(h.Row(child).root == CoreHarness::kDriver);
}

TEST_CASE("an actor that a thread of a worker made, outside of tasks, ends with the worker") {
  ActorHarness h(2);
  const TaskId task = h.Submit(ActorHarness::Own());
  const WorkerId worker = h.WorkerOf(task);
  TaskClass task_class = ActorHarness::Counter();
  task_class.actor->held = Resources(1);
  const ActorId actor = h.Create(task_class, "", {.session = h.workers.at(worker).session});
  h.FinishConstructor(actor);
  h.core.OnRetained(CoreHarness::kDriver, std::vector<ObjectId>{actor});
  h.Finish(task);
  h.Lose(worker);
  CHECK(h.Row(actor).state == "DEAD");
  CHECK(h.UsedCpus() == 0);
}

TEST_CASE("a driver that ends takes all its actors with it") {
  ActorHarness h(2);
  const SessionNumber driver = h.OpenDriver(CoreHarness::kProgram);
  TaskClass task_class = ActorHarness::Counter();
  task_class.actor->held = Resources(0.5);
  std::vector<ActorId> actors;
  for (int i = 0; i < 3; ++i) actors.push_back(h.Create(task_class, "", {.session = driver}));
  h.FinishConstructor(actors[1]);
  h.CloseSession(driver);
  for (ActorId actor : actors) CHECK(h.Row(actor).state == "DEAD");
  CHECK(h.UsedCpus() == 0);
}

}  // namespace
}  // namespace kiln::core
