// One process's session with the head: submits tasks, puts, gets and waits for objects, counts
// refs.
//
// Drivers and workers are peers alike; what only a worker does is behind TaskHost. Frames come from
// whichever thread the transport reads with; any number of threads call in.
//
// Thread: any.
// Owner:  shared by all handles, values and rooms that came from it.
// See:    docs/wire.md for the frames, docs/architecture.md for the life of a call.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "common/peer/incoming_stream.h"
#include "common/peer/object_cache.h"
#include "common/peer/room.h"
#include "common/peer/transport.h"
#include "common/shm/segment.h"
#include "common/status.h"
#include "common/value/value.h"
#include "kiln/v1/session.pb.h"

namespace kiln::peer {

// The worker's side of a session: where tasks run. Calls come from the thread that reads, except
// those that say otherwise.
class TaskHost {
 public:
  virtual ~TaskHost() = default;
  virtual void OnTaskClass(v1::TaskClass task_class) = 0;
  virtual void OnRun(v1::Run run) = 0;
  virtual void OnRecall(const v1::Recall& recall) = 0;
  virtual void OnCancelTask(TaskId task) = 0;
  virtual void OnStreamAdvance(const v1::StreamAdvance& advance) = 0;
  virtual void OnLeave() = 0;

  // From a thread that is about to wait: the task it runs, 0 if it runs none.
  virtual TaskId TaskOfThisThread() = 0;
  // True on the thread that calls AwaitTask; an actor may run calls on others, on which no tasks
  // are nested.
  virtual bool IsTaskThread() = 0;
  // From the task thread, before it waits: its queue is given up, nested tasks are taken from now
  // on. Returns: tasks not begun.
  virtual std::vector<TaskId> BeginBlock() = 0;
  // From the task thread, when it waits no longer. Returns: nested tasks not begun.
  virtual std::vector<TaskId> EndBlock() = 0;
  // From the task thread while it has nothing to do: true if a task is queued.
  virtual bool HasTask() = 0;
  // From the task thread while it waits: true if RunNested has something to do.
  virtual bool HasNested() = 0;
  virtual void RunNested() = 0;
};

// Asked now and then by a call that waits: true ends the wait with Cancelled. For languages whose
// signal handlers do not run inside a system call.
using Interrupted = std::function<bool()>;

// One argument of a submit: an object, or a value.
struct Argument {
  ObjectId ref = 0;
  std::shared_ptr<value::Parts> parts;
};

// How a task is submitted, beside its class and arguments.
struct SubmitOptions {
  bool block = true;                           // wait while there is no credit
  std::span<const std::string> keywords = {};  // names of the last arguments
  ObjectId keep = 0;   // an object kept until the task ends, as those named in arguments are
  ObjectId actor = 0;  // of a class with `method`: the actor that is called
  const Interrupted* interrupted = nullptr;
};

class Peer : public std::enable_shared_from_this<Peer>, private Transport::Receiver {
 public:
  // Connects, says hello and maps the store. `host`: null for a driver; else it outlives the peer.
  // Errors: those of OpenTransport, Unavailable (no head answers), or the head's refusal.
  static Result<std::shared_ptr<Peer>> Connect(const Endpoint& endpoint, v1::Hello hello,
                                               TaskHost* host);
  // Ends the session.
  ~Peer() override;

  // Tells the head of a class of tasks (class_id is ignored; classes that are equal are defined
  // once). Returns: what Submit names it by. Errors: ResourceExhausted (too many classes).
  Result<uint32_t> Define(const v1::TaskClass& task_class);
  // Queues a task of a class that has `num_returns`. Values above the inline limit are put into the
  // store first. A streaming task's id is that of its stream and of the object that is its end.
  // Returns: ids of the results, in a row from this one, each with one handle.
  // Blocks:  while there is no credit, unless options.block is false.
  // Errors:  ResourceExhausted (no credit, or the store is full), Unavailable (disconnected),
  //          Cancelled (interrupted).
  Result<ObjectId> Submit(uint32_t class_id, uint32_t num_returns, std::vector<Argument> arguments,
                          const SubmitOptions& options);

