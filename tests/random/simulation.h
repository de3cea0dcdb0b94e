// A world around the core: fake drivers, workers with messages under way, jobs, and a clock, all
// driven by one seed.
//
// Messages between the core and a worker arrive in order, each after any number of other events, so
// reports cross decisions as they do between processes. Whatever a task waits for was there before
// it or is made by a task that it submitted, so a world in which nothing moves is the core's fault.
// Actors could wait for each other in a circle, which would be the program's fault; so each has a
// rank, higher than those of all before it, and what runs in an actor waits only for what needs
// actors of higher ranks: see FakeActor::floor.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "daemon/core/core.h"
#include "tests/random/call_order.h"

namespace kiln::core {

// What a session has got of a stream it consumes.
struct FakeStream {
  uint64_t received = 0;
  uint64_t consumed = 0;
};

struct FakeActor {
  uint64_t rank = 0;
  // The lowest rank of the actors that its calls may have to wait for, its own included.
  uint64_t floor = 0;
  std::vector<ObjectId> given;  // to its constructor
  ActorOptions options;
};

struct FakeTask {
  TaskId id = 0;
  uint64_t limit = 0;  // may wait for actors of higher ranks
  bool constructor = false;
  std::string group;            // of a call
  std::vector<ObjectId> known;  // that it may wait for or pass on
  std::vector<ObjectId> held;   // references it took, one entry each
  std::vector<ObjectId> creating;
  bool blocked = false;
  std::set<ObjectId> waits;  // unanswered
  uint32_t needed = 0;
  bool cancelled = false;
  int steps = 0;
  // As a producer.
  bool streaming = false;
  bool window_full = false;  // with blocked
  uint32_t window = 0;       // 0 too when it is nested
  uint64_t yielded = 0;
  // As a consumer.
  std::map<TaskId, FakeStream> streams;
  TaskId awaited = 0;  // with blocked: a stream, until it has `awaited_count` items
  uint64_t awaited_count = 0;
};

struct Process {
  WorkerId id = 0;
  ProgramId program = 0;
  SessionNumber session = 0;
  bool doomed = false;          // told to leave or killed: ends soon
  bool deaf = false;            // never says hello
  std::vector<FakeTask> stack;  // of an actor: its calls, none on top of another
  std::deque<TaskId> queue;
  ActorId actor = 0;                                 // whose constructor it was sent
  bool constructed = false;                          // takes calls now
  bool exiting = false;                              // its actor has ended by its own wish
  std::vector<ObjectId> kept;                        // that its instance knows and holds
  std::set<TaskId> passed;                           // calls that it has begun or handed back
  std::map<TaskId, uint64_t> consumed;               // of streams its tasks make, as it was told
  std::deque<std::function<void(Process&)>> inbox;   // from the core
  std::deque<std::function<void(Process&)>> outbox;  // to the core
};

struct Driver {
  SessionNumber session = 0;
  ProgramId program = 0;
  std::vector<ObjectId> held;  // references, one entry each
  std::vector<ObjectId> creating;
  std::map<TaskId, FakeStream> streams;
};

class Simulation {
 public:
  // Failures are told by std::runtime_error with what went wrong.
  explicit Simulation(uint64_t seed);

  // Random events.
  void Run(int steps);
  // No new work: everything under way ends, everybody lets go, nothing may be left.
  void Drain();

  uint64_t tasks_ended() const { return ended_; }
  uint64_t nested() const { return nested_; }
  uint64_t items() const { return items_; }
  uint64_t windows_full() const { return windows_full_; }
  uint64_t actors() const { return actors_.size(); }
  uint64_t calls() const { return calls_begun_; }
  uint64_t restarts() const { return restarts_; }
  uint64_t groups() const { return groups_.size(); }

 private:
  void Check(bool holds, const std::string& what) const;
  // Unfinished tasks and workers, for the report of a failure.
  std::string Describe() const;
  bool Chance(int percent) { return Number(100) < percent; }
  int Number(int below) { return static_cast<int>(random_() % static_cast<uint64_t>(below)); }
  ObjectId NextId(SessionNumber session, uint32_t count = 1);
  Slice NextSlice();
  std::vector<ObjectId> Some(const std::vector<ObjectId>& from, int most);

  void Step();
  void Pump();
  void CarryOut();
  void Apply(const Decision& decision);
  void OnRun(const RunTask& run);
  Process* Addressee(WorkerId worker);
  bool IsOpen(SessionNumber session) const;
  void OnDelivered(SessionNumber session, ObjectId object);
  void OnItem(const HandItem& item);
  void OnEnded(const TaskEnded& ended);
  void Tick();

