// What Core is made of. Each core_*.cc carries out one family of events.
//
// An event is: Begin, its own steps, Finish. Steps that could recurse (an error that runs down a
// chain of tasks, a value whose end frees the values in it) only note what is to be done; Finish
// works the notes off. Who runs next, and where, is decided once for all events of a turn: when the
// decisions are taken.
//
// Thread: head loop only.
// Owner:  Core.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daemon/core/actor_table.h"
#include "daemon/core/busy_workers.h"
#include "daemon/core/class_table.h"
#include "daemon/core/core.h"
#include "daemon/core/group_table.h"
#include "daemon/core/object_table.h"
#include "daemon/core/ready_queue.h"
#include "daemon/core/reservation_queue.h"
#include "daemon/core/session_table.h"
#include "daemon/core/stream_record.h"
#include "daemon/core/task_table.h"
#include "daemon/core/timer_queue.h"
#include "daemon/core/worker_pool.h"

namespace kiln::core {

struct Core::State {
  explicit State(CoreOptions options);

  // --- core.cc: the frame of an event ------------------------------------------------------------
  void Begin(Time now);
  void Finish();
  void Settle();
  void DecideAll();
  void GiveBackMemory();
  // Lets go of what was delivered: it was carried out.
  void ForgetDelivered();
  void RunTimer(const Timer& timer);
  void Decide(Decision decision) { decisions.push_back(std::move(decision)); }

  // --- core_tasks.cc: from submit to end ---------------------------------------------------------
  Status CheckSpec(const TaskSpec& spec) const;
  Task& InsertTask(TaskSpec spec);
  void InsertResults(const Task& task, const TaskClass& task_class);
  // Returns: the first ref that is unknown; 0 if all are known.
  ObjectId PinArguments(Task& task, std::vector<ObjectId> refs,
                        const std::vector<ObjectId>& nested_refs);
  // `unknown`: as PinArguments returned it.
  std::optional<ErrorInfo> WhyNeverRuns(const Task& task, ObjectId unknown) const;
  void AwaitArguments(Task& task);
  void MakeReady(Task& task);
  bool MayRunAgain(const Task& task) const;
  void RunAgain(Task& task, bool counts);
  void FinishTask(Task& task, TaskOutcome& outcome);
  // The error of a task that ends in `task`'s place by its flags (cancelled, timed out), else as
  // is.
  void FailAsAsked(Task& task, ErrorInfo error);
  void FailTask(Task& task, ErrorInfo error);
  void FailByArgument(Task& task);
  void Detach(Task& task);
  void CloseTask(Task& task, TaskState end, std::string detail, microseconds run_time, int64_t pid);
  ErrorInfo MakeError(const Task& task, ErrorKind kind, std::string message) const;

  // --- core_cancel.cc: asking tasks to stop ------------------------------------------------------
  CancelOutcome CancelTree(Task& task, bool force);
  CancelOutcome CancelOne(Task& task, bool force);
  void AppendChildren(const Task& task, std::vector<TaskId>& children) const;
  void SetTimeout(Task& task);
  void SetKill(Task& task);
  void ClearDeadlines(Task& task);
  void OnTimeout(Task& task);
  void OnGraceOver(Task& task);

  // --- core_objects.cc: from pending to free -----------------------------------------------------
  Status CheckNewObject(SessionNumber session, ObjectId id) const;
  void Seal(Object& object, Value value, std::vector<ObjectId> contained, bool is_error);
  void Announce(Object& object);
  void Answer(const Waiter& waiter, Object& object);
  void Deliver(Object& object, SessionNumber session, bool with_value);
  // Gives up an object that was created and not sealed: an error to whoever refers to it.
  void Lose(Object& object);
  void LoseContent(Object& object);
  // Returns: what a worker wrote for a result; nothing if it did not create `id`.
  std::optional<Value> TakeCreated(SessionNumber session, ObjectId id);
  void DropCreated(SessionNumber session, const TaskOutcome& outcome);
  void Pin(Object& object) { ++object.pins; }
  void Unpin(ObjectId id);
  void FreeIfUnwanted(Object& object);
  void Free(Object& object);

  // --- core_sessions.cc: references and credit ---------------------------------------------------
  void AddReference(Session& session, Object& object);
  bool DropReference(Session& session, ObjectId id);
  void DropAllReferences(Session& session);
  void EndExpiry(ObjectId id);
  void CloseSession(Session& session);
  void ForgetIfDone(Session& session);
  void CancelRooted(SessionNumber root);
  void CancelSubmitted(Session& session);
  void CancelChildren(const Task& parent);
  bool HasRoom() const;
  bool OverTwiceFull() const;
  void UseCredit(Session& session, uint64_t bytes);
  void Grant(Session& session);
  void GrantStarved();

