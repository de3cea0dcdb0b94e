#include "tests/unit/core_harness.h"

namespace kiln::core {
namespace {

using H = CoreHarness;

TEST_CASE("a blocked task gives its CPU back and takes it again when it has what it waits for") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  const ObjectId object = h.Create(0, 10);
  h.Block(parent, {object});
  CHECK(h.StateOf(parent) == "BLOCKED");
  CHECK(h.UsedCpus() == 0);
  REQUIRE(h.core.OnObjectSealed(H::kDriver, object, {}, h.now).ok());
  h.Pump();
  CHECK(h.StateOf(parent) == "ASSIGNED");
  CHECK(h.UsedCpus() == 1);
}

TEST_CASE("a task that wants what is there already is not blocked") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  const ObjectId object = h.Put("x");
  h.Block(parent, {object, MakeObjectId(9, 9)});
  CHECK(h.StateOf(parent) == "ASSIGNED");
  CHECK(h.delivered.size() == 1);
  CHECK(h.lost.size() == 1);
}

TEST_CASE("a wait is over when enough is there") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  const ObjectId a = h.Create(0, 1), b = h.Create(4096, 1), c = h.Create(8192, 1);
  h.Block(parent, {a, b, c}, 2);
  REQUIRE(h.core.OnObjectSealed(H::kDriver, b, {}, h.now).ok());
  h.Pump();
  CHECK(h.StateOf(parent) == "BLOCKED");
  REQUIRE(h.core.OnObjectSealed(H::kDriver, a, {}, h.now).ok());
  h.Pump();
  CHECK(h.StateOf(parent) == "ASSIGNED");
}

TEST_CASE("a task that waits no longer takes its CPU back") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  h.Block(parent, {h.Create(0, 1)});
  h.core.OnUnblocked(h.workers.at(h.WorkerOf(parent)).session, parent, h.now);
  h.Pump();
  CHECK(h.StateOf(parent) == "ASSIGNED");
  CHECK(h.UsedCpus() == 1);
}

TEST_CASE("a blocked worker runs what it waits for on its own stack") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId child = h.SubmitFrom(parent, H::Library("child"));
  CHECK_FALSE(h.Running(child));
  h.Block(parent, {child});
  REQUIRE(h.Running(child));
  CHECK(h.WorkerOf(child) == h.WorkerOf(parent));
  CHECK(h.runs.back().nested);
  CHECK(h.UsedCpus() == 1);
  h.Finish(child);
  CHECK(h.StateOf(parent) == "ASSIGNED");
  CHECK(h.workers.size() == 1);
}

TEST_CASE("an idle worker is preferred to a blocked one") {
  H h(2);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId other = h.Submit(H::Library("other"));
  const TaskId child = h.SubmitFrom(parent, H::Library("child"));
  h.Block(parent, {child});
  CHECK(h.WorkerOf(child) == h.WorkerOf(parent));
  const TaskId second = h.SubmitFrom(parent, H::Library("child"));
  h.Finish(other);
  CHECK(h.WorkerOf(second) != h.WorkerOf(parent));
}

TEST_CASE("a blocked worker runs the arguments' makers of what it waits for") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId first = h.SubmitFrom(parent, H::Library("first"));
  const TaskId second = h.SubmitFrom(parent, H::Library("second"), {.refs = {first}});
  h.Block(parent, {second});
  CHECK(h.WorkerOf(first) == h.WorkerOf(parent));
  h.Finish(first);
  CHECK(h.WorkerOf(second) == h.WorkerOf(parent));
}

TEST_CASE("a blocked worker runs what a task waits for that is blocked elsewhere") {
  CoreOptions options = H::Options(2);
  options.max_workers = 2;
  H h(options);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId child = h.SubmitFrom(parent, H::Library("child"));
  REQUIRE(h.WorkerOf(child) != h.WorkerOf(parent));
  h.Block(parent, {child});
  const TaskId a = h.SubmitFrom(child, H::Library("a"));
  const TaskId b = h.SubmitFrom(child, H::Library("b"));
  h.Block(child, {a, b});
  REQUIRE(h.Running(a));
  REQUIRE(h.Running(b));
  CHECK(h.WorkerOf(a) != h.WorkerOf(b));
}

TEST_CASE("a blocked worker does not run what it does not wait for") {
  CoreOptions options = H::Options(1);
  options.max_workers = 1;
  H h(options);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId stranger = h.Submit(H::Library("stranger"));
  h.Block(parent, {h.Create(0, 1)});
  CHECK_FALSE(h.Running(stranger));
}

