// The head's loop: one thread that owns all state; everything else posts to it.
//
// A turn: wait for descriptors, timers or posts; run what is due; then run the `after_turn` hook,
// which carries out decisions and flushes what the turn produced, so that work batches by itself.
// Of posts and timers a turn runs those that were there when it began, so none can starve the rest.
//
// What lies in shared memory is told by no descriptor: it is polled in every turn, and for a short
// while after the last of it the loop yields instead of sleeping (common/shm/bell.h).
//
// Thread: Post and Stop from any; all else from the loop's own thread, or before Run.
// Owner:  main.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/guarded.h"
#include "common/shm/bell.h"

namespace kiln {

class EventLoop {
 public:
  using Task = std::function<void()>;
  using TimerId = uint64_t;  // 0 is no timer

  // Requires: the process may open two descriptors more (checked).
  EventLoop();
  // What was posted, watched or timed and has not run is dropped.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs `task` in a turn, in the order posted: before Post returns if no turn is under way or
  // wanted, which this thread then takes.
  void Post(Task task);
  // Ends Run after the current turn; called before Run, after the first one.
  void Stop();

  // Calls `ready` whenever `fd` is readable or hung up, until Unwatch. Level-triggered.
  // Requires: fd is open, can be polled, and is not watched yet (checked).
  void Watch(int fd, Task ready);
  // Safe for a descriptor that is not watched, and from inside its own callback. Call it before
  // closing the descriptor.
  void Unwatch(int fd);

  // Calls `task` once, not before `when`; up to a millisecond later on an idle loop.
  TimerId At(Time when, Task task);
  // Safe for a timer that has fired.
  void CancelTimer(TimerId id);

  // Shared memory to be looked at. Calls come from whoever holds the turn.
  class Polled {
   public:
    virtual ~Polled() = default;
    // Carries out what has come, a bounded part of it. Returns: true if there was anything.
    virtual bool Poll() = 0;
    // The loop is about to sleep: from now on a descriptor tells. Returns: false if something has
    // come already.
    virtual bool Park() = 0;
    // The loop is awake.
    virtual void Unpark() = 0;
  };
  // One at most; it outlives the loop's turns, or is taken back with null.
  void set_polled(Polled* polled) { polled_ = polled; }
  // From now on the loop yields only for a moment before it sleeps: others have work for all cores.
  void set_cores_busy(bool busy) { cores_busy_ = busy; }

  // Called at the end of each turn in which anything ran.
  void set_after_turn(Task after_turn) { after_turn_ = std::move(after_turn); }

  // Runs turns until Stop.
  void Run();

 private:
  struct Posted {
    std::vector<Task> tasks;
    bool stop = false;
  };
  struct Watched {
    // Tells a descriptor from an earlier one of the same number, whose event may still be in hand.
    uint32_t generation;
    std::shared_ptr<Task> ready;  // shared: it may unwatch itself while it runs
  };

  // Whoever holds the turn may touch all that is not posted_; one thread at a time.
  bool TryTakeTurn() { return !turn_taken_.exchange(true, std::memory_order_acquire); }
  void TakeTurn();
  void GiveTurn();
  // Runs posts while there are any and no other thread holds the turn.
  void RunPostsIfFree();

  void Ring();
  bool HasPosts();
  // Waits for descriptors, posts, timers or what is polled. Returns: how many events there are.
  int Await(std::span<epoll_event> events);
  int Sleep(std::span<epoll_event> events);
  int WaitMilliseconds(Time now) const;
  // Each returns whether anything ran.
  bool RunPosted();
  bool RunTimers(Time now);
  bool RunReady(std::span<const epoll_event> events);

  int epoll_fd_;
  int bell_fd_;  // eventfd
  Guarded<Posted> posted_;
  std::atomic<bool> run_waits_ = false;  // the thread in Run wants the turn: posts are left to it
  std::atomic<bool> turn_taken_ = true;  // by the thread that made the loop, until Run
  Time sleeps_until_ = Time::min();      // the thread in Run wakes by itself then; min: it is awake
  std::unordered_map<int, Watched> watched_;         // by descriptor
  std::map<std::pair<Time, TimerId>, Task> timers_;  // by time, then by age
  std::unordered_map<TimerId, Time> timer_times_;    // of those in timers_
  TimerId next_timer_ = 1;
  uint32_t next_generation_ = 1;
  Task after_turn_;
  Polled* polled_ = nullptr;
  shm::Spin spin_;
  bool cores_busy_ = false;
  Time looked_ = Time::min();  // at the descriptors
};

}  // namespace kiln
