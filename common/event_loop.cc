#include "common/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace kiln {
namespace {

// Events taken from the kernel at once; more are taken in the next turn.
constexpr int kEventsPerTurn = 256;
// While the loop is kept awake by what it polls, descriptors are looked at this often.
constexpr Duration kLookAfter = microseconds(100);
// The bell's event; no watched descriptor has it, for generations begin at 1.
constexpr uint64_t kBellEvent = 0;

uint64_t EventData(uint32_t generation, int fd) {
  return uint64_t{generation} << 32 | static_cast<uint32_t>(fd);
}

void Check(bool holds, const char* what, int fd) {
  if (holds) return;
  std::fprintf(stderr, "event loop: %s (descriptor %d): %s\n", what, fd, std::strerror(errno));
  std::abort();
}

}  // namespace

EventLoop::EventLoop()
    : epoll_fd_(epoll_create1(EPOLL_CLOEXEC)), bell_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  Check(epoll_fd_ >= 0, "cannot make an epoll descriptor", epoll_fd_);
  Check(bell_fd_ >= 0, "cannot make an eventfd", bell_fd_);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kBellEvent;
  Check(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, bell_fd_, &event) == 0, "cannot watch", bell_fd_);
}

EventLoop::~EventLoop() {
  close(bell_fd_);
  close(epoll_fd_);
}

void EventLoop::Ring() {
  const uint64_t one = 1;
  // It can only fail when the counter is at its top: then the loop is awake anyway.
  [[maybe_unused]] const ssize_t written = write(bell_fd_, &one, sizeof one);
}

void EventLoop::TakeTurn() {
  run_waits_ = true;
  while (!TryTakeTurn()) turn_taken_.wait(true, std::memory_order_relaxed);
  run_waits_ = false;
}

void EventLoop::GiveTurn() {
  turn_taken_.store(false, std::memory_order_release);
  turn_taken_.notify_one();
}

bool EventLoop::HasPosts() {
  return posted_.With([](const Posted& posted) { return !posted.tasks.empty(); });
}

// Whoever posted while the turn was taken went away in trust that its holder looks once more.
void EventLoop::RunPostsIfFree() {
  // The thread in Run takes posts along, and needs a moment to wake: a poster that took every turn
  // would keep it from descriptors and timers.
  while (HasPosts() && !run_waits_ && TryTakeTurn()) {
    // First what was there before the post.
    bool ran = polled_ && polled_->Poll();
    ran |= RunPosted();
    if (ran && after_turn_) after_turn_();
    GiveTurn();
  }
}

void EventLoop::Post(Task task) {
  posted_.With([&](Posted& posted) { posted.tasks.push_back(std::move(task)); });
  RunPostsIfFree();
}

void EventLoop::Stop() {
  posted_.With([](Posted& posted) { posted.stop = true; });
  Ring();
}

void EventLoop::Watch(int fd, Task ready) {
  const uint32_t generation = next_generation_++;
  if (next_generation_ == 0) next_generation_ = 1;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.u64 = EventData(generation, fd);
  Check(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0, "cannot watch", fd);
  watched_[fd] = Watched{generation, std::make_shared<Task>(std::move(ready))};
}

void EventLoop::Unwatch(int fd) {
  if (watched_.erase(fd) == 0) return;
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::At(Time when, Task task) {
  const TimerId id = next_timer_++;
  timers_.emplace(std::pair(when, id), std::move(task));
  timer_times_.emplace(id, when);
  if (when < sleeps_until_) {
    sleeps_until_ = when;
    Ring();
  }
  return id;
}

void EventLoop::CancelTimer(TimerId id) {
  const auto found = timer_times_.find(id);
  if (found == timer_times_.end()) return;
  timers_.erase({found->second, id});
  timer_times_.erase(found);
}

void EventLoop::Run() {
  std::array<epoll_event, kEventsPerTurn> events;
  int count = 0;
  while (true) {
    bool ran = RunReady(std::span(events).first(static_cast<size_t>(count)));
    if (polled_ && polled_->Poll()) {
      ran = true;
      spin_.Restart();
    }
    ran |= RunPosted();
    ran |= RunTimers(Clock::now());
    if (ran && after_turn_) after_turn_();
    if (posted_.With([](Posted& posted) { return std::exchange(posted.stop, false); })) return;

    count = Await(events);
  }
}

int EventLoop::Await(std::span<epoll_event> events) {
  if (!polled_) return Sleep(events);
  if (!spin_.Yield(cores_busy_)) {
    const int count = polled_->Park() ? Sleep(events) : 0;
    polled_->Unpark();
    return count;
  }
  // The turn is kept: what is posted meanwhile is taken along at once.
  const Time now = Clock::now();
  if (now < looked_ + kLookAfter) return 0;
  looked_ = now;
  const int count = epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), 0);
  return std::max(count, 0);
}

int EventLoop::Sleep(std::span<epoll_event> events) {
  const int timeout_ms = WaitMilliseconds(Clock::now());
  sleeps_until_ = timers_.empty() ? kNever : timers_.begin()->first.first;
  GiveTurn();
  RunPostsIfFree();
  const int count =
      epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), timeout_ms);
  Check(count >= 0 || errno == EINTR, "cannot wait", epoll_fd_);
  TakeTurn();
  sleeps_until_ = Time::min();
  return std::max(count, 0);
}

int EventLoop::WaitMilliseconds(Time now) const {
  if (timers_.empty() || timers_.begin()->first.first == kNever) return -1;
  const Time due = timers_.begin()->first.first;
  if (due <= now) return 0;
  // Rounded up, or the loop would spin through the last millisecond; at most a minute, so that any
  // duration fits.
  const auto wait = std::min<Duration>(due - now, std::chrono::minutes(1));
  return static_cast<int>(std::chrono::ceil<milliseconds>(wait).count());
}

bool EventLoop::RunReady(std::span<const epoll_event> events) {
  bool ran = false;
  for (const epoll_event& event : events) {
    const uint64_t data = event.data.u64;
    if (data == kBellEvent) {
      uint64_t rings;
      [[maybe_unused]] const ssize_t got = read(bell_fd_, &rings, sizeof rings);
      continue;
    }
    const auto found = watched_.find(static_cast<int>(data & 0xffffffff));
    if (found == watched_.end() || found->second.generation != data >> 32) continue;
    const std::shared_ptr<Task> ready = found->second.ready;
    (*ready)();
    ran = true;
  }
  return ran;
}

bool EventLoop::RunPosted() {
  std::vector<Task> tasks =
      posted_.With([](Posted& posted) { return std::exchange(posted.tasks, {}); });
  for (Task& task : tasks) {
    task();
    task = nullptr;  // what it holds goes as soon as it has run
  }
  return !tasks.empty();
}

bool EventLoop::RunTimers(Time now) {
  const TimerId begun_before = next_timer_;
  bool ran = false;
  for (auto it = timers_.begin(); it != timers_.end() && it->first.first <= now;) {
    if (it->first.second >= begun_before) {
      ++it;
      continue;
    }
    const Task task = std::move(it->second);
    timer_times_.erase(it->first.second);
    timers_.erase(it);
    task();
    ran = true;
    it = timers_.begin();  // the task may have added or removed any
  }
  return ran;
}

}  // namespace kiln
