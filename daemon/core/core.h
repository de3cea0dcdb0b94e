// The decision half of the head: told what has happened, says what is to be done.
//
// Owns sessions, tasks, objects, references, workers, and the CPUs of jobs. Pure: no I/O, no clock,
// no threads; the same events give the same decisions, so it is simulated in tests/random.
//
// Thread: head loop only.
// Owner:  Head.
// See:    docs/scheduling.md for the states and policies.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "common/status.h"
#include "common/value/error_value.h"
#include "daemon/core/decision.h"
#include "daemon/core/resources.h"
#include "daemon/core/task.h"
#include "daemon/core/value.h"

namespace kiln::core {

struct CoreOptions {
  Resources total;            // what the head has
  int num_workers = 1;        // idle library hosts kept ready: one per CPU; see OnSessionOpened
  int max_workers = 9;        // processes alive at most: CPUs + limits::kExtraWorkers
  uint64_t max_queued_tasks;  // limits::kMaxQueuedTasks, smaller in tests
  uint64_t max_queued_bytes;
};

// One result of a finished task.
struct TaskResult {
  std::variant<std::string, ObjectId> value;  // encoded value, or an object the worker created
  std::vector<ObjectId> contained;
};

struct TaskOutcome {
  std::vector<TaskResult> results;  // num_returns of them, or one error when failed
  bool failed = false;
  bool retryable = false;  // with failed
  microseconds run_time{0};
  std::string actor_repr;    // of a constructor: what the instance says of itself
  bool actor_exits = false;  // the actor ends by its own wish
};

enum class SessionKind { kDriver, kWorker };

enum class CancelOutcome { kDropped, kAsked, kKilled, kFinished };

// --- what the head reads to carry decisions out and to list state --------------------------------

struct TaskView {
  TaskId id;
  const TaskClass* task_class;
  ClassId class_id;
  const std::string* args;
  std::span<const ObjectId> refs;
  uint32_t attempt;  // 0 for the first run
  SessionNumber session;
  SessionNumber root;        // driver on whose behalf it runs; kHeadSession for detached ones
  uint64_t stream_consumed;  // of a streaming one: what the worker must know at its start
};

struct ObjectView {
  enum class State { kPending, kCreated, kSealed };
  ObjectId id;
  State state;
  const Value* value;  // null while pending
  bool is_error;
  uint32_t references;
  SessionNumber creator;
  TaskId task;  // that makes it; 0: put
};

struct TaskRow {  // see TaskInfo in state.proto
  TaskId id;
  std::string name, state, detail;
  WorkerId worker;     // 0: none
  int64_t worker_pid;  // of a finished task; 0: see `worker`
  SessionNumber session;
  uint32_t attempt;
  int priority;
  microseconds run_time{0};
  Time submitted;
  Time ended{};  // of a finished task
};

struct ActorView {
  ActorId id;
  bool dead;
  SessionNumber root;         // driver it lives for; kHeadSession: detached
  const std::string* handle;  // an encoded ActorClass
  std::string label;          // what it says of itself, else the name of its class
};

struct ActorRow {  // see ActorInfo in actor.proto
  ActorId id;
  std::string class_name, state, name, name_space, detail, repr;
  std::string last_end;  // of its process, once it was started anew
  int64_t pid;
  SessionNumber root;
  uint32_t restarts;
  int max_restarts;
  uint64_t pending_calls, finished_calls;
  uint32_t references;
  Resources held;
  Time created;
};

struct GroupRow {  // see GroupInfo in group.proto
  GroupId id;
  std::string name, state, detail;
  std::vector<Resources> bundles;
  Resources used;      // by what runs in it, of all bundles together
  SessionNumber root;  // driver it lives for; kHeadSession: detached
  Time created;
};

struct WorkerRow {
  WorkerId id;
  std::string state;  // STARTING, IDLE, BUSY, BLOCKED, ACTOR, LEAVING
  ProgramId program;
  std::string task;  // name of the innermost running one, or of the actor
  uint32_t assigned;
  uint64_t finished;
};

struct SessionRow {
  SessionNumber number;
  SessionKind kind;
  uint64_t tasks;       // unfinished ones it submitted
  uint64_t references;  // objects it holds
};

struct Totals {
  Resources total, used;
  uint32_t workers, workers_idle, workers_blocked, drivers;
  uint64_t tasks_waiting, tasks_ready, tasks_running, tasks_finished, tasks_failed;
  uint64_t queued_bytes, objects;
  uint32_t actors, actors_starting;          // not dead; of those, without an instance
  std::vector<std::string> worker_failures;  // per program that cannot start, with the reason
};

// What records cost, in bytes taken from the heap.
struct MemoryUse {
  uint64_t tasks, task_bytes;            // unfinished ones: records, index, refs
  uint64_t argument_bytes;               // of them: encoded arguments too long for the record
  uint64_t objects, object_bytes;        // records, index, who waits for them
  uint64_t value_bytes;                  // of them: inline values too long for the record
  uint64_t references, reference_bytes;  // that sessions hold: one for each session and object
};

class Core {
 public:
  explicit Core(CoreOptions options);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Decides who runs next, and where, once for all events since the last call: many events and one
  // call are cheaper than a call after each.
  // Requires: what the last call returned was carried out: objects that nobody wants and that were
  //           kept only to be delivered are freed now.
  // Returns:  everything decided since then, in the order to be carried out. A session or worker
  //           that it names may have ended meanwhile.
  std::vector<Decision> TakeDecisions();
  // The same into a vector whose memory is used again.
  void TakeDecisions(std::vector<Decision>& decisions);