  // Makes an actor by a task of a class with `actor`. `request`: name, namespace, get_if_exists and
  // class; the rest is filled in. An actor is named by an id as objects are, with Retain and
  // Release, and as those that values contain; it is never got.
  // Blocks:  as Submit; with a name until the head has answered.
  // Returns: an id with one handle; with get_if_exists that of another actor, perhaps of another
  //          class, see the answer's. Without a name only the answer's id is set.
  // Errors:  as Submit; AlreadyExists (the name is taken).
  Result<v1::ActorAnswer> CreateActor(uint32_t class_id, std::vector<Argument> arguments,
                                      v1::CreateActor request, const SubmitOptions& options);
  // Returns: the actor of that name, its id with one handle.
  // Errors:  NotFound, Unavailable, Cancelled (`interrupted`, which may be null).
  Result<v1::ActorAnswer> FindActor(const std::string& name, const std::string& name_space,
                                    const Interrupted* interrupted = nullptr);
  // Returns: how many calls of the actor this session has submitted that have not ended.
  // Errors:  as FindActor.
  Result<uint64_t> CountPendingCalls(ObjectId actor, const Interrupted* interrupted = nullptr);
  // Ends the actor; with may_restart it is started anew as after a crash. Calls that are submitted
  // later find it dead.
  void KillActor(ObjectId actor, bool may_restart);

  // --- placement groups ---

  // `request`: all but id and parent, which are set here. See proto/kiln/v1/group.proto.
  // Returns: the group's id, which is that of its object, with one handle.
  // Errors:  Unavailable (the session has ended).
  Result<ObjectId> CreateGroup(v1::CreateGroup request);
  void RemoveGroup(ObjectId group);

  // Stores a value. Returns: its id, with one handle.
  // Errors: ResourceExhausted (the store is full), Unavailable.
  Result<ObjectId> Put(const value::Parts& parts);
  // Room for a value of this size. Errors: as Put.
  Result<std::shared_ptr<Room>> Create(size_t size_bytes);
  // Makes what was written an object. Returns: its id, with one handle. Errors: Unavailable.
  Result<ObjectId> Seal(Room& room, std::vector<ObjectId> contained);
  void Abort(ObjectId id);

  // Waits for the values of all ids. Requires: this process has a handle on each.
  // Errors: DeadlineExceeded, Unavailable, Cancelled (`interrupted`, which may be null).
  Result<std::vector<value::SharedBytes>> Get(std::span<const ObjectId> ids, Deadline deadline,
                                              const Interrupted* interrupted = nullptr);
  // Waits until `needed` of `count` objects are sealed or the time is over. `id_at`: the id at a
  // position.
  // Returns: positions of sealed ones, lowest first, `needed` of them at most. Errors: Unavailable,
  //          Cancelled (`interrupted`, which may be null).
  Result<std::vector<size_t>> Wait(size_t count, const std::function<ObjectId(size_t)>& id_at,
                                   size_t needed, Deadline deadline,
                                   const Interrupted* interrupted = nullptr);
  Status Cancel(ObjectId id, bool force);

  // Has NextEvents tell once when the object's value is here. Requires: this process has a handle
  // on it, and keeps it until then.
  void Watch(ObjectId id);
  // What happened beside the calls of this process.
  struct Events {
    std::vector<ObjectId> sealed;     // watched ones, with their values
    std::vector<v1::LogLines> lines;  // what tasks printed, if `keep_lines`
    uint64_t lines_dropped = 0;       // beyond kMostLinesKept
    bool ended = false;               // the session has ended; nothing follows
  };
  // Blocks: until there is something to tell. One thread at a time.
  Events NextEvents();
  // From now on lines that tasks print are kept for NextEvents, or thrown away; before, they are
  // written to standard error.
  void KeepLines(bool keep);