  // Drivers.
  void StepDriver();
  Driver* AnyDriver();
  void OpenDriver();
  void CloseDriver(size_t index);
  // Who submits: a driver or a task, on whose behalf the session speaks.
  struct Submitter {
    SessionNumber session = kHeadSession;
    TaskId parent = 0;
    ProgramId program = kLibraryHost;
    uint64_t limit = 0;  // of the ranks, as FakeTask::limit
    CallOrder::Caller caller = {};
  };
  // `known`: what it may pass on; what it gets is put into `held`.
  TaskId Submit(const Submitter& by, const std::vector<ObjectId>& known,
                std::vector<ObjectId>& held);
  void GiveArguments(TaskSpec& spec, const Submitter& by, const std::vector<ObjectId>& known);
  TaskClass RandomClass(ProgramId program);
  void Want(SessionNumber session, const std::vector<ObjectId>& ids, TaskId blocked,
            uint32_t needed);
  void Release(SessionNumber session, const std::vector<ObjectId>& ids);
  void StepHead();
  // Takes what a driver was handed of one of its streams. Returns: false if there is nothing to
  // take.
  bool Consume(Driver& driver);
  bool ConsumeAny();

  // Actors.
  void StepActors(const Submitter& by, const std::vector<ObjectId>& known,
                  std::vector<ObjectId>& held);
  void CreateActor(const Submitter& by, const std::vector<ObjectId>& known,
                   std::vector<ObjectId>& held);
  TaskClass RandomActorClass(ProgramId program);
  void CallActor(ActorId actor, const Submitter& by, const std::vector<ObjectId>& known,
                 std::vector<ObjectId>& held);
  void SeekActor(const Submitter& by, std::vector<ObjectId>& held);
  void KillAnyActor();
  // Of `ids`, those that whoever runs within `limit` may wait for or pass on.
  std::vector<ObjectId> Usable(const std::vector<ObjectId>& ids, uint64_t limit) const;
  uint64_t FloorOf(ObjectId id) const;
  bool EndHolder();
  void EndActors();

  // Placement groups.
  void StepGroups(const Submitter& by, const std::vector<ObjectId>& known,
                  std::vector<ObjectId>& held);
  GroupId AnyGroup(const std::vector<ObjectId>& known);
  // Lets what is submitted run in a group that the submitter knows, if it knows one.
  void PutIntoGroup(TaskClass& task_class, const std::vector<ObjectId>& known);
  bool RemoveGroupThatHolds();
  void RemoveGroups();

  // Workers.
  Process* AnyProcess();
  void StepProcess(Process& process, bool draining);
  bool MoveMessage(Process& process);
  void Begin(Process& process, TaskId task, bool nested);
  void StepActorProcess(Process& process, bool draining);
  std::string GroupOf(TaskId call, const ActorOptions& options) const;
  // Returns: the place in its queue of a call that may begin; nothing if there is none.
  std::optional<size_t> NextCall(const Process& process) const;
  // The task at `index` of the stack does something; likewise below.
  void StepTask(Process& process, size_t index, bool draining);
  Submitter SubmitterOf(const Process& process, const FakeTask& task) const;
  // It waits: what it was given ahead of its turn must not wait too.
  void ReturnQueue(Process& process);
  void BlockTask(Process& process, size_t index);
  void Yield(Process& process, size_t index);
  void AwaitItem(Process& process, size_t index);
  void EndTask(Process& process, size_t index, bool failed);
  void ReturnTasks(Process& process, std::vector<TaskId> tasks, bool leaving = false);
  void Die(Process& process, const std::string& reason);
  bool Busy(const Process& process) const;

  // The end.
  void SealAll();
  bool EndJobs();
  bool StepBusyProcess();
  void LetGo();

  std::mt19937_64 random_;
  CoreOptions options_;
  Core core_;
  Time now_{std::chrono::hours(1)};
  std::map<WorkerId, Process> processes_;
  std::vector<Driver> drivers_;
  std::map<SessionNumber, WorkerId> worker_sessions_;
  std::map<SessionNumber, uint64_t> next_ids_;
  std::vector<ObjectId> head_held_;
  std::map<TaskId, std::vector<ObjectId>> given_;             // what an unfinished task was told of
  std::map<std::pair<SessionNumber, ObjectId>, int> wanted_;  // unanswered Wants
  std::map<TaskId, uint64_t> limits_;                         // of unfinished tasks: of the ranks
  std::map<ObjectId, uint64_t> floors_;                       // as FakeActor::floor; none: no actor
  std::map<ActorId, FakeActor> actors_;                       // all that there were
  std::set<GroupId> groups_;                                  // all that there were
  CallOrder calls_;
  std::map<TaskId, uint64_t> next_items_;  // index that must come next
  std::map<uint64_t, uint64_t> slices_;    // allocated, by offset
  std::set<JobId> jobs_waiting_, jobs_running_;
  SessionNumber next_session_ = 1;
  WorkerId last_worker_ = 0;  // started
  uint64_t next_offset_ = 0;
  JobId next_job_ = 1;
  uint64_t submitted_ = 0, ended_ = 0, nested_ = 0, items_ = 0, windows_full_ = 0;
  uint64_t calls_begun_ = 0, restarts_ = 0;
  bool draining_ = false;
};

}  // namespace kiln::core
