#include <catch2/catch.hpp>

#include "tests/unit/actor_harness.h"

namespace kiln::core {
namespace {

TEST_CASE("an actor's constructor waits for a CPU and gives it back when it has run") {
  ActorHarness h(1);
  const TaskId task = h.Submit(ActorHarness::Own());
  const ActorId actor = h.Create(ActorHarness::Counter());
  CHECK(h.Row(actor).state == "PENDING");
  CHECK_FALSE(h.Running(actor));
  h.Finish(task);
  REQUIRE(h.Running(actor));
  CHECK(h.UsedCpus() == 1);
  h.FinishConstructor(actor);
  CHECK(h.UsedCpus() == 0);
  CHECK(h.Row(actor).pid == CoreHarness::PidOf(h.Host(actor)));
}

TEST_CASE("an actor that asks for CPUs holds them until it is dead") {
  ActorHarness h(2);
  TaskClass task_class = ActorHarness::Counter();
  task_class.actor->held = Resources(1);
  const ActorId actor = h.Alive(task_class);
  CHECK(h.UsedCpus() == 1);
  h.Kill(actor);
  CHECK(h.UsedCpus() == 0);
  CHECK(h.Row(actor).state == "DEAD");
}

TEST_CASE("what a constructor threw reaches every caller") {
  ActorHarness h;
  const ActorId actor = h.Create(ActorHarness::Counter());
  const TaskId early = h.Call(actor);
  h.Fail(actor, true, "no such file");
  const TaskId late = h.Call(actor);
  for (TaskId call : {early, late}) {
    CHECK(h.ErrorOf(call).kind == ErrorKind::kActorDied);
    CHECK(h.ErrorOf(call).message == "no such file");
    CHECK(h.ErrorOf(call).type == "std::runtime_error");
  }
}

TEST_CASE("an argument that is an error fails the constructor") {
  ActorHarness h;
  const TaskId broken = h.Submit(ActorHarness::Own());
  const ActorId actor = h.Create(ActorHarness::Counter(), "", {.refs = {broken}});
  const TaskId call = h.Call(actor);
  h.Fail(broken, false, "bad input");
  CHECK(h.Row(actor).state == "DEAD");
  CHECK(h.ErrorOf(call).message == "bad input");
}

TEST_CASE("without restarts a lost process ends the actor and says why") {
  ActorHarness h;
  const ActorId actor = h.Alive();
  const TaskId running = h.Call(actor);
  const TaskId waiting = h.Call(actor);
  const TaskId queued = h.Call(actor);
  h.Lose(h.Host(actor), "was killed by signal 11 (SIGSEGV)\nlast words");
  for (TaskId call : {running, waiting, queued}) {
    CHECK(h.ErrorOf(call).kind == ErrorKind::kActorDied);
    CHECK(h.ErrorOf(call).message.find("SIGSEGV") != std::string::npos);
    CHECK(h.ErrorOf(call).message.find("last words") != std::string::npos);
  }
  CHECK(h.ErrorOf(h.Call(actor)).kind == ErrorKind::kActorDied);
}

TEST_CASE(
    "a lost actor is started anew, a call that it had runs once, and those that wait run then") {
  ActorHarness h;
  const ObjectId argument = h.Put("state");
  const ActorId actor = h.Create(ActorHarness::Counter(1), "", {.refs = {argument}});
  REQUIRE(h.Release({argument}).ok());  // the actor keeps it
  h.FinishConstructor(actor);
  const TaskId had = h.Call(actor);
  const TaskId ahead = h.Call(actor);
  const TaskId queued = h.Call(actor);
  h.Lose(h.Host(actor));
  CHECK(h.ErrorOf(had).kind == ErrorKind::kActorUnavailable);
  CHECK(h.ErrorOf(ahead).kind == ErrorKind::kActorUnavailable);
  CHECK(h.Row(actor).state == "RESTARTING");
  REQUIRE(h.Running(actor));
  CHECK(h.core.FindTask(actor)->attempt == 1);
  h.FinishConstructor(actor);
  h.Finish(queued, "after");
  CHECK(h.ValueOf(queued) == "after");
  CHECK(h.Row(actor).restarts == 1);
  h.Lose(h.Host(actor));
  CHECK(h.Row(actor).state == "DEAD");
  CHECK_FALSE(h.core.FindObject(argument));
}

TEST_CASE("an actor that dies before it ends a call is started anew after pauses that grow") {
  ActorHarness h;
  const ActorId actor = h.Alive(ActorHarness::Counter(-1));
  h.Lose(h.Host(actor));
  h.FinishConstructor(actor);
  h.Lose(h.Host(actor));
  CHECK_FALSE(h.Running(actor));
  h.Advance(limits::kRestartBackoffFirst * 2);
  REQUIRE(h.Running(actor));
  h.FinishConstructor(actor);
  h.Finish(h.Call(actor));
  h.Lose(h.Host(actor));
  CHECK(h.Running(actor));
}

TEST_CASE("a constructor whose process dies runs again while restarts are left") {
  ActorHarness h;
  const ActorId actor = h.Create(ActorHarness::Counter(1));
  h.Lose(h.WorkerOf(actor));
  REQUIRE(h.Running(actor));
  const TaskId call = h.Call(actor);
  h.Lose(h.WorkerOf(actor), "exited with code 3");
  CHECK(h.ErrorOf(call).message.find("exited with code 3") != std::string::npos);
  CHECK(h.ErrorOf(call).message.find("restarts before that: 1") != std::string::npos);
}

TEST_CASE("a name belongs to one actor until it is dead") {
  ActorHarness h;
  const ActorId actor = h.Alive(ActorHarness::Counter(), "c");
  const Result<ActorId> taken =
      h.core.OnActorSubmitted(h.SpecOf(ActorHarness::Counter(), "c", {}), h.now);
  CHECK(taken.status().code() == Code::kAlreadyExists);
  CHECK(h.Create(ActorHarness::Counter(), "c", {}, /*get_if_exists=*/true) == actor);
  REQUIRE(h.Release({actor}).ok());
  CHECK(h.core.OnActorSought(CoreHarness::kDriver, "", "c", h.now).value() == actor);
  CHECK(h.core.OnActorSought(CoreHarness::kDriver, "x", "c", h.now).status().code() ==
        Code::kNotFound);
  REQUIRE(h.Release({actor, actor}).ok());
  h.Pump();
  CHECK(h.Row(actor).state == "DEAD");
  CHECK(h.Create(ActorHarness::Counter(), "c") != actor);
}

TEST_CASE("a program that has made an actor has workers ready for the next ones") {
  ActorHarness h(2);
  CHECK(h.CountWorkers(CoreHarness::kProgram) == 0);
  const ActorId actor = h.Alive();
  CHECK(h.CountWorkers(CoreHarness::kProgram) == 3);
  h.Kill(actor);
  CHECK(h.CountWorkers(CoreHarness::kProgram) == 2);  // no more than CPUs: they stay warm
}

TEST_CASE("actors are not counted among the workers that may be alive") {
  ActorHarness h(2);
  std::vector<ActorId> actors;
  for (int i = 0; i < 50; ++i) actors.push_back(h.Alive());
  CHECK(h.core.GetTotals().actors == 50);
  const TaskId task = h.Submit(ActorHarness::Own());
  CHECK(h.Running(task));
}

TEST_CASE("an actor gets its process also when all workers are blocked") {
  CoreOptions options = CoreHarness::Options(1);
  options.max_workers = 1;
  ActorHarness h(options);
  const TaskId outer = h.Submit(ActorHarness::Own("outer"));
  const SessionNumber worker = h.workers.at(h.WorkerOf(outer)).session;
  const ActorId actor = h.Create(ActorHarness::Counter(), "", {.session = worker, .parent = outer});
  const TaskId call = h.Call(actor, ActorHarness::Method(), {.session = worker, .parent = outer});
  h.Block(outer, {call});
  REQUIRE(h.Running(actor));
  h.FinishConstructor(actor);
  h.Finish(call);
  h.Finish(outer);
}

TEST_CASE("an actor that can never fit says so to its callers") {
  ActorHarness h(2);
  TaskClass task_class = ActorHarness::Counter();
  task_class.resources = Resources(16);
  const ActorId actor = h.Create(task_class);
  CHECK(h.ErrorOf(h.Call(actor)).kind == ErrorKind::kUnschedulable);
}

TEST_CASE("a constructor that its worker hands back runs on another one") {
  ActorHarness h;
  const ActorId actor = h.Create(ActorHarness::Counter());
  const WorkerId worker = h.WorkerOf(actor);
  h.auto_leave = false;
  h.Return(worker, {actor}, /*leaving=*/true);
  REQUIRE(h.Running(actor));
  CHECK(h.Host(actor) != worker);
  CHECK(h.core.FindTask(actor)->attempt == 0);
  h.FinishConstructor(actor);
  h.Lose(worker, "left");
  CHECK(h.Row(actor).state == "ALIVE");
}

TEST_CASE("what an actor holds as long as it lives is not waited for") {
  ActorHarness h(2);
  TaskClass task_class = ActorHarness::Counter();
  task_class.actor->held = Resources(1);
  const ActorId actor = h.Alive(task_class);
  const TaskId wide = h.Submit(ActorHarness::Library("wide", 2));
  REQUIRE(h.core.OnJobSubmitted(1, Resources(2), h.now).ok());
  h.Pump();
  for (uint32_t i = 0; i < limits::kMaxBypasses + 10; ++i) {
    const TaskId small = h.Submit(ActorHarness::Library("small"));
    REQUIRE(h.Running(small));
    h.Finish(small);
  }
  h.Kill(actor);
  CHECK(h.jobs.size() == 1);
  h.core.OnJobEnded(1, h.now);
  h.Pump();
  CHECK(h.Running(wide));
}

TEST_CASE("who waits for an actor that is about to be started anew is not stuck") {
  CoreOptions options = CoreHarness::Options(1);
  options.max_workers = 1;
  ActorHarness h(options);
  const ActorId actor = h.Alive(ActorHarness::Counter(-1));
  h.Lose(h.Host(actor));
  h.FinishConstructor(actor);
  const TaskId outer = h.Submit(ActorHarness::Own("outer"));
  const SessionNumber worker = h.workers.at(h.WorkerOf(outer)).session;
  h.Lose(h.Host(actor));  // it comes back after a pause
  const TaskId call = h.Call(actor, ActorHarness::Method(), {.session = worker, .parent = outer});
  const TaskId other = h.Submit(ActorHarness::Library(), {.session = worker, .parent = outer});
  h.Block(outer, {call, other}, 1);
  CHECK(h.StateOf(other) == "READY");
  h.Advance(limits::kRestartBackoffFirst * 2);
  h.FinishConstructor(actor);
  h.Finish(call);
  h.Finish(outer);
  CHECK(h.Running(other));
}

}  // namespace
}  // namespace kiln::core
