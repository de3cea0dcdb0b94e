// Takes the memory of the segment's beginning ahead, in the background, so that the first large
// objects need not wait for it: a put into pages that are there takes a third of the time.
//
// Bounded: by a target, and by what the machine has left; it never takes more than it leaves.
// Not in the way: it begins when the head has been up for a while, its thread has the lowest
// priority there is (SCHED_IDLE), and it goes on only while the head is idle, which the loop looks
// at every 10 ms and grants it as much time again. Done, it costs nothing.
//
// Thread: head loop only.
// Owner:  Store.
// See:    docs/object-store.md, "Warm memory"
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "common/event_loop.h"
#include "common/shm/segment.h"

namespace kiln::store {

class Prefaulter {
 public:
  struct Options {
    uint64_t target_bytes = 0;                  // from the beginning of the segment
    std::function<bool()> is_idle;              // no task runs
    std::function<uint64_t()> available_bytes;  // of the machine's memory
    Duration delay = milliseconds(500);         // longer than a head takes to its first result
  };

  // What is taken ahead unless somebody says otherwise. A quarter of the segment, at most 1 GiB of
  // huge pages. Pages of 4 KiB have to be given back one by one when the head ends, 110 ms/GB, so
  // of these at most 256 MiB.
  static uint64_t DefaultTarget(const shm::Segment& segment);

  // Begins after `options.delay`. Requires: `segment` lives longer.
  Prefaulter(EventLoop* loop, shm::Segment* segment, Options options);
  // Blocks: for the step under way, 2 MiB at most: 0.3 ms, some ms where the machine itself is a
  // guest that has to ask for memory.
  ~Prefaulter();
  Prefaulter(const Prefaulter&) = delete;
  Prefaulter& operator=(const Prefaulter&) = delete;

  // Taken so far.
  uint64_t done_bytes() const { return done_bytes_.load(std::memory_order_relaxed); }
  // True once it will take no more: all is taken, or memory is short.
  bool has_ended() const { return has_ended_; }

 private:
  void Tick();
  bool MayWork() const;
  void Join();
  // The thread's part.
  void Work();
  bool AwaitGrant();

  EventLoop* const loop_;
  shm::Segment* const segment_;
  const Options options_;
  EventLoop::TimerId timer_ = 0;
  bool has_ended_ = false;

  std::mutex mutex_;
  std::condition_variable granted_;
  Time work_until_ = Time::min();  // guarded by mutex_
  bool stop_ = false;              // guarded by mutex_
  std::atomic<uint64_t> done_bytes_ = 0;
  std::atomic<bool> out_of_work_ = false;  // the thread has ended or is about to
  std::thread thread_;
};

}  // namespace kiln::store
