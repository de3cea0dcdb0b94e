#include "tests/unit/core_harness.h"

namespace kiln::core {
namespace {

using H = CoreHarness;

TEST_CASE("a task without arguments runs at once on an idle worker and its result is sealed") {
  H h;
  const TaskId task = h.Submit(H::Library());
  REQUIRE(h.Running(task));
  CHECK(h.StateOf(task) == "ASSIGNED");
  CHECK(h.UsedCpus() == 1);
  h.Finish(task, "three");
  CHECK(h.ValueOf(task) == "three");
  CHECK(h.StateOf(task) == "FINISHED");
  CHECK(h.UsedCpus() == 0);
}

TEST_CASE("a task waits until all its arguments are sealed") {
  H h;
  const TaskId a = h.Submit(H::Library("a"));
  const TaskId b = h.Submit(H::Library("b"));
  const TaskId sum = h.Submit(H::Library("sum"), {.refs = {a, b, a}});
  CHECK(h.StateOf(sum) == "WAITING");
  h.Finish(a);
  CHECK(h.StateOf(sum) == "WAITING");
  h.Finish(b);
  CHECK(h.Running(sum));
}

TEST_CASE("a ref inside a value is kept alive but not waited for") {
  H h;
  const TaskId slow = h.Submit(H::Library("slow"));
  const ObjectId put = h.Put("kept");
  const TaskId user = h.Submit(H::Library("user"), {.nested_refs = {slow, put}});
  CHECK(h.Running(user));
  REQUIRE(h.Release({put}).ok());
  CHECK(h.Sealed(put));
  h.Finish(user);
  CHECK_FALSE(h.core.FindObject(put));
}

TEST_CASE("a task with several results seals each") {
  H h;
  TaskClass pair = H::Library("pair");
  pair.num_returns = 2;
  const TaskId task = h.Submit(pair);
  TaskOutcome outcome;
  outcome.results = {{"one", {}}, {"two", {}}};
  h.Report(task, std::move(outcome));
  CHECK(h.ValueOf(task) == "one");
  CHECK(h.ValueOf(task + 1) == "two");
}

TEST_CASE("a wrong number of results is an error, not a crash") {
  H h;
  const TaskId task = h.Submit(H::Library());
  h.Report(task, TaskOutcome{});
  CHECK(h.ErrorOf(task).kind == ErrorKind::kTaskFailed);
}

TEST_CASE("a task that asks for more than the head has fails at once and names the resource") {
  H h;
  CHECK(h.ErrorOf(h.Submit(H::Library("big", 3))).message.find("num_cpus: 3 asked, 2 here") !=
        std::string::npos);
  TaskClass disk = H::Library("disk");
  disk.resources.SetCustom("disk", 1);
  const ErrorInfo error = h.ErrorOf(h.Submit(disk));
  CHECK(error.kind == ErrorKind::kUnschedulable);
  CHECK(error.message.find("disk: 1 asked, 0 here") != std::string::npos);
}

TEST_CASE("a task with an unknown argument fails at once with ObjectLost") {
  H h;
  const TaskId task = h.Submit(H::Library(), {.refs = {MakeObjectId(1, 999)}});
  CHECK(h.ErrorOf(task).kind == ErrorKind::kObjectLost);
}

TEST_CASE("a broken submission is refused and changes nothing") {
  H h;
  TaskSpec spec;
  spec.id = MakeObjectId(2, 1);
  spec.session = H::kDriver;
  spec.task_class = h.Class(H::Library());
  CHECK(h.core.OnTaskSubmitted(spec, h.now).code() == Code::kInvalidArgument);
  spec.id = MakeObjectId(H::kDriver, 1);
  spec.task_class = 99;
  CHECK(h.core.OnTaskSubmitted(spec, h.now).code() == Code::kInvalidArgument);
  const ObjectId used = h.Put("x");
  spec.task_class = h.Class(H::Library());
  spec.id = used;
  CHECK(h.core.OnTaskSubmitted(spec, h.now).code() == Code::kInvalidArgument);
  spec.session = 55;
  spec.id = MakeObjectId(55, 1);
  CHECK(h.core.OnTaskSubmitted(spec, h.now).code() == Code::kInvalidArgument);
  CHECK(h.core.GetTotals().tasks_waiting + h.core.GetTotals().tasks_ready == 0);
}

TEST_CASE("equal classes are interned once and broken ones refused") {
  H h;
  CHECK(h.Class(H::Library()) == h.Class(H::Library()));
  CHECK(h.Class(H::Library()) != h.Class(H::Library("g")));
  TaskClass broken = H::Library();
  broken.num_returns = 0;
  CHECK(h.core.InternClass(broken).status().code() == Code::kInvalidArgument);
  broken = H::Library();
  broken.max_retries = -2;
  CHECK_FALSE(h.core.InternClass(broken).ok());
  broken = H::Library("f", -1);
  CHECK_FALSE(h.core.InternClass(broken).ok());
}

// --- errors --------------------------------------------------------------------------------------

TEST_CASE("an error runs down a chain of tasks, which it names nearest first") {
  H h;
  const TaskId first = h.Submit(H::Library("first"));
  const TaskId second = h.Submit(H::Library("second"), {.refs = {first}});
  const TaskId third = h.Submit(H::Library("third"), {.refs = {second}});
  h.Fail(first, true, "boom");
  const ErrorInfo error = h.ErrorOf(third);
  CHECK(error.kind == ErrorKind::kTaskFailed);
  CHECK(error.message == "boom");
  CHECK(error.task == "first");
  CHECK(error.chain == std::vector<std::string>{"second", "third"});
  CHECK(h.ErrorOf(first).chain.empty());
  CHECK(h.StateOf(third) == "FAILED");
}

TEST_CASE("a task submitted with an argument that is an error already fails too") {
  H h;
  const TaskId first = h.Submit(H::Library("first"));
  h.Fail(first);
  const TaskId second = h.Submit(H::Library("second"), {.refs = {first}});
  CHECK(h.ErrorOf(second).chain == std::vector<std::string>{"second"});
}

TEST_CASE("an error runs down a chain of 100,000 tasks, whose chain stays bounded") {
  H h;
  const TaskId first = h.Submit(H::Library("first"));
  const ClassId link = h.Class(H::Library("link"));
  TaskId last = first;
  for (int i = 0; i < 100'000; ++i) {
    TaskSpec spec;
    spec.id = h.NextId(H::kDriver);
    spec.session = H::kDriver;
    spec.task_class = link;
    spec.refs = {last};
    last = spec.id;
    REQUIRE(h.core.OnTaskSubmitted(std::move(spec), h.now).ok());
  }
  h.Fail(first);
  CHECK(h.ErrorOf(last).chain.size() == limits::kMaxErrorChain);
}

// --- retries -------------------------------------------------------------------------------------

TEST_CASE("a task that throws runs again if its class says so, as often as it may") {
  H h;
  TaskClass again = H::Library("again");
  again.retry_exceptions = true;
  again.max_retries = 2;
  const TaskId task = h.Submit(again);
  for (uint32_t attempt = 0; attempt < 2; ++attempt) {
    CHECK(h.core.FindTask(task)->attempt == attempt);
    h.Fail(task);
    REQUIRE(h.Running(task));
  }
  h.Fail(task);
  CHECK(h.ErrorOf(task).message == "boom");
}

TEST_CASE("a failure that no other attempt could mend is not retried") {
  H h;
  TaskClass again = H::Library("again");
  again.retry_exceptions = true;
  const TaskId task = h.Submit(again);
  h.Fail(task, /*retryable=*/false);
  CHECK(h.StateOf(task) == "FAILED");
}

TEST_CASE("a task that throws does not run again by default") {
  H h;
  const TaskId task = h.Submit(H::Library());
  h.Fail(task);
  CHECK(h.StateOf(task) == "FAILED");
}

TEST_CASE("a lost worker's task runs again on another worker, before later ones") {
  H h(1);
  const TaskId task = h.Submit(H::Library());
  const TaskId later = h.Submit(H::Library());
  const WorkerId first = h.WorkerOf(task);
  h.Lose(first);
  REQUIRE(h.Running(task));
  CHECK(h.WorkerOf(task) != first);
  CHECK(h.core.FindTask(task)->attempt == 1);
  CHECK_FALSE(h.Running(later));
}

TEST_CASE("a task whose workers are lost too often fails with WorkerCrashed and the reason") {
  H h;
  TaskClass fragile = H::Library("fragile");
  fragile.max_retries = 1;
  const TaskId task = h.Submit(fragile);
  h.Lose(h.WorkerOf(task));
  const WorkerId second = h.WorkerOf(task);
  h.Lose(second, "was killed by signal 11 (SIGSEGV)");
  const ErrorInfo error = h.ErrorOf(task);
  CHECK(error.kind == ErrorKind::kWorkerCrashed);
  CHECK(error.message.find("signal 11 (SIGSEGV)") != std::string::npos);
  CHECK(error.worker_pid == H::PidOf(second));
  CHECK(error.task == "fragile");
}

TEST_CASE("what a lost task has submitted is cancelled, detached tasks excepted") {
  H h;
  const TaskId parent = h.Submit(H::Library("parent"));
  TaskClass detached = H::Library("detached", 2);
  detached.detached = true;
  detached.priority = -1;
  const TaskId child = h.SubmitFrom(parent, H::Library("child", 2));
  const TaskId free_child = h.SubmitFrom(parent, detached);
  h.Lose(h.WorkerOf(parent));
  CHECK(h.StateOf(child) == "CANCELLED");
  CHECK(h.StateOf(free_child) == "READY");
  CHECK(h.Running(parent));
}

TEST_CASE("what a finished task has submitted goes on when its worker is lost") {
  H h;
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId child = h.SubmitFrom(parent, H::Library("child", 2));
  const WorkerId worker = h.WorkerOf(parent);
  h.Finish(parent);
  h.Lose(worker);
  CHECK(h.StateOf(child) != "CANCELLED");
  REQUIRE(h.Running(child));
  h.Finish(child);
  CHECK(h.StateOf(child) == "FINISHED");
}

TEST_CASE("a child nested on the lost worker of its parent is cancelled without a word to it") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId child = h.SubmitFrom(parent, H::Library("child"));
  h.Block(parent, {child});
  REQUIRE(h.WorkerOf(child) == h.WorkerOf(parent));
  h.Lose(h.WorkerOf(parent));  // the harness checks that nothing is sent to it
  CHECK(h.StateOf(child) == "CANCELLED");
  CHECK(h.Running(parent));
}

TEST_CASE("a report of a worker that does not have the task is ignored") {
  H h;
  const TaskId task = h.Submit(H::Library());
  const WorkerId other = h.WorkerOf(task) == 1 ? 2 : 1;
  const ObjectId created = h.Create(4096, 10, h.workers.at(other).session);
  TaskOutcome outcome;
  outcome.results = {{created, {}}};
  h.core.OnTaskFinished(other, task, TaskOutcome(outcome), h.now);
  h.Pump();
  CHECK(h.StateOf(task) == "ASSIGNED");
  CHECK(h.freed == std::vector<Slice>{{4096, 10}});
}

TEST_CASE("a result written in the store moves to the id of the result") {
  H h;
  const TaskId task = h.Submit(H::Library());
  const ObjectId created = h.Create(8192, 100, h.workers.at(h.WorkerOf(task)).session);
  TaskOutcome outcome;
  outcome.results = {{created, {}}};
  h.Report(task, std::move(outcome));
  REQUIRE(h.Sealed(task));
  CHECK(std::get<Slice>(*h.core.FindObject(task)->value) == Slice{8192, 100});
  CHECK_FALSE(h.core.FindObject(created));
  CHECK(h.freed.empty());
  REQUIRE(h.Release({task}).ok());
  CHECK(h.freed == std::vector<Slice>{{8192, 100}});
}

TEST_CASE("a worker that names a result it did not create gets an error in its place") {
  H h;
  const TaskId task = h.Submit(H::Library());
  const ObjectId foreign = h.Create(0, 10);
  TaskOutcome outcome;
  outcome.results = {{foreign, {}}};
  h.Report(task, std::move(outcome));
  CHECK(h.ErrorOf(task).kind == ErrorKind::kObjectLost);
  CHECK(h.core.FindObject(foreign)->state == ObjectView::State::kCreated);
}

}  // namespace
}  // namespace kiln::core
