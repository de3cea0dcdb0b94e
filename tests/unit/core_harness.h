// A core with fake workers and a manual clock: carries decisions out and remembers them.
//
// Workers start, leave and die at once unless told otherwise; tasks end when the test says so. The
// core's invariants are checked after every event.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/limits.h"
#include "daemon/core/core.h"

namespace kiln::core {

struct FakeWorker {
  ProgramId program = kLibraryHost;
  SessionNumber session = 0;  // 0: not ready yet
  std::vector<TaskId> tasks;  // given and not ended, in the order given
  bool retired = false;
};

struct Submission {
  SessionNumber session = 1;
  TaskId parent = 0;
  std::vector<ObjectId> refs = {};
  std::vector<ObjectId> nested_refs = {};
  std::string args = {};
};

class CoreHarness {
 public:
  static constexpr SessionNumber kDriver = 1;
  static constexpr ProgramId kProgram = 7;

  explicit CoreHarness(CoreOptions options) : core(options) {
    core.OnStart(now);
    core.OnSessionOpened(kDriver, SessionKind::kDriver, kProgram, now);
    Pump();
  }
  explicit CoreHarness(int num_cpus = 2) : CoreHarness(Options(num_cpus)) {}

  static CoreOptions Options(int num_cpus) {
    CoreOptions options;
    options.total = Resources(num_cpus);
    options.num_workers = num_cpus;
    options.max_workers = num_cpus + limits::kExtraWorkers;
    options.max_queued_tasks = limits::kMaxQueuedTasks;
    options.max_queued_bytes = limits::kMaxQueuedBytes;
    return options;
  }

  static TaskClass Library(const std::string& name = "f", double num_cpus = 1) {
    TaskClass task_class;
    task_class.library = "/lib.so";
    task_class.function = task_class.name = name;
    task_class.resources = Resources(num_cpus);
    return task_class;
  }
  static TaskClass Streaming(uint32_t window = 0, int max_retries = 3) {
    TaskClass task_class = Library("stream");
    task_class.streaming = true;
    task_class.stream_window = window;
    task_class.max_retries = max_retries;
    return task_class;
  }
  static TaskClass Own(const std::string& name = "own", ProgramId program = kProgram) {
    TaskClass task_class = Library(name);
    task_class.library.clear();
    task_class.program = program;
    return task_class;
  }

  ClassId Class(const TaskClass& task_class) { return core.InternClass(task_class).value(); }

  TaskId Submit(const TaskClass& task_class, Submission how = {}) {
    TaskSpec spec;
    spec.id = NextId(how.session, task_class.num_returns);
    spec.task_class = Class(task_class);
    spec.session = how.session;
    spec.parent = how.parent;
    spec.refs = std::move(how.refs);
    spec.nested_refs = std::move(how.nested_refs);
    spec.args = std::move(how.args);
    const TaskId id = spec.id;
    REQUIRE(core.OnTaskSubmitted(std::move(spec), now).ok());
    Pump();
    return id;
  }
  // Submitted by a task that runs.
  TaskId SubmitFrom(TaskId parent, const TaskClass& task_class, Submission how = {}) {
    how.parent = parent;
    how.session = workers.at(WorkerOf(parent)).session;
    return Submit(task_class, std::move(how));
  }
  ObjectId NextId(SessionNumber session, uint32_t count = 1) {
    uint64_t& next = next_ids_[session];
    const ObjectId id = MakeObjectId(session, next + 1);
    next += count;
    return id;
  }

  ObjectId Put(const std::string& value, SessionNumber session = kDriver,
               std::vector<ObjectId> contained = {}) {
    const ObjectId id = NextId(session);
    REQUIRE(core.OnObjectPut(session, id, value, std::move(contained), now).ok());
    Pump();
    return id;
  }
  ObjectId Create(uint64_t offset, uint64_t size, SessionNumber session = kDriver) {
    const ObjectId id = NextId(session);
    REQUIRE(core.OnObjectCreated(session, id, Slice{offset, size}).ok());
    Pump();
    return id;
  }
  Status Release(std::vector<ObjectId> ids, SessionNumber session = kDriver) {
    Status status = core.OnReleased(session, ids, now);
    Pump();
    return status;
  }
  void Want(std::vector<ObjectId> ids, SessionNumber session = kDriver) {
    core.OnWanted(session, ids, true, 0, 0, now);
    Pump();
  }
  // The task waits for `needed` of these (0: all) inside get or wait.
  void Block(TaskId task, std::vector<ObjectId> ids, uint32_t needed = 0) {
    if (needed == 0) needed = static_cast<uint32_t>(ids.size());
    core.OnWanted(workers.at(WorkerOf(task)).session, ids, true, task, needed, now);
    Pump();
  }

