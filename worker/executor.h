// Runs the tasks the head sends, one at a time and in order, on a thread of their own.
//
// The thread that reads frames fills the queue, takes tasks back out when the head recalls them,
// and sets cancellation tokens; between tasks that may be the task thread itself. A task that
// blocks in Get lets the thread run nested tasks on its stack.
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
#include "worker/language.h"
#include "worker/stream.h"

namespace kiln::worker {

class Executor : public peer::TaskHost {
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

  TaskId TaskOfThisThread() override;
  std::vector<TaskId> BeginBlock() override;
  std::vector<TaskId> EndBlock() override;
  bool HasTask() override;
  bool HasNested() override;
  void RunNested() override;

 private:
  struct Running {
    TaskId id;
    std::atomic<bool> cancelled{false};
    std::optional<Stream> stream = {};  // of a streaming task
  };

  // Runs the queue's first task and reports it; no moment lies between queue and stack, in which a
  // cancellation would find it in neither. Requires: `lock` holds mutex_.
  // Returns: false if this process is to end: the task's library is out of date and it was
  // returned,
  //          or its outcome says so.
  bool Execute(std::deque<v1::Run>* queue, std::unique_lock<std::mutex> lock);
  // What a call left: the report, and the results it speaks of, whose refs must not be released
  // before the report is queued.
  struct Report {
    v1::Finished finished;
    std::vector<std::shared_ptr<value::Parts>> results;
    bool leave = false;
  };
  Report Call(v1::Run& run, const v1::TaskClass& task_class, Running& running);
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
  std::vector<Running*> stack_;  // innermost last
  bool blocked_ = false;         // the innermost task waits
};

}  // namespace kiln::worker