TEST_CASE("another worker is started for a ready task that no blocked one waits for") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId stranger = h.Submit(H::Library("stranger"));
  h.Block(parent, {h.Create(0, 1)});
  CHECK(h.Running(stranger));
  CHECK(h.workers.size() == 2);
}

TEST_CASE("a wait starts another worker, and nests only when no more may be started") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId a = h.SubmitFrom(parent, H::Library("a"));
  const TaskId b = h.SubmitFrom(parent, H::Library("b"));
  h.Block(parent, {a, b}, 1);
  CHECK(h.WorkerOf(a) != h.WorkerOf(parent));
  CHECK(h.workers.size() == 2);

  CoreOptions options = H::Options(1);
  options.max_workers = 1;
  H capped(options);
  const TaskId waiting = capped.Submit(H::Library("parent"));
  const TaskId c = capped.SubmitFrom(waiting, H::Library("a"));
  const TaskId d = capped.SubmitFrom(waiting, H::Library("b"));
  capped.Block(waiting, {c, d}, 1);
  CHECK(capped.WorkerOf(c) == capped.WorkerOf(waiting));
}

TEST_CASE("a task below another on a stack goes on only when that one has ended") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  const ObjectId object = h.Create(0, 1);
  const TaskId child = h.SubmitFrom(parent, H::Library("child"));
  h.Block(parent, {object, child}, 2);
  REQUIRE(h.Running(child));
  h.core.OnUnblocked(h.workers.at(h.WorkerOf(parent)).session, parent, h.now);
  h.Pump();
  CHECK(h.StateOf(parent) == "BLOCKED");
  CHECK(h.UsedCpus() == 1);
  h.Finish(child);
  CHECK(h.StateOf(parent) == "ASSIGNED");
  CHECK(h.UsedCpus() == 1);
}

TEST_CASE("a nested task that its worker hands back is ready again") {
  CoreOptions options = H::Options(1);
  options.max_workers = 1;
  H h(options);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId child = h.SubmitFrom(parent, H::Library("child"));
  h.Block(parent, {child});
  REQUIRE(h.Running(child));
  const WorkerId worker = h.WorkerOf(parent);
  h.core.OnUnblocked(h.workers.at(worker).session, parent, h.now);
  h.Return(worker, {child});
  CHECK(h.StateOf(child) == "READY");
  CHECK(h.StateOf(parent) == "ASSIGNED");
  CHECK(h.core.FindTask(child)->attempt == 0);
}

TEST_CASE("a task that gave up a wait and waits again is blocked though a task is above it") {
  CoreOptions options = H::Options(1);
  options.max_workers = 1;
  H h(options);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId child = h.SubmitFrom(parent, H::Library("child"));
  const ObjectId object = h.Create(0, 1);
  h.Block(parent, {child});
  REQUIRE(h.Running(child));
  const WorkerId worker = h.WorkerOf(parent);
  // The worker had given up the wait before the nested task reached it, so it hands that back.
  h.core.OnUnblocked(h.workers.at(worker).session, parent, h.now);
  h.Block(parent, {object});
  h.Return(worker, {child});
  CHECK(h.StateOf(parent) == "BLOCKED");
  REQUIRE(h.core.OnObjectSealed(H::kDriver, object, {}, h.now).ok());
  h.Pump();
  CHECK(h.StateOf(parent) == "ASSIGNED");
}

TEST_CASE("tasks given ahead that come back when their worker blocks run elsewhere") {
  H h(1);
  h.Finish(h.Submit(H::Library()), "value", microseconds(10));
  const TaskId running = h.Submit(H::Library());
  const TaskId ahead = h.Submit(H::Library());
  REQUIRE(h.WorkerOf(ahead) == h.WorkerOf(running));
  const WorkerId worker = h.WorkerOf(running);
  h.Block(running, {h.Create(0, 1)});
  h.Return(worker, {ahead});
  REQUIRE(h.Running(ahead));
  CHECK(h.WorkerOf(ahead) != worker);
}

TEST_CASE("a resumed task takes its CPU at once, even if that overdraws") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  const ObjectId object = h.Create(0, 1);
  h.Block(parent, {object});
  const TaskId other = h.Submit(H::Library("other"));
  REQUIRE(h.Running(other));
  REQUIRE(h.core.OnObjectSealed(H::kDriver, object, {}, h.now).ok());
  h.Pump();
  CHECK(h.UsedCpus() == 2);
  const TaskId free_of_charge = h.Submit(H::Library("zero", 0));
  CHECK(h.Running(free_of_charge));
}