  void Finish(TaskId task, const std::string& value = "value",
              microseconds run_time = milliseconds(50)) {
    TaskOutcome outcome;
    outcome.run_time = run_time;
    for (uint32_t i = 0; i < core.FindTask(task)->task_class->num_returns; ++i) {
      outcome.results.push_back({value, {}});
    }
    Report(task, std::move(outcome));
  }
  void Fail(TaskId task, bool retryable = true, const std::string& message = "boom") {
    ErrorInfo error;
    error.message = message;
    error.type = "std::runtime_error";
    error.task = core.FindTask(task)->task_class->name;
    TaskOutcome outcome;
    outcome.failed = true;
    outcome.retryable = retryable;
    outcome.results.emplace_back().value = EncodeError(error);
    Report(task, std::move(outcome));
  }
  void Report(TaskId task, TaskOutcome outcome) {
    const WorkerId worker = WorkerOf(task);
    Forget(worker, task);
    core.OnTaskFinished(worker, task, std::move(outcome), now);
    Pump();
  }
  // Hands over the next item of this attempt. Returns: its id.
  ObjectId Yield(TaskId task, uint64_t index, const std::string& value = "item",
                 std::vector<ObjectId> contained = {}) {
    const WorkerId worker = WorkerOf(task);
    const ObjectId id = NextId(workers.at(worker).session);
    REQUIRE(core.OnYielded(worker, task, index, id, {value, std::move(contained)}, now).ok());
    Pump();
    return id;
  }
  void Consume(TaskId task, uint64_t count, bool dropped = false, SessionNumber session = kDriver) {
    REQUIRE(core.OnStreamConsumed(session, task, count, dropped, now).ok());
    Pump();
  }
  // The task waits until `count` items of the stream were handed over, or for its end.
  void AwaitItem(TaskId task, TaskId stream, uint64_t count) {
    core.OnItemAwaited(workers.at(WorkerOf(task)).session, task, stream, count, now);
    Pump();
  }
  void Return(WorkerId worker, std::vector<TaskId> tasks, bool leaving = false) {
    for (TaskId task : tasks) Forget(worker, task);
    core.OnTasksReturned(worker, tasks, leaving, now);
    Pump();
  }
  void Ready(WorkerId worker) {
    FakeWorker& fake = workers.at(worker);
    fake.session = next_session_++;
    REQUIRE(core.OnWorkerReady(worker, fake.session, PidOf(worker), now).ok());
    Pump();
  }
  void Lose(WorkerId worker, const std::string& reason = "was killed by signal 9 (SIGKILL)") {
    workers.erase(worker);
    core.OnWorkerLost(worker, reason, now);
    Pump();
  }
  CancelOutcome Cancel(ObjectId id, bool force = false) {
    const auto outcome = core.OnCancel(id, force, now);
    REQUIRE(outcome.ok());
    Pump();
    return outcome.value();
  }
  SessionNumber OpenDriver(ProgramId program, bool keep_ready = false) {
    const SessionNumber session = next_session_++;
    core.OnSessionOpened(session, SessionKind::kDriver, program, now, keep_ready);
    Pump();
    return session;
  }
  void CloseSession(SessionNumber session) {
    core.OnSessionClosed(session, now);
    Pump();
  }
  // Lets time pass, with every timer on its way.
  void Advance(Duration duration) {
    const Time until = now + duration;
    while (core.NextTimer() <= until) {
      now = std::max(now, core.NextTimer());
      core.OnTimer(now);
      Pump();
    }
    now = until;
  }

  // Carries decisions out until there are no more.
  void Pump() {
    for (;;) {
      const std::vector<Decision> decisions = core.TakeDecisions();
      const std::string broken = core.CheckInvariants();
      INFO(broken);
      REQUIRE(broken.empty());
      if (decisions.empty()) return;
      for (const Decision& decision : decisions) {
        std::visit([this](const auto& what) { Apply(what); }, decision);
      }
      CarryOutProcesses();
    }
  }

  static int64_t PidOf(WorkerId worker) { return 1000 + static_cast<int64_t>(worker); }
  // Returns: 0 if no worker has it.
  WorkerId WorkerOf(TaskId task) const {
    for (const auto& [id, worker] : workers) {
      if (std::count(worker.tasks.begin(), worker.tasks.end(), task)) return id;
    }
    return 0;
  }
  bool Running(TaskId task) const { return WorkerOf(task) != 0; }
  std::string StateOf(TaskId task) const {
    std::string state = "UNKNOWN";
    core.VisitTasks([&](const TaskRow& row) {
      if (row.id == task) state = row.state;
      return row.id != task;
    });
    return state;
  }
  bool Sealed(ObjectId id) const {
    const auto object = core.FindObject(id);
    return object && object->state == ObjectView::State::kSealed;
  }
  std::string ValueOf(ObjectId id) const {
    const auto object = core.FindObject(id);
    return object && object->value ? std::get<std::string>(*object->value) : "no value";
  }
  // Requires: sealed as an error.
  ErrorInfo ErrorOf(ObjectId id) const {
    const auto object = core.FindObject(id);
    REQUIRE(object);
    REQUIRE(object->is_error);
    return DecodeError(std::get<std::string>(*object->value));
  }
  double UsedCpus() const { return core.GetTotals().used.num_cpus(); }
  size_t CountWorkers(ProgramId program) const {
    return static_cast<size_t>(
        std::count_if(workers.begin(), workers.end(),
                      [&](const auto& entry) { return entry.second.program == program; }));
  }