  // --- core_stack.cc: tasks on workers -----------------------------------------------------------
  enum class Place { kIdle, kNested, kBehind };
  void Assign(Task& task, Worker& worker, Place place);
  void TakeOff(Task& task);
  void TakeResources(const Task& task);
  void GiveResources(const Task& task);
  // Returns: what the task waits for; null if it is not blocked.
  Block* BlockOf(const Task& task);
  Task* FindBlockable(SessionNumber session, TaskId id);
  void BlockTask(Task& task, Block block);
  void CountDelivery(const Waiter& waiter);
  void ResumeIfDone(Task& task);
  void ResumeInnermost(Worker& worker);
  void UpdateState(Worker& worker);
  // The worker's queue or state changed, or what was asked of it: finds its place among the busy.
  void PlaceBusy(Worker& worker);
  void Recall(Worker& worker, size_t kept);
  void OnRecallDue(Worker& worker);

  // --- core_actors.cc: from the constructor to the end -------------------------------------------
  Actor& InsertActor(ActorSpec& spec);
  void SetRoot(Task& creation, const Actor& actor);
  // Queues the constructor of an actor again.
  void RepeatCreation(Actor& actor);
  // The worker is the actor's from now on. Requires: the constructor is ready, the worker idle.
  void HostActor(Task& creation, Worker& worker);
  void FinishCreation(Task& creation, TaskOutcome& outcome);
  // Ends the constructor, and so the actor.
  void FailCreation(Task& creation, ErrorInfo error);
  enum class Ending { kKill, kLeave };
  // The actor is dead from now on; `death`: what its calls fail with.
  void BuryActor(Actor& actor, ErrorInfo death, Ending ending);
  // The worker that was to become the actor does not.
  void LeaveWorker(Actor& actor);
  // The process of the actor ended; it is started anew if it may be.
  void LoseActor(Actor& actor, int64_t pid, const std::string& reason);
  bool MayRestart(const Actor& actor) const;
  void OnRestartDue(Actor& actor);
  // Nobody refers to the actor: it ends, or is forgotten.
  void DropActor(Actor& actor);
  // Ends the actors that a driver's session, or a worker that is gone, was the reason for.
  void BuryRooted(SessionNumber root);
  void BuryOwned(const Worker& owner);
  ErrorInfo DeathOf(const Actor& actor, std::string message) const;
  // The same, with the call that it failed.
  ErrorInfo ForCall(const Task& call, ErrorInfo death) const;
  // The same for one that asked for its end; its language may say how.
  ErrorInfo ExitOf(const Actor& actor, const TaskOutcome& outcome) const;
  // What the actor holds becomes this.
  void Hold(Actor& actor, const Resources& resources);
  // Gives back what it holds while nothing of it goes on, and takes it again.
  void AdjustHold(Actor& actor);
  ActorRow RowOf(const Actor& actor) const;
  std::string LabelOf(const Actor& actor) const;
  // What an unfinished task waits for, in words.
  std::string WaitsFor(const Task& task) const;

  // --- core_calls.cc: calls of actors ------------------------------------------------------------
  static Caller CallerOf(const Task& call);
  CallGroup& GroupOf(const Task& call);
  bool KnowsGroup(const Task& call) const;
  // Puts a call in its place among those of its caller.
  void Enqueue(Task& call);
  void Dequeue(Task& call);
  // The first call of the line may have changed: finds its place among the turns.
  void PlaceLine(CallGroup& group, const Caller& caller, CallLine& line);
  size_t CallsToSend(const Actor& actor, const CallGroup& group) const;
  void SendCalls(Actor& actor);
  void TakeOffCall(Task& task);
  // A blocked call, or constructor, goes on.
  void ResumeCall(Task& task);
  void FinishCall(Task& call, const TaskOutcome& outcome);
  // All that have not ended, in the order they were submitted.
  std::vector<TaskId> UnfinishedCalls(const Actor& actor) const;

  // --- core_groups.cc: placement groups ----------------------------------------------------------
  Status CheckGroup(const GroupSpec& spec) const;
  Group& InsertGroup(GroupSpec& spec);
  // Its bundles are reserved from now on.
  void CreateGroup(Group& group);
  ErrorInfo RemovalOf(const Group& group, const std::string& why) const;
  void RemoveGroup(Group& group, ErrorInfo why);
  void EndUsers(GroupId group, const ErrorInfo& why);
  // Removes the groups that a driver's session, or a worker that is gone, was the reason for.
  void RemoveRooted(SessionNumber root);
  void RemoveOwned(const Worker& owner);
  // Returns: why a task of the class can never run, in words; empty if it can.
  std::string NeverFits(const TaskClass& task_class) const;
  GroupRow RowOf(const Group& group) const;

  // --- core_streams.cc: tasks that hand items over while they run --------------------------------
  Stream& StreamOf(const Task& task);
  Status CheckYield(const Worker& worker, const Task& task, uint64_t index, ObjectId id,
                    const TaskResult& item) const;
  // Frees an item that a worker of this session made.
  void DropItem(SessionNumber session, const TaskResult& item);
  // Returns: the item, sealed, with a reference for the consumer.
  Object& MakeItem(SessionNumber session, ObjectId id, TaskResult&& item, Session& consumer);
  // The consumer has taken `count` items in all, or wants no more.
  void Consume(Task& task, uint64_t count, bool dropped);
  void DropStreams(const Session& consumer);
  // Returns: null if nobody takes items any more.
  Session* ConsumerOf(const Task& task, const Stream& stream);
  bool WindowIsFull(const Task& task, const Stream& stream) const;
  void BlockOnWindow(Task& task);
  // Lets the task go on if it waits for its consumer and no longer must.
  void ResumeProducer(Task& task, const Stream& stream);
  // Lets tasks go on that wait for what the stream has by now; all, if it has ended.
  void ResumeConsumers(const Stream& stream, TaskId task, bool ended);
  // The stream's end has no references any more.
  void NoteForsaken(const Object& end);
  bool AwaitsDriver() const;