  // --- start and time ----------------------------------------------------------------------------

  // Starts the first workers.
  void OnStart(Time now);
  // Carries out what is due: time-outs, recalls, back-offs, times to live.
  void OnTimer(Time now);
  // Returns: when OnTimer is due next; kNever if nothing is pending.
  Time NextTimer() const;

  // --- sessions ----------------------------------------------------------------------------------

  // `program`: what runs the session's tasks that name no library (a driver's executable; for a
  // worker the program it runs). Nothing is started for it before a task needs it, unless
  // `keep_ready`: then num_workers workers of it are kept as long as this driver is connected,
  // where the cap has room for them. Requires: number is fresh and not kHeadSession.
  void OnSessionOpened(SessionNumber number, SessionKind kind, ProgramId program, Time now,
                       bool keep_ready = false);
  // Drops its references and unsealed objects and cancels the unfinished tasks done on its behalf,
  // those of its tasks' tasks included, detached ones excepted. For a driver's session: when no
  // other session has its program, workers of that program are retired or, after kCancelGrace,
  // killed. A worker's session is closed by OnWorkerLost; calling this for one is an error.
  void OnSessionClosed(SessionNumber number, Time now);

  // --- tasks -------------------------------------------------------------------------------------

  // Returns: the id of an equal class if there is one.
  // Errors:  InvalidArgument (num_returns, retries, amounts, names out of bounds).
  Result<ClassId> InternClass(TaskClass task_class);
  const TaskClass& GetClass(ClassId id) const;

  // Queues a task. Its results exist from now on, pending, with one reference for spec.session
  // (for a detached one: also for kHeadSession, until released). Never refused for lack of room:
  // the bounds work by credit. A task that can never fit gets the error Unschedulable at once, one
  // with an unknown ref ObjectLost.
  // Errors:  InvalidArgument (id not of this session or already used, unknown class, beyond the
  //          session's credit); the caller ends the session.
  Status OnTaskSubmitted(TaskSpec spec, Time now);

  // True if the bounds on queued tasks and bytes leave no room: unary clients are refused then.
  bool QueueFull() const;

  // Makes an actor, and queues its constructor like a task. The actor's object is there from now on
  // with one reference for the session (for a detached one: also for kHeadSession, until it is
  // dead). When nobody refers to it, calls included, the actor ends.
  // Returns: its id; or, with get_if_exists, that of the actor that has the name, with one
  // reference
  //          for the session.
  // Errors:  AlreadyExists (the name is taken); InvalidArgument as OnTaskSubmitted, the caller ends
  //          the session.
  Result<ActorId> OnActorSubmitted(ActorSpec spec, Time now);
  // The session asks for the actor of that name. Returns: its id, with one reference for the
  // session (none for kHeadSession). Errors: NotFound.
  Result<ActorId> OnActorSought(SessionNumber session, const std::string& name_space,
                                const std::string& name, Time now);
  // Ends the actor at once: its calls fail with ActorDied. may_restart: only its process, as if it
  // had crashed. Unknown and dead ones are passed over.
  void OnActorKilled(ActorId actor, bool may_restart, Time now);