  // Ends the session now, also while handles and values are left: every call fails from now on with
  // `reason`. What was sent arrives.
  void Shutdown(const std::string& reason);
  bool ended();
  // Takes the next item of a stream that this session submitted, and waits for it. Inside of a task
  // it gives the CPU back meanwhile, as Get does.
  // Requires: this process has a handle on the stream's end.
  // Returns:  the item, with one handle; nothing at the end of the stream, when all items were
  //           taken: whether it ended well is in the value of the end.
  // Errors:   DeadlineExceeded, Cancelled (`interrupted`, which may be null), NotFound (no stream,
  // or dropped),
  //           Unavailable.
  Result<std::optional<ObjectId>> NextItem(TaskId stream, Deadline deadline,
                                           const Interrupted* interrupted = nullptr);
  // True if NextItem would answer at once, be it with the end or an error.
  bool HasItem(TaskId stream);
  // Takes no more items: those that were not taken are released, and the head frees further ones.
  // To be called once for each stream; the handle on its end is released separately, and when
  // nobody has one the task is cancelled. Does nothing if there is no such stream.
  void DropStream(TaskId stream);

  void Retain(ObjectId id);
  void Release(ObjectId id);

  // --- for a TaskHost ----------------------------------------------------------------------------

  // Encodes a result: inline, or written into the store.
  // Errors: ResourceExhausted (the store is full).
  Status FillResult(const value::Parts& parts, v1::TaskResult* result);
  // Hands over item `index` of the stream that a task makes. `parts` may go when it returns.
  // Errors: ResourceExhausted (the store is full), Unavailable.
  Status SendYielded(TaskId task, uint64_t index, const value::Parts& parts);
  // From the task thread, whose stream's window is full, as the head knows by its own count: waits
  // until has_window(), which is looked at whenever PokeTaskThread is called.
  // Errors: Cancelled (the token was set), Unavailable.
  Status AwaitConsumer(TaskId task, const std::function<bool()>& has_window,
                       const std::atomic<bool>& cancelled);
  // The value of an object the head sent along with a task, alive as long as the task.
  Result<value::SharedBytes> Borrow(const v1::ObjectValue& value);
  // `more`: other results follow at once, so this one may wait for company.
  void SendFinished(v1::Finished finished, bool more);
  void SendReturned(std::span<const TaskId> tasks, bool leaving);
  // From the task thread. Blocks: until the host has a task. Returns: false if the session ended.
  bool AwaitTask();
  // Wakes the task thread if it waits: HasTask or HasNested has become true. Wakes all that wait
  // for consumers of their streams.
  void PokeTaskThread();

  const v1::Welcome& welcome() const { return welcome_; }
  const std::string& address() const { return address_; }
  shm::Segment& segment() { return *segment_; }

 private:
  Peer(std::unique_ptr<Transport> transport, std::string address, TaskHost* host);
  Status Greet(v1::Hello hello);
  Status AttachStore();
  Result<PassedStore> FetchStore() const;

  void OnFrame(v1::HeadFrame& frame) override;
  void OnEnd(const Status& reason) override;
  void OnObject(v1::ObjectValue& value);
  void OnLogLines(v1::LogLines& lines);
  void NoteSealed(ObjectId watched);
  void End(const Status& reason);
  void OnStreamItem(const v1::StreamItem& item);
  Status Disconnected() const;

  ObjectId NextIds(uint32_t count) { return MakeObjectId(session_, next_id_.fetch_add(count)); }
  Status AddArguments(std::vector<Argument> arguments, std::span<const std::string> keywords,
                      v1::Submit* submit, std::vector<ObjectId>* temporaries);
  Status FillSubmit(TaskId task, uint32_t class_id, std::vector<Argument> arguments,
                    const SubmitOptions& options, v1::Submit* submit,
                    std::vector<ObjectId>* temporaries);
  Status TakeCredit(std::unique_lock<std::mutex>& lock, size_t bytes, bool block,
                    const Interrupted* interrupted);
  Status AskActor(v1::PeerFrame& frame, uint64_t request_id, v1::ActorAnswer* answer,
                  const Interrupted* interrupted);
  void OnActorAnswer(v1::ActorAnswer& answer);
  ObjectId PutInline(value::SharedBytes bytes, const std::vector<ObjectId>& contained);