  // --- core_dispatch.cc: who runs next, where ----------------------------------------------------
  // Returns: true if a task failed, so that there is more to settle.
  bool Dispatch();
  // Gives jobs and placement groups what they wait for. Returns: true if a group got it.
  bool Reserve();
  // Returns: the first group that can be waited for; null if there is none.
  ReservationQueue::Waiting* NextGroup();
  Resources Claimable() const;
  bool HoldsOthers(const ReservationQueue::Waiting& waiting) const;
  bool ReservationHoldsQueue();
  bool Holds(const Line& line) const;
  Line* ChooseLine();
  Line* ChooseInGroup(const std::vector<Line*>& lines, size_t begin, size_t end, bool& held);
  bool AnyHoldsFirst();
  bool RunOnIdle();
  bool RunBehind();
  void StealForIdle();

  // --- core_nesting.cc: blocked workers run what they wait for -----------------------------------
  enum class Where { kNested, kAnywhere };
  // A list of objects of which a walk has seen those before `next`.
  struct Branch {
    const std::vector<ObjectId>* ids;
    size_t next;
    size_t end;
  };
  Task* AppendCall(const Task& call, std::vector<Branch>& branches);
  Task* FindAwaited(const Worker& worker, Where where, size_t limit);
  bool MayRun(const Task& task, const Worker& worker, Where where) const;
  bool RunNested(bool stuck);
  bool IsStuck();
  bool FailUnreachable();

  // --- core_workers.cc: processes ----------------------------------------------------------------
  int CapFor(ProgramId program) const;
  // Returns: an idle worker to be given up for one of `program`; null if there is none.
  Worker* FindSpare(ProgramId program);
  // `creations`: tasks that wait for a worker and make it an actor's, which frees its place.
  bool CanStart(const Program& program, int creations = 0) const;
  void Start(ProgramId program);
  void Leave(Worker& worker);
  void Retire(Worker& worker);
  void Kill(Worker& worker, std::string why);
  void AdjustWorkers();
  bool MayGetWorker(const Program& program, bool creation);
  struct Demand {
    ProgramId program = kLibraryHost;
    int tasks = 0;      // that could run
    int creations = 0;  // of those, that make actors
  };
  std::vector<Demand> CountDemand();
  bool MakeRoom(Program& program, int& room_coming);
  void RestoreReserve();
  void RetireExcess();
  bool IsExcess(const Worker& worker) const;
  void CloseProgram(Program& program);
  void ForgetPrograms();
  void OnStartFailed(Program& program, const std::string& reason);
  void LoseTasks(Worker& worker, const std::string& reason);

  // --- state -------------------------------------------------------------------------------------
  const CoreOptions options;
  Time now{};  // of the event being handled, or of the last one
  bool started = false;
  bool changed = false;  // since decisions were taken: dispatch is due

  ClassTable classes;
  TaskTable tasks;
  ActorTable actors;
  ObjectTable objects;
  SessionTable sessions;
  ReadyQueue ready;
  WorkerPool workers;
  BusyWorkers busy;
  ReservationQueue jobs;
  ReservationQueue reserved_groups;
  GroupTable groups;
  TimerQueue timers;
  std::unordered_map<TaskId, Stream> streams;  // of unfinished streaming tasks
  std::unordered_map<TaskId, Deadlines> deadlines;
  std::unordered_map<ObjectId, Time> expiries;  // of the head's reference
  std::deque<SessionNumber> starved;            // wait for credit, longest first

  // Total minus what running tasks, jobs and placement groups hold, plus what such groups have in
  // names of their own; may be negative.
  Resources free;
  uint64_t queued_bytes = 0;
  uint64_t last_block = 0;
  uint64_t last_served = 0;
  uint64_t last_reservation = 0;

  size_t most_records = 0;  // tasks and objects, since memory was given back

  // Notes for Settle.
  std::vector<TaskId> failing;    // an argument is an error
  std::vector<TaskId> forsaken;   // streams whose end nobody refers to: to be cancelled
  std::vector<ActorId> dropped;   // actors that nobody refers to
  std::vector<Object*> unwanted;  // to be freed if still unwanted; each once, see Object::noted
  std::vector<Object*> settling;  // of those, the ones under way; empty between events

  // Objects delivered, each kept until that was carried out.
  std::vector<Object*> delivered;  // by decisions that were not taken yet
  std::vector<Object*> taken;      // by those that were taken last
  uint8_t keep_tag = 1;            // Object::kept of the former; 1 and 2 take turns

  std::vector<Decision> decisions;
  std::vector<Line*> passed;  // of ChooseLine: do not fit
};

}  // namespace kiln::core