// --- recursion -----------------------------------------------------------------------------------

// Runs fib(n) by tasks in the harness, each task as a small state machine.
class Fib {
 public:
  explicit Fib(CoreOptions options) : h_(options) {}

  int Run(int n) {
    const TaskId root = h_.Submit(H::Library("fib"));
    calls_[root] = {n, {}, false};
    for (int steps = 0; !h_.Sealed(root); ++steps) {
      REQUIRE(steps < 1'000'000);
      REQUIRE(Step());
      most_workers = std::max(most_workers, h_.workers.size());
    }
    return std::stoi(h_.ValueOf(root));
  }

  size_t most_workers = 0;

 private:
  struct Call {
    int n = 0;
    std::vector<TaskId> children;
    bool blocked = false;
  };

  // Lets one innermost task go on. Returns: false if none can.
  bool Step() {
    for (auto& [id, worker] : h_.workers) {
      if (worker.tasks.empty()) continue;
      const TaskId task = worker.tasks.back();
      Call& call = calls_.at(task);
      if (call.n < 2) {
        h_.Finish(task, std::to_string(call.n));
        return true;
      }
      if (call.children.empty()) {
        for (int less : {1, 2}) {
          const TaskId child = h_.SubmitFrom(task, H::Library("fib"));
          calls_[child].n = call.n - less;
          calls_[task].children.push_back(child);
        }
        h_.Block(task, calls_[task].children);
        return true;
      }
      if (h_.Sealed(call.children[0]) && h_.Sealed(call.children[1])) {
        const int sum =
            std::stoi(h_.ValueOf(call.children[0])) + std::stoi(h_.ValueOf(call.children[1]));
        h_.Finish(task, std::to_string(sum));
        return true;
      }
    }
    return false;
  }

  H h_;
  std::map<TaskId, Call> calls_;
};

TEST_CASE("recursion by tasks finishes within the cap of workers") {
  for (int cpus : {1, 2, 3}) {
    Fib fib(H::Options(cpus));
    CHECK(fib.Run(10) == 55);
    CHECK(fib.most_workers <= static_cast<size_t>(cpus + limits::kExtraWorkers));
  }
  CoreOptions one = H::Options(1);
  one.max_workers = 1;
  Fib fib(one);
  CHECK(fib.Run(9) == 34);
  CHECK(fib.most_workers == 1);
}

TEST_CASE("500 tasks nested in one another finish within the cap of workers") {
  H h(2);
  std::vector<TaskId> tasks = {h.Submit(H::Library("nest"))};
  while (tasks.size() < 500) {
    tasks.push_back(h.SubmitFrom(tasks.back(), H::Library("nest")));
    h.Block(tasks[tasks.size() - 2], {tasks.back()});
    REQUIRE(h.Running(tasks.back()));
  }
  CHECK(h.workers.size() <= 2 + limits::kExtraWorkers);
  for (auto task = tasks.rbegin(); task != tasks.rend(); ++task) h.Finish(*task);
  CHECK(h.Sealed(tasks.front()));
}

TEST_CASE("a task that would be nested deeper than a stack may be fails and names the depth") {
  CoreOptions options = H::Options(1);
  options.max_workers = 1;
  H h(options);
  TaskId innermost = h.Submit(H::Library("nest"));
  for (;;) {
    const TaskId child = h.SubmitFrom(innermost, H::Library("nest"));
    h.Block(innermost, {child});
    if (!h.Running(child)) {
      CHECK(h.workers.at(1).tasks.size() == limits::kMaxNestedDepth);
      const ErrorInfo error = h.ErrorOf(child);
      CHECK(error.kind == ErrorKind::kResourceExhausted);
      CHECK(error.message.find(std::to_string(limits::kMaxNestedDepth)) != std::string::npos);
      CHECK(h.StateOf(innermost) == "ASSIGNED");
      return;
    }
    innermost = child;
  }
}

TEST_CASE("a waited-for task of another program fails if every worker there may be is blocked") {
  CoreOptions options = H::Options(1);
  options.max_workers = 1;
  H h(options);
  const TaskId parent = h.Submit(H::Own("parent"));
  REQUIRE(h.Running(parent));
  const TaskId child = h.SubmitFrom(parent, H::Library("child"));
  h.Block(parent, {child});
  CHECK(h.ErrorOf(child).kind == ErrorKind::kResourceExhausted);
  CHECK(h.StateOf(parent) == "ASSIGNED");
}

}  // namespace
}  // namespace kiln::core