  // Requires: nothing; a report about a task that this worker does not have is ignored (it was
  // cancelled or its worker given up meanwhile), its created objects freed. Values are moved out of
  // `outcome`; its memory stays the caller's, who may use it again.
  void OnTaskFinished(WorkerId worker, TaskId task, TaskOutcome&& outcome, Time now);
  // The worker has not begun these and forgets them; leaving: it ends by itself now.
  void OnTasksReturned(WorkerId worker, std::span<const TaskId> tasks, bool leaving, Time now);

  // A streaming task hands over item `index` of this attempt. An inline value becomes object `id`,
  // which must be fresh and of the worker's session; a created one keeps its own. The consumer is
  // told by HandItem, once for each index over all attempts; the task is blocked while its window
  // is exceeded. An item of a task that the worker does not have (any more) is freed, as is one
  // that nobody wants. Errors:  InvalidArgument (not a streaming task, not begun, an index out of
  // order, an object that
  //          is not the worker's to give); the caller ends the session.
  Status OnYielded(WorkerId worker, TaskId task, uint64_t index, ObjectId id, TaskResult&& item,
                   Time now);
  // The session has taken `count` items of a stream it submitted; less than before, and a task that
  // has ended, are ignored. dropped: it wants no more of them.
  // Errors:  InvalidArgument (another session's task, no stream, more than it was given); the
  // caller
  //          ends the session.
  Status OnStreamConsumed(SessionNumber session, TaskId task, uint64_t count, bool dropped,
                          Time now);
  // A task of this worker's session waits until `count` items of a stream of the session were
  // handed over or the stream ends; it gives its resources back meanwhile. Ended by OnUnblocked
  // too.
  void OnItemAwaited(SessionNumber session, TaskId blocked_task, TaskId stream, uint64_t count,
                     Time now);

  // Cancels the task that makes `object`. Its results become the error Cancelled: at once when it
  // was queued, when the worker answers or dies otherwise. A task that finishes in spite of the
  // token keeps its result.
  // Errors:  NotFound (unknown object).
  Result<CancelOutcome> OnCancel(ObjectId object, bool force, Time now);

  // --- workers -----------------------------------------------------------------------------------

  // The worker said hello; its own session (for nested tasks) is `session`, opened by this call.
  // Errors:  NotFound (not one of ours, or given up); the caller ends the session.
  Status OnWorkerReady(WorkerId worker, SessionNumber session, int64_t pid, Time now);
  // The process ended, or could not be started. `reason` says how, for people: "killed by signal 9
  // (SIGKILL)", with the last lines of its output. Its session is closed too. A worker that dies
  // before it was ready counts as a failed start: see kStartBackoffFirst.
  void OnWorkerLost(WorkerId worker, const std::string& reason, Time now);
  // Returns: the program of a worker, nothing if unknown.
  std::optional<ProgramId> FindWorkerProgram(WorkerId worker) const;

  // --- objects -----------------------------------------------------------------------------------

  // A small value, sealed at once, one reference for the session.
  // Errors:  InvalidArgument (id not of this session or already used).
  Status OnObjectPut(SessionNumber session, ObjectId id, std::string value,
                     std::vector<ObjectId> contained, Time now);
  // Room was allocated for the session to write into. It is freed when the session ends unsealed.
  // Errors:  as above; the caller frees the slice.
  Status OnObjectCreated(SessionNumber session, ObjectId id, Slice slice);
  // Errors:  NotFound (not created by this session, or already sealed).
  Status OnObjectSealed(SessionNumber session, ObjectId id, std::vector<ObjectId> contained,
                        Time now);
  Status OnObjectAborted(SessionNumber session, ObjectId id);

  // The session wants to be told once for each id (decision DeliverObject or DeliverLost), at once
  // for those sealed already. blocked_task: a task of this worker's session that waits until
  // `needed` of the ids are sealed; it gives its resources back meanwhile.
  void OnWanted(SessionNumber session, std::span<const ObjectId> ids, bool values,
                TaskId blocked_task, uint32_t needed, Time now);
  // The task waits no longer (time-out); it takes its resources back.
  void OnUnblocked(SessionNumber session, TaskId blocked_task, Time now);

