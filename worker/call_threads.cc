#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "worker/concurrent_calls.h"

namespace kiln::worker {
namespace {

class CallThreads : public ConcurrentCalls {
 public:
  CallThreads(CallRunner* runner, const Language& language, const v1::ActorOptions& options)
      : runner_(runner), on_thread_(language.on_thread) {
    groups_[""].most = std::max<uint32_t>(options.max_concurrency(), 1);
    for (const auto& [name, most] : options.concurrency_groups()) {
      groups_[name].most = std::max<uint32_t>(most, 1);
    }
  }

  void Add(v1::Run run, const std::string& name) override {
    std::unique_lock lock(mutex_);
    auto found = groups_.find(name);
    Group& group = found == groups_.end() ? groups_[""] : found->second;
    group.queue.push_back(std::move(run));
    if (group.idle >= group.queue.size() || group.threads == group.most) {
      return group.wake.notify_one();
    }
    ++group.threads;
    lock.unlock();
    std::thread([this, &group] { on_thread_([&] { Work(group); }); }).detach();
  }

  bool Withdraw(TaskId call) override {
    std::lock_guard lock(mutex_);
    for (auto& [name, group] : groups_) {
      const size_t removed =
          std::erase_if(group.queue, [&](const v1::Run& run) { return run.task_id() == call; });
      if (removed > 0) return true;
    }
    return false;
  }

  void OnCancelled(TaskId) override {}  // a method looks at its token
  void OnOver() override {}             // the process ends under its threads

 private:
  struct Group {
    uint32_t most = 1;
    uint32_t threads = 0;
    size_t idle = 0;  // threads that wait for a call
    std::deque<v1::Run> queue;
    std::condition_variable wake;
  };

  [[noreturn]] void Work(Group& group) {
    std::unique_lock lock(mutex_);
    while (true) {
      ++group.idle;
      group.wake.wait(lock, [&] { return !group.queue.empty(); });
      --group.idle;
      v1::Run run = std::move(group.queue.front());
      group.queue.pop_front();
      // Begun before anybody can look for it in the queue again.
      std::unique_ptr<Running> running = runner_->Begin(std::move(run));
      lock.unlock();
      if (running) runner_->RunHere(*running);
      running.reset();
      lock.lock();
    }
  }

  CallRunner* const runner_;
  const std::function<void(const std::function<void()>&)> on_thread_;
  std::mutex mutex_;
  std::map<std::string, Group> groups_;  // by name; constant but for what is in them
};

}  // namespace

std::unique_ptr<ConcurrentCalls> MakeCallThreads(CallRunner* runner, const Language& language,
                                                 const v1::ActorOptions& options) {
  return std::make_unique<CallThreads>(runner, language, options);
}

}  // namespace kiln::worker
