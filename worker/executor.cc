#include "worker/executor.h"

#include <algorithm>
#include <utility>

#include "worker/peer_runtime.h"

namespace kiln::worker {
namespace {

// The task thread knows itself by this, so that threads a task starts are not taken for it.
thread_local bool is_task_thread = false;

}  // namespace

void Executor::Start(std::shared_ptr<detail::Runtime> runtime) {
  std::lock_guard lock(mutex_);
  runtime_ = std::move(runtime);
  wake_.notify_all();
}

// The reading thread runs before Start, and may be told at once to give tasks back.
peer::Peer& Executor::session() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return runtime_ != nullptr; });
  return PeerOf(*runtime_);
}

void Executor::Run() {
  is_task_thread = true;
  while (session().AwaitTask()) {
    std::unique_lock lock(mutex_);
    if (leaving_) break;
    if (queue_.empty()) continue;  // recalled meanwhile
    if (!Execute(&queue_, std::move(lock))) return;
  }
  bool leaving;
  ConcurrentCalls* concurrent;
  {
    std::lock_guard lock(mutex_);
    leaving = leaving_;
    concurrent = concurrent_.get();
  }
  if (concurrent) concurrent->OnOver();
  if (leaving && language_.on_leave) language_.on_leave();
}

// --- the reading thread --------------------------------------------------------------------------

void Executor::OnTaskClass(v1::TaskClass task_class) {
  std::lock_guard lock(mutex_);
  uint32_t id = task_class.class_id();
  classes_[id] = std::make_shared<const v1::TaskClass>(std::move(task_class));
}

void Executor::OnRun(v1::Run run) {
  TaskId id = run.task_id();
  bool returned = false, nested = run.nested();
  {
    std::unique_lock lock(mutex_);
    if (exiting_) return;  // the head hears of it, and ends the call
    if (concurrent_) {
      const std::shared_ptr<const v1::TaskClass> task_class = classes_[run.class_id()];
      lock.unlock();
      if (task_class) concurrent_->Add(std::move(run), task_class->concurrency_group());
      return;
    }
    if (nested != blocked_) {
      returned = true;  // meant for a block that has ended, or came while one has begun
    } else {
      (nested ? nested_ : queue_).push_back(std::move(run));
    }
  }
  if (returned) return GiveBack(id, /*leaving=*/false);
  session().PokeTaskThread();
}

void Executor::ReturnQueued(const std::vector<TaskId>& tasks) {
  std::vector<TaskId> found;
  ConcurrentCalls* concurrent;
  {
    std::lock_guard lock(mutex_);
    concurrent = concurrent_.get();
    for (std::deque<v1::Run>* queue : {&queue_, &nested_}) {
      std::erase_if(*queue, [&](const v1::Run& run) {
        bool wanted = std::find(tasks.begin(), tasks.end(), run.task_id()) != tasks.end();
        if (wanted) found.push_back(run.task_id());
        return wanted;
      });
    }
  }
  for (TaskId task : tasks) {
    if (concurrent && concurrent->Withdraw(task)) found.push_back(task);
  }
  if (!found.empty()) session().SendReturned(found, /*leaving=*/false);
}

void Executor::OnRecall(const v1::Recall& recall) {
  ReturnQueued({recall.task_ids().begin(), recall.task_ids().end()});
}

// The queue first: a task only moves from there onto the stack.
void Executor::OnCancelTask(TaskId task) {
  ReturnQueued({task});
  bool found = false, interrupts;
  ConcurrentCalls* concurrent;
  {
    std::lock_guard lock(mutex_);
    concurrent = concurrent_.get();
    interrupts = !is_actor_;
    for (Running* running : stack_) {
      if (running->id != task) continue;
      running->cancelled = true;
      found = true;
    }
  }
  session().PokeTaskThread();  // it may wait for the consumer of its stream
  if (!found) return;
  if (concurrent) return concurrent->OnCancelled(task);
  if (interrupts && language_.on_cancel) language_.on_cancel();
}

void Executor::OnLeave() {
  {
    std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  session().PokeTaskThread();
}

void Executor::OnStreamAdvance(const v1::StreamAdvance& advance) {
  {
    std::lock_guard lock(mutex_);
    for (v1::Run& run : queue_) {
      if (run.task_id() == advance.task_id()) run.set_stream_consumed(advance.count());
    }
    for (Running* running : stack_) {
      if (running->id == advance.task_id() && running->stream) {
        running->stream->Advance(advance.count());
      }
    }
  }
  session().PokeTaskThread();
}

// --- the task thread -----------------------------------------------------------------------------

bool Executor::IsTaskThread() {
  return is_task_thread;
}

std::vector<TaskId> Executor::Empty(std::deque<v1::Run>* queue) {
  std::vector<TaskId> tasks;
  for (const v1::Run& run : *queue) tasks.push_back(run.task_id());
  queue->clear();
  return tasks;
}

// An actor's calls wait for each other, whatever one of them waits for.
std::vector<TaskId> Executor::BeginBlock() {
  std::lock_guard lock(mutex_);
  if (is_actor_) return {};
  blocked_ = true;
  return Empty(&queue_);
}

std::vector<TaskId> Executor::EndBlock() {
  std::lock_guard lock(mutex_);
  if (is_actor_) return {};
  blocked_ = false;
  return Empty(&nested_);
}

bool Executor::HasTask() {
  std::lock_guard lock(mutex_);
  return !queue_.empty() || leaving_;
}

bool Executor::HasNested() {
  std::lock_guard lock(mutex_);
  return !nested_.empty();
}

void Executor::RunNested() {
  std::unique_lock lock(mutex_);
  if (nested_.empty()) return;
  blocked_ = false;  // the nested task is the innermost one now
  // A library that is out of date is noticed by the next task that is not nested: the stack below
  // still needs this process.
  (void)Execute(&nested_, std::move(lock));
  std::lock_guard relock(mutex_);
  blocked_ = true;
}

void Executor::GiveBack(TaskId task, bool leaving) {
  session().SendReturned(std::span(&task, 1), leaving);
}

bool Executor::Execute(std::deque<v1::Run>* queue, std::unique_lock<std::mutex> lock) {
  v1::Run run = std::move(queue->front());
  queue->pop_front();
  const bool bottom = stack_.empty();
  std::unique_ptr<Running> running = BeginLocked(std::move(run));
  if (!running) return true;  // a broken head; it will find the task lost with this worker
  lock.unlock();
  const v1::TaskClass& task_class = *running->task_class;
  Prepare(*running);
  if (bottom && !task_class.method() && language_.is_stale(task_class.library())) {
    End(*running);
    Leave(running->id);
    return false;
  }
  RunHere(*running);
  return !(leave_ && bottom);
}

void Executor::Leave(TaskId first) {
  std::vector<TaskId> tasks;
  if (first != 0) tasks.push_back(first);
  {
    std::lock_guard lock(mutex_);
    for (TaskId task : Empty(&queue_)) tasks.push_back(task);
  }
  session().SendReturned(tasks, /*leaving=*/true);
}

}  // namespace kiln::worker