  // Unknown ids are ignored: a peer may hold a ref that is gone.
  void OnRetained(SessionNumber session, std::span<const ObjectId> ids);
  // Errors:  FailedPrecondition (the session holds none of an object that is there): nothing is
  //          released from there on.
  Status OnReleased(SessionNumber session, std::span<const ObjectId> ids, Time now);
  // kHeadSession's reference on the object ends at `when`.
  // Errors:  NotFound.
  Status SetTimeToLive(ObjectId object, Time when);

  // --- placement groups --------------------------------------------------------------------------

  // Reserves bundles of resources together as soon as all of them fit, oldest group first. Its
  // object, with one reference for the session (for a detached one: also for kHeadSession, until it
  // is removed), is sealed then; as an error if the group can never fit, or is removed before.
  // It lives until it is removed or the driver ends for which it was made.
  // Errors:  InvalidArgument (id not of this session or already used, bundles out of bounds); the
  //          caller ends the session.
  Status OnGroupSubmitted(GroupSpec spec, Time now);
  // Gives its resources back, fails the tasks that wait for it, asks those that run in it to stop,
  // and ends its actors. Unknown ones are passed over.
  void OnGroupRemoved(GroupId group, Time now);

  // --- jobs --------------------------------------------------------------------------------------

  // Queues a job for its CPUs; decision StartJob when it holds them, oldest first.
  // Errors:  ResourceExhausted (can never fit, with the reason).
  Status OnJobSubmitted(JobId job, Resources resources, Time now);
  // Ended, or is not to be started: gives its CPUs back.
  void OnJobEnded(JobId job, Time now);

  // --- reading -----------------------------------------------------------------------------------

  // As many workers run tasks as there are CPUs.
  bool AllBusy() const;
  std::optional<TaskView> FindTask(TaskId id) const;
  // Returns: the innermost task that runs on the worker, if any.
  std::optional<TaskView> FindRunningTask(WorkerId worker) const;
  std::optional<ObjectView> FindObject(ObjectId id) const;
  // Returns: nothing if unknown; dead ones that somebody refers to are known.
  std::optional<ActorView> FindActor(ActorId id) const;
  std::optional<ActorId> FindActor(const std::string& name_space, const std::string& name) const;
  // Why no living actor has this name, for people: what may have been meant, or what the last one
  // of that name died of.
  std::string DescribeMissingActor(const std::string& name_space, const std::string& name) const;
  // Returns: the actor that the worker hosts, if any.
  std::optional<ActorView> FindHosted(WorkerId worker) const;
  // Calls of the actor that the session has submitted and that have not ended.
  uint64_t PendingCalls(ActorId actor, SessionNumber session) const;
  // There is an actor without an instance that is not dead.
  bool AnyActorStarts() const;
  // Newest first, with the last dead ones.
  std::vector<ActorRow> ListActors() const;
  // Placement groups, newest first, with the last removed ones.
  std::vector<GroupRow> ListGroups() const;
  // Objects in the store segment by falling size, at most `limit`: who holds it when it is full.
  std::vector<ObjectView> BiggestObjects(size_t limit) const;
  // Name of the task that made an object, empty for put or when forgotten.
  std::string MakerName(ObjectId id) const;
  Totals GetTotals() const;
  // Counts from record to record: about 10 ns for each task and object.
  MemoryUse GetMemory() const;
  // All unfinished tasks and the last limits::kFinishedTasksKept finished ones, newest first.
  // visit returns false to stop.
  void VisitTasks(const std::function<bool(const TaskRow&)>& visit) const;
  void VisitObjects(const std::function<bool(const ObjectView&)>& visit) const;
  std::vector<WorkerRow> ListWorkers() const;
  std::vector<SessionRow> ListSessions() const;

  // Checks everything that must hold between events: counts, links, resources, states. For tests.
  // Returns: the first thing that does not hold, in words; empty if all does.
  std::string CheckInvariants() const;

 private:
  struct State;
  struct Invariants;
  std::unique_ptr<State> state_;
};

}  // namespace kiln::core