  // Waits until `needed` of the ids are there. Errors: as Get.
  Status Await(std::unique_lock<std::mutex>& lock, std::span<const ObjectId> ids, bool for_value,
               size_t needed, Deadline deadline, const Interrupted* interrupted);
  // Why a wait for these has failed at its deadline. Requires: mutex_ is held.
  Status Late(std::span<const ObjectId> ids, bool for_value);
  void SendWant(std::unique_lock<std::mutex>& lock, const std::vector<ObjectId>& pending,
                bool for_value, TaskId task, size_t needed);
  void EndBlock(TaskId task, bool done);
  Status WaitUntilDone(std::unique_lock<std::mutex>& lock, Waiter& waiter, bool in_task,
                       Deadline deadline, const Interrupted* interrupted);
  // Transport::Wait that asks `interrupted` every kInterruptPoll, without the lock.
  // Errors: DeadlineExceeded, Cancelled.
  Status WaitFor(std::unique_lock<std::mutex>& lock, std::condition_variable& wake,
                 const std::function<bool()>& done, Deadline deadline,
                 const Interrupted* interrupted);
  // The same for any condition, which must hold when the connection has ended.
  Status WaitUntil(std::unique_lock<std::mutex>& lock, Waiter& waiter, bool in_task,
                   const std::function<bool()>& there, Deadline deadline,
                   const Interrupted* interrupted);
  bool OpenStream(uint32_t class_id, TaskId stream);
  void WantEnd(TaskId stream);
  bool HasNext(TaskId stream);
  bool PollNext(std::unique_lock<std::mutex>& lock, TaskId stream);
  Status AwaitNext(std::unique_lock<std::mutex>& lock, TaskId stream, Deadline deadline,
                   const Interrupted* interrupted);
  void SendAwaitItem(std::unique_lock<std::mutex>& lock, TaskId stream, uint64_t count,
                     TaskId task);
  value::SharedBytes Share(ObjectId id, const CachedSlice& slice);

  const std::string address_;
  TaskHost* const host_;
  v1::Welcome welcome_;  // constant once connected, as the next two
  SessionNumber session_ = 0;
  std::unique_ptr<shm::Segment> segment_;
  std::atomic<uint64_t> next_id_{1};

  std::mutex mutex_;
  ObjectCache objects_;                                    // under mutex_, as all below
  std::unordered_map<std::string, uint32_t> class_ids_;    // serialized class -> id
  std::unordered_map<uint32_t, uint32_t> stream_windows_;  // of streaming classes, by id
  std::unordered_map<TaskId, IncomingStream> streams_;     // not dropped yet
  std::unordered_map<ObjectId, v1::Created*>
      creating_;  // answers awaited, on their threads' stacks
  std::condition_variable created_;
  std::unordered_map<uint64_t, v1::ActorAnswer*> asking_;  // answers awaited, as above
  std::condition_variable answered_;
  std::condition_variable credit_given_;
  int64_t credit_tasks_ = 0;
  int64_t credit_bytes_ = 0;
  bool queue_full_ = false;         // the head says so; its next credit says otherwise
  Waiter* task_waiter_ = nullptr;   // the innermost one of the task thread
  std::vector<Waiter*> producers_;  // of other threads, that wait for consumers
  Events events_;                   // not told yet
  size_t lines_kept_ = 0;           // in events_
  size_t watching_ = 0;             // objects that Watch was called for and that are not sealed
  enum class Lines { kPrint, kKeep, kDrop } lines_ = Lines::kPrint;
  std::condition_variable event_;
  bool ended_ = false;
  Status end_reason_;

  std::unique_ptr<Transport> transport_;  // last: frames come until it is gone
};

}  // namespace kiln::peer
