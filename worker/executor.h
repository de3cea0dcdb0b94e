// Runs the tasks the head sends, one at a time and in order, on a thread of their own.
//
// The thread that reads frames fills the queue, takes tasks back out when the head recalls them,
// and sets cancellation tokens; between tasks that may be the task thread itself. A task that
// blocks in Get lets the thread run nested tasks on its stack.
//
// Once the task was an actor's constructor, the process is that actor: only calls come, none is
// nested, and the queue stays while one blocks. An actor with max_concurrency hands its calls to
// CallThreads or, if its language has an event loop, to AsyncCalls; the task thread reads then.
//
// Thread: TaskHost's calls from the reading thread and the task thread, Run from the task thread.
// Owner:  RunWorker.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/ids.h"
#include "common/peer/peer.h"
#include "kiln/detail/runtime.h"
#include "kiln/v1/session.pb.h"
#include "worker/concurrent_calls.h"
#include "worker/language.h"
#include "worker/stream.h"

namespace kiln::worker {

class Executor : public peer::TaskHost, private CallRunner {
 public:
  explicit Executor(Language language = {}) : language_(std::move(language)) {}

  // Lets tasks run; what the reading thread queued before waits until then.
  void Start(std::shared_ptr<detail::Runtime> runtime);
  // Blocks: runs tasks until the session ends or a task library is out of date.
  void Run();

  void OnTaskClass(v1::TaskClass task_class) override;
  void OnRun(v1::Run run) override;
  void OnRecall(const v1::Recall& recall) override;
  void OnCancelTask(TaskId task) override;
  void OnStreamAdvance(const v1::StreamAdvance& advance) override;
  void OnLeave() override;

  TaskId TaskOfThisThread() override;
  bool IsTaskThread() override;
  std::vector<TaskId> BeginBlock() override;
  std::vector<TaskId> EndBlock() override;
  bool HasTask() override;
  bool HasNested() override;
  void RunNested() override;

 private:
  // Runs the queue's first task and reports it; no moment lies between queue and stack, in which a
  // cancellation would find it in neither. Requires: `lock` holds mutex_.
  // Returns: false if this process is to end: the task's library is out of date and the task was
  //          returned, or its outcome says so.
  bool Execute(std::deque<v1::Run>* queue, std::unique_lock<std::mutex> lock);
  // CallRunner: what both this thread and those of concurrent calls do with one.
  std::unique_ptr<Running> Begin(v1::Run run) override;
  void RunHere(Running& running) override;
  void Report(Running& running, Outcome outcome, bool more) override;
  void End(Running& running) override;

  std::unique_ptr<Running> BeginLocked(v1::Run run);
  void Prepare(Running& running);
  Outcome Invoke(Running& running);
  // This process is an actor from now on.
  void BecomeActor(const v1::TaskClass& task_class, bool serves_calls);
  // Takes these out of the queues and gives them back to the head.
  void ReturnQueued(const std::vector<TaskId>& tasks);
  void GiveBack(TaskId task, bool leaving);
  std::vector<TaskId> Empty(std::deque<v1::Run>* queue);
  // Gives back what was not begun, with `first`, unless it is 0, before it: this process ends.
  void Leave(TaskId first);
  peer::Peer& session();

  const Language language_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::shared_ptr<detail::Runtime> runtime_;  // under mutex_, as all below; constant once set
  std::unordered_map<uint32_t, std::shared_ptr<const v1::TaskClass>> classes_;
  std::deque<v1::Run> queue_;    // in the order they are run
  std::deque<v1::Run> nested_;   // for the task that is blocked
  std::vector<Running*> stack_;  // innermost last; of an actor all that run, in any order
  bool blocked_ = false;         // the innermost task waits
  std::atomic<bool> is_actor_ = false;
  std::atomic<bool> leave_ = false;  // an outcome said that this process is to end
  bool leaving_ = false;             // the head wants this actor to end
  bool exiting_ = false;             // the actor has asked for its end: no call is begun any more
  std::unique_ptr<ConcurrentCalls> concurrent_;  // set once, by the constructor
};

}  // namespace kiln::worker