  Core core;
  Time now{std::chrono::hours(1)};
  std::map<WorkerId, FakeWorker> workers;  // alive

  bool auto_ready = true;  // started workers say hello at once
  bool auto_leave = true;  // retired and killed workers end at once
  std::string killed_reason = "was killed by signal 9 (SIGKILL)";

  // What was decided, oldest first.
  std::vector<TaskId> run;
  std::vector<RunTask> runs;
  std::vector<StartWorker> starts;
  std::vector<KillWorker> kills;
  std::vector<WorkerId> retired;
  std::vector<WorkerId> ended_actors;
  std::vector<RecallTasks> recalls;
  std::vector<CancelTask> cancels;
  std::vector<DeliverObject> delivered;
  std::vector<DeliverLost> lost;
  std::vector<HandItem> items;
  std::vector<AdvanceStream> advances;
  std::vector<Slice> freed;
  std::vector<GrantCredit> grants;
  std::vector<JobId> jobs;
  std::vector<ForgetProgram> forgotten;
  std::vector<TaskEnded> ended;
  int given_back = 0;

 private:
  void Apply(const StartWorker& start) {
    starts.push_back(start);
    workers[start.worker].program = start.program;
    if (auto_ready) to_ready_.push_back(start.worker);
  }
  void Apply(const KillWorker& kill) {
    kills.push_back(kill);
    if (auto_leave) to_lose_.emplace_back(kill.worker, killed_reason);
  }
  void Apply(const RetireWorker& retire) {
    retired.push_back(retire.worker);
    workers.at(retire.worker).retired = true;
    if (auto_leave) to_lose_.emplace_back(retire.worker, "left");
  }
  void Apply(const EndActor& end) {
    ended_actors.push_back(end.worker);
    if (auto_leave) to_lose_.emplace_back(end.worker, "left");
  }
  void Apply(const RunTask& what) {
    const auto task = core.FindTask(what.task);
    REQUIRE(task);
    for (ObjectId ref : task->refs) REQUIRE(Sealed(ref));
    run.push_back(what.task);
    runs.push_back(what);
    workers.at(what.worker).tasks.push_back(what.task);
  }
  void Apply(const RecallTasks& recall) {
    REQUIRE(workers.contains(recall.worker));
    recalls.push_back(recall);
  }
  void Apply(const CancelTask& cancel) {
    REQUIRE(workers.contains(cancel.worker));
    cancels.push_back(cancel);
  }
  void Apply(const DeliverObject& deliver) {
    REQUIRE(Sealed(deliver.object));
    delivered.push_back(deliver);
  }
  void Apply(const DeliverLost& what) { lost.push_back(what); }
  void Apply(const HandItem& item) {
    REQUIRE(Sealed(item.object));
    items.push_back(item);
  }
  void Apply(const AdvanceStream& advance) {
    REQUIRE(workers.contains(advance.worker));
    advances.push_back(advance);
  }
  void Apply(const FreeSlice& free) { freed.push_back(free.slice); }
  void Apply(const GrantCredit& grant) { grants.push_back(grant); }
  void Apply(const StartJob& start) { jobs.push_back(start.job); }
  void Apply(const ForgetProgram& forget) { forgotten.push_back(forget); }
  void Apply(const GiveBack&) { ++given_back; }
  void Apply(const TaskEnded& what) { ended.push_back(what); }

  void CarryOutProcesses() {
    for (WorkerId worker : std::exchange(to_ready_, {})) {
      FakeWorker& fake = workers.at(worker);
      fake.session = next_session_++;
      REQUIRE(core.OnWorkerReady(worker, fake.session, PidOf(worker), now).ok());
    }
    for (const auto& [worker, reason] : std::exchange(to_lose_, {})) {
      workers.erase(worker);
      core.OnWorkerLost(worker, reason, now);
    }
  }
  void Forget(WorkerId worker, TaskId task) {
    if (workers.contains(worker)) std::erase(workers.at(worker).tasks, task);
  }

  std::map<SessionNumber, uint64_t> next_ids_;
  SessionNumber next_session_ = 100;
  std::vector<WorkerId> to_ready_;
  std::vector<std::pair<WorkerId, std::string>> to_lose_;
};

}  // namespace kiln::core
