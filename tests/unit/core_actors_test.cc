#include <catch2/catch.hpp>

#include "tests/unit/core_harness.h"

namespace kiln::core {
namespace {

// An actor's class, its methods, and shorthands.
class ActorHarness : public CoreHarness {
 public:
  using CoreHarness::CoreHarness;

  static TaskClass Counter(int max_restarts = 0, uint32_t max_concurrency = 1) {
    TaskClass task_class = Own("Counter");
    task_class.actor = ActorOptions{};
    task_class.actor->max_restarts = max_restarts;
    task_class.actor->max_concurrency = max_concurrency;
    return task_class;
  }
  static TaskClass Method(const std::string& name = "Add", int max_task_retries = 0) {
    TaskClass task_class;
    task_class.function = task_class.name = name;
    task_class.resources = Resources();
    task_class.max_retries = max_task_retries;
    task_class.method = true;
    return task_class;
  }

  ActorId Create(const TaskClass& task_class, const std::string& name = "", Submission how = {},
                 bool get_if_exists = false) {
    ActorSpec spec = SpecOf(task_class, name, std::move(how));
    spec.get_if_exists = get_if_exists;
    const Result<ActorId> actor = core.OnActorSubmitted(std::move(spec), now);
    REQUIRE(actor.ok());
    Pump();
    return actor.value();
  }
  ActorSpec SpecOf(const TaskClass& task_class, const std::string& name, Submission how) {
    ActorSpec spec;
    spec.creation.id = NextId(how.session);
    spec.creation.task_class = Class(task_class);
    spec.creation.session = how.session;
    spec.creation.parent = how.parent;
    spec.creation.refs = how.refs;
    spec.creation.nested_refs = how.nested_refs;
    spec.name = name;
    return spec;
  }
  // One whose constructor has run.
  ActorId Alive(const TaskClass& task_class = Counter(), const std::string& name = "") {
    const ActorId actor = Create(task_class, name);
    REQUIRE(Running(actor));
    FinishConstructor(actor);
    return actor;
  }
  void FinishConstructor(ActorId actor) {
    TaskOutcome outcome;
    outcome.results.push_back({"", {}});
    Report(actor, std::move(outcome));
    REQUIRE(Row(actor).state == "ALIVE");
  }
  TaskId Call(ActorId actor, const TaskClass& method = Method(), Submission how = {}) {
    TaskSpec spec;
    spec.id = NextId(how.session);
    spec.task_class = Class(method);
    spec.session = how.session;
    spec.parent = how.parent;
    spec.refs = how.refs;
    spec.actor = actor;
    const TaskId id = spec.id;
    REQUIRE(core.OnTaskSubmitted(std::move(spec), now).ok());
    Pump();
    return id;
  }
  void Kill(ActorId actor, bool may_restart = false) {
    core.OnActorKilled(actor, may_restart, now);
    Pump();
  }
  ActorRow Row(ActorId actor) const {
    for (const ActorRow& row : core.ListActors()) {
      if (row.id == actor) return row;
    }
    ActorRow none{};
    none.state = "UNKNOWN";
    return none;
  }
  WorkerId Host(ActorId actor) const {
    for (const auto& [id, worker] : workers) {
      const auto hosted = core.FindHosted(id);
      if (hosted && hosted->id == actor) return id;
    }
    return 0;
  }
  // Tasks in the order in which they were sent to workers.
  std::vector<TaskId> RunSince(size_t count) const { return {run.begin() + count, run.end()}; }
};

using Ids = std::vector<TaskId>;

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

TEST_CASE("a lost actor is started anew; a call that it had runs once, those that wait run then") {
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
  CHECK(h.ErrorOf(call).message.find("started anew 1 times") != std::string::npos);
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

TEST_CASE("what an actor made ends with it; what a finished task made lives on") {
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

TEST_CASE("actors are not counted among the workers that may be alive") {
  ActorHarness h(2);
  std::vector<ActorId> actors;
  for (int i = 0; i < 50; ++i) actors.push_back(h.Alive());
  CHECK(h.core.GetTotals().actors == 50);
  const TaskId task = h.Submit(ActorHarness::Own());
  CHECK(h.Running(task));
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

TEST_CASE("an actor that can never fit says so to its callers") {
  ActorHarness h(2);
  TaskClass task_class = ActorHarness::Counter();
  task_class.resources = Resources(16);
  const ActorId actor = h.Create(task_class);
  CHECK(h.ErrorOf(h.Call(actor)).kind == ErrorKind::kUnschedulable);
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

}  // namespace
}  // namespace kiln::core
