// One call, on any thread: its arguments are taken in, it runs, its outcome is reported.
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <utility>

#include "common/value/error_value.h"
#include "worker/executor.h"
#include "worker/invoke.h"
#include "worker/peer_runtime.h"

namespace kiln::worker {
namespace {

// Unknown to threads that a task starts.
thread_local TaskId task_of_this_thread = 0;

}  // namespace

TaskId Executor::TaskOfThisThread() {
  return task_of_this_thread;
}

std::unique_ptr<Running> Executor::Begin(v1::Run run) {
  std::unique_ptr<Running> running;
  {
    std::lock_guard lock(mutex_);
    running = BeginLocked(std::move(run));
  }
  if (running) Prepare(*running);
  return running;
}

// Requires: mutex_ is held.
// Returns:  null for a class that the head never told.
std::unique_ptr<Running> Executor::BeginLocked(v1::Run run) {
  auto running = std::make_unique<Running>();
  running->id = run.task_id();
  running->task_class = classes_[run.class_id()];
  if (!running->task_class) return nullptr;
  const v1::TaskClass& task_class = *running->task_class;
  if (task_class.streaming()) {
    // What it would wait for may be below it on the stack.
    const uint32_t window = run.nested() ? 0 : task_class.stream_window();
    running->stream.emplace(&PeerOf(*runtime_), running->id, window, run.stream_consumed(),
                            &running->cancelled);
  }
  running->run = std::move(run);
  stack_.push_back(running.get());
  return running;
}

void Executor::End(Running& running) {
  std::lock_guard lock(mutex_);
  std::erase(stack_, &running);
}

// Reads the arguments, which stay as long as the call does.
void Executor::Prepare(Running& running) {
  const v1::TaskClass& task_class = *running.task_class;
  running.readable = running.list.ParseFromString(running.run.args());
  for (v1::Arg& arg : *running.list.mutable_args()) {
    v1::ObjectValue value;
    if (arg.arg_case() == v1::Arg::kValue) {
      value.set_value(std::move(*arg.mutable_value()));
    } else if (arg.ref_index() < static_cast<uint32_t>(running.run.refs_size())) {
      value = running.run.refs(static_cast<int>(arg.ref_index()));
    } else {
      running.readable = false;
    }
    Result<value::SharedBytes> bytes = session().Borrow(std::move(value));
    if (bytes.ok()) running.arguments.push_back(std::move(*bytes));
    running.readable = running.readable && bytes.ok();
  }
  Invocation& invocation = running.invocation;
  invocation.callee = task_class.has_actor() ? Callee::kConstructor
                      : task_class.method()  ? Callee::kMethod
                                             : Callee::kFunction;
  invocation.library = task_class.library();
  invocation.function = task_class.function();
  invocation.name = task_class.name();
  invocation.arguments = running.arguments;
  invocation.keywords = {running.list.keywords().begin(), running.list.keywords().end()};
  invocation.num_returns = task_class.num_returns();
  invocation.num_cpus = task_class.resources().num_cpus();
  invocation.any_language = task_class.any_language();
  invocation.task = running.id;
  invocation.attempt = running.run.attempt();
  invocation.runtime = runtime_;
  invocation.cancelled = &running.cancelled;
  invocation.stream = running.stream ? &*running.stream : nullptr;
  running.start = Clock::now();
}

// A method that may throw and run again does so before the next call, so that the order is kept.
Outcome Executor::Invoke(Running& running) {
  Outcome outcome = language_.invoke(running.invocation);
  const v1::TaskClass& task_class = *running.task_class;
  const bool repeats = task_class.method() && task_class.retry_exceptions() && !running.stream;
  const int64_t most = task_class.max_retries() < 0 ? INT64_MAX : task_class.max_retries();
  while (repeats && outcome.error && outcome.retryable && !outcome.actor_exits &&
         running.invocation.attempt < most && !running.cancelled) {
    ++running.invocation.attempt;
    outcome = language_.invoke(running.invocation);
  }
  return outcome;
}

void Executor::RunHere(Running& running) {
  Outcome outcome;
  if (running.readable) {
    TaskId outer = std::exchange(task_of_this_thread, running.id);
    running.start = Clock::now();
    outcome = Invoke(running);
    task_of_this_thread = outer;
  } else {
    outcome.error = ErrorInfo{.kind = ErrorKind::kInvalidArguments,
                              .message = "the arguments cannot be read",
                              .task = running.task_class->name(),
                              .worker_pid = getpid()};
  }
  // What it printed without an end of line, or to an unsynced std::cout, belongs to this task.
  std::cout.flush();
  std::fflush(stdout);
  bool more, bottom;
  {
    std::lock_guard lock(mutex_);
    more = !queue_.empty();
    bottom = stack_.size() == 1;
  }
  const bool leave = outcome.leave;
  const bool serves_calls = outcome.serves_calls;
  const bool constructed = running.invocation.callee == Callee::kConstructor && !outcome.error;
  if (constructed) BecomeActor(*running.task_class, serves_calls);
  Report(running, std::move(outcome), more);
  End(running);
  if (leave && bottom && !is_actor_) {
    leave_ = true;
    Leave(0);
  }
}

void Executor::BecomeActor(const v1::TaskClass& task_class, bool serves_calls) {
  const v1::ActorOptions& options = task_class.actor();
  std::lock_guard lock(mutex_);
  is_actor_ = true;
  if (serves_calls) {
    concurrent_ = MakeAsyncCalls(this, language_);
  } else if (options.max_concurrency() > 1 || options.concurrency_groups_size() > 0) {
    concurrent_ = MakeCallThreads(this, language_, options);
  }
}

void Executor::Report(Running& running, Outcome outcome, bool more) {
  v1::Finished finished;
  finished.set_task_id(running.id);
  finished.set_run_us(static_cast<uint64_t>(
      std::chrono::duration_cast<microseconds>(Clock::now() - running.start).count()));
  finished.set_actor_repr(outcome.actor_repr);
  finished.set_actor_exits(outcome.actor_exits);
  if (outcome.actor_exits) {
    std::lock_guard lock(mutex_);
    exiting_ = true;
    queue_.clear();
  }
  // What the function of a streaming task returns is no item: its end is their number.
  if (!outcome.error && running.stream) outcome.results = {running.stream->End()};
  if (!outcome.error) {
    for (const std::shared_ptr<value::Parts>& parts : outcome.results) {
      Status status = session().FillResult(*parts, finished.add_results());
      if (status.ok()) continue;
      outcome.error = ErrorInfo{.kind = ErrorKind::kObjectStoreFull,
                                .message = status.message(),
                                .task = running.task_class->name(),
                                .worker_pid = getpid()};
      outcome.retryable = true;
      break;
    }
  }
  if (outcome.error) {
    // The error comes first; the head drops room that was made for results before it.
    google::protobuf::RepeatedPtrField<v1::TaskResult> made;
    made.Swap(finished.mutable_results());
    finished.add_results()->set_value(EncodeError(*outcome.error));
    for (v1::TaskResult& result : made) {
      if (result.result_case() == v1::TaskResult::kCreatedId) {
        finished.add_results()->set_created_id(result.created_id());
      }
    }
    finished.set_failed(true);
    finished.set_retryable(outcome.retryable);
  }
  // The results, whose refs must not be released before the report is queued, go after this.
  session().SendFinished(std::move(finished), more);
}

}  // namespace kiln::worker
