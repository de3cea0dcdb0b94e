#include "worker/executor.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <utility>

#include "common/value/error_value.h"
#include "worker/invoke.h"
#include "worker/peer_runtime.h"

namespace kiln::worker {
namespace {

// The task thread knows itself by this, so that threads a task starts are not taken for it.
thread_local TaskId task_of_this_thread = 0;

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
  while (session().AwaitTask()) {
    std::unique_lock lock(mutex_);
    if (queue_.empty()) continue;  // recalled meanwhile
    if (!Execute(&queue_, std::move(lock))) return;
  }
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
    std::lock_guard lock(mutex_);
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
  {
    std::lock_guard lock(mutex_);
    for (std::deque<v1::Run>* queue : {&queue_, &nested_}) {
      std::erase_if(*queue, [&](const v1::Run& run) {
        bool wanted = std::find(tasks.begin(), tasks.end(), run.task_id()) != tasks.end();
        if (wanted) found.push_back(run.task_id());
        return wanted;
      });
    }
  }
  if (!found.empty()) session().SendReturned(found, /*leaving=*/false);
}

void Executor::OnRecall(const v1::Recall& recall) {
  ReturnQueued({recall.task_ids().begin(), recall.task_ids().end()});
}

// The queue first: a task only moves from there onto the stack.
void Executor::OnCancelTask(TaskId task) {
  ReturnQueued({task});
  bool found = false;
  {
    std::lock_guard lock(mutex_);
    for (Running* running : stack_) {
      if (running->id != task) continue;
      running->cancelled = true;
      found = true;
    }
  }
  session().PokeTaskThread();  // it may wait for the consumer of its stream
  if (found && language_.on_cancel) language_.on_cancel();
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

TaskId Executor::TaskOfThisThread() {
  return task_of_this_thread;
}

std::vector<TaskId> Executor::Empty(std::deque<v1::Run>* queue) {
  std::vector<TaskId> tasks;
  for (const v1::Run& run : *queue) tasks.push_back(run.task_id());
  queue->clear();
  return tasks;
}

std::vector<TaskId> Executor::BeginBlock() {
  std::lock_guard lock(mutex_);
  blocked_ = true;
  return Empty(&queue_);
}

std::vector<TaskId> Executor::EndBlock() {
  std::lock_guard lock(mutex_);
  blocked_ = false;
  return Empty(&nested_);
}

bool Executor::HasTask() {
  std::lock_guard lock(mutex_);
  return !queue_.empty();
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
  Running running{run.task_id()};
  std::shared_ptr<const v1::TaskClass> task_class = classes_[run.class_id()];
  bool bottom = stack_.empty();
  if (task_class && task_class->streaming()) {
    // What it would wait for may be below it on the stack.
    const uint32_t window = run.nested() ? 0 : task_class->stream_window();
    running.stream.emplace(&PeerOf(*runtime_), running.id, window, run.stream_consumed(),
                           &running.cancelled);
  }
  stack_.push_back(&running);
  lock.unlock();
  bool stale = bottom && task_class && language_.is_stale(task_class->library());
  Report report;
  if (!stale && task_class) {
    TaskId outer = std::exchange(task_of_this_thread, running.id);
    report = Call(run, *task_class, running);
    task_of_this_thread = outer;
    // What it printed without an end of line, or to an unsynced std::cout, belongs to this task.
    std::cout.flush();
    std::fflush(stdout);
  }
  bool more;
  {
    std::lock_guard lock(mutex_);
    stack_.pop_back();
    more = !queue_.empty();
  }
  if (!task_class) return true;  // a broken head; it will find the task lost with this worker
  if (stale) {
    Leave(running.id);
    return false;
  }
  session().SendFinished(std::move(report.finished), more);
  if (report.leave && bottom) Leave(0);
  return !report.leave || !bottom;
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

Executor::Report Executor::Call(v1::Run& run, const v1::TaskClass& task_class, Running& running) {
  Report report;
  v1::Finished& finished = report.finished;
  finished.set_task_id(run.task_id());
  auto fail = [&](const ErrorInfo& error, bool retryable) {
    // The error comes first; the head drops room that was made for results before it.
    google::protobuf::RepeatedPtrField<v1::TaskResult> made;
    made.Swap(finished.mutable_results());
    finished.add_results()->set_value(EncodeError(error));
    for (v1::TaskResult& result : made) {
      if (result.result_case() == v1::TaskResult::kCreatedId) {
        finished.add_results()->set_created_id(result.created_id());
      }
    }
    finished.set_failed(true);
    finished.set_retryable(retryable);
  };
  auto error = [&](ErrorKind kind, const std::string& message) {
    return ErrorInfo{
        .kind = kind, .message = message, .task = task_class.name(), .worker_pid = getpid()};
  };

  v1::ArgList list;
  std::vector<value::SharedBytes> arguments;
  bool readable = list.ParseFromString(run.args());
  for (v1::Arg& arg : *list.mutable_args()) {
    v1::ObjectValue value;
    if (arg.arg_case() == v1::Arg::kValue) {
      value.set_value(std::move(*arg.mutable_value()));
    } else if (arg.ref_index() < static_cast<uint32_t>(run.refs_size())) {
      value = run.refs(static_cast<int>(arg.ref_index()));
    } else {
      readable = false;
    }
    Result<value::SharedBytes> bytes = session().Borrow(std::move(value));
    if (bytes.ok()) arguments.push_back(std::move(*bytes));
    readable = readable && bytes.ok();
  }
  if (!readable) {
    fail(error(ErrorKind::kInvalidArguments, "the arguments cannot be read"), false);
    return report;
  }

  Invocation invocation;
  invocation.library = task_class.library();
  invocation.function = task_class.function();
  invocation.name = task_class.name();
  invocation.arguments = arguments;
  invocation.keywords = {list.keywords().begin(), list.keywords().end()};
  invocation.num_returns = task_class.num_returns();
  invocation.num_cpus = task_class.resources().num_cpus();
  invocation.task = run.task_id();
  invocation.attempt = run.attempt();
  invocation.runtime = runtime_;
  invocation.cancelled = &running.cancelled;
  invocation.stream = running.stream ? &*running.stream : nullptr;
  Time start = Clock::now();
  Outcome outcome = language_.invoke(invocation);
  report.leave = outcome.leave;
  finished.set_run_us(static_cast<uint64_t>(
      std::chrono::duration_cast<microseconds>(Clock::now() - start).count()));
  if (outcome.error) {
    fail(*outcome.error, outcome.retryable);
    return report;
  }
  // What the function of a streaming task returns is no item: its end is their number.
  if (running.stream) outcome.results = {running.stream->End()};
  for (const std::shared_ptr<value::Parts>& parts : outcome.results) {
    if (Status status = session().FillResult(*parts, finished.add_results()); !status.ok()) {
      fail(error(ErrorKind::kObjectStoreFull, status.message()), true);
      return report;
    }
  }
  report.results = std::move(outcome.results);
  return report;
}

}  // namespace kiln::worker
