#include <sys/eventfd.h>
#include <unistd.h>

#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "common/check.h"
#include "worker/concurrent_calls.h"

namespace kiln::worker {
namespace {

class AsyncCall : public ActorCall {
 public:
  AsyncCall(CallRunner* runner, std::unique_ptr<Running> running)
      : runner_(runner), running_(std::move(running)) {}

  const Invocation& invocation() const override { return running_->invocation; }
  const std::string& concurrency_group() const override {
    return running_->task_class->concurrency_group();
  }
  void Finish(Outcome outcome) override {
    runner_->Report(*running_, std::move(outcome), /*more=*/false);
    runner_->End(*running_);
  }

 private:
  CallRunner* const runner_;
  const std::unique_ptr<Running> running_;
};

class AsyncCalls : public ConcurrentCalls, private ActorCalls {
 public:
  AsyncCalls(CallRunner* runner, const Language& language)
      : runner_(runner), fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    Require(fd_ >= 0, "no eventfd for an actor's calls");
    std::thread([this, serve = language.serve] { serve(*this); }).detach();
  }

  void Add(v1::Run run, const std::string&) override {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(run));
    if (queue_.size() == 1) Signal();
  }
  bool Withdraw(TaskId call) override {
    std::lock_guard lock(mutex_);
    return std::erase_if(queue_, [&](const v1::Run& run) { return run.task_id() == call; }) > 0;
  }
  void OnCancelled(TaskId call) override {
    std::lock_guard lock(mutex_);
    cancelled_.push_back(call);
    Signal();
  }
  void OnOver() override {
    std::lock_guard lock(mutex_);
    over_ = true;
    Signal();
  }

 private:
  int fd() const override { return fd_; }
  std::vector<std::shared_ptr<ActorCall>> Take() override {
    std::vector<std::shared_ptr<ActorCall>> calls;
    std::lock_guard lock(mutex_);
    uint64_t signals;
    (void)!read(fd_, &signals, sizeof signals);
    // Begun under the lock: a cancellation finds a call in the queue or among those that run.
    for (v1::Run& run : std::exchange(queue_, {})) {
      std::unique_ptr<Running> running = runner_->Begin(std::move(run));
      if (!running) continue;  // a broken head
      if (running->readable) {
        calls.push_back(std::make_shared<AsyncCall>(runner_, std::move(running)));
      } else {
        runner_->RunHere(*running);  // says so
      }
    }
    return calls;
  }
  std::vector<TaskId> TakeCancelled() override {
    std::lock_guard lock(mutex_);
    return std::exchange(cancelled_, {});
  }
  bool over() const override {
    std::lock_guard lock(mutex_);
    return over_;
  }

  void Signal() {
    const uint64_t one = 1;
    (void)!write(fd_, &one, sizeof one);
  }

  CallRunner* const runner_;
  const int fd_;
  mutable std::mutex mutex_;
  std::deque<v1::Run> queue_;
  std::vector<TaskId> cancelled_;
  bool over_ = false;
};

}  // namespace

std::unique_ptr<ConcurrentCalls> MakeAsyncCalls(CallRunner* runner, const Language& language) {
  return std::make_unique<AsyncCalls>(runner, language);
}

}  // namespace kiln::worker
