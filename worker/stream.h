// The stream that a task makes: hands items over to the session that submitted the task.
//
// Thread: Yield from the task's own; Advance from the thread that reads.
// Owner:  Executor, for the time of the call.
// See:    docs/wire.md, "Streams".
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "common/ids.h"
#include "common/peer/peer.h"
#include "common/status.h"
#include "common/value/value.h"

namespace kiln::worker {

class Stream {
 public:
  // `window`: items handed over and not consumed at which Yield waits; 0: no bound. `consumed`: by
  // earlier attempts. `cancelled` outlives the stream.
  Stream(peer::Peer* peer, TaskId task, uint32_t window, uint64_t consumed,
         const std::atomic<bool>* cancelled);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Hands the next item over.
  // Blocks:  while the window is full; the CPU is given back meanwhile.
  // Errors:  Cancelled (the task was asked to stop; the item may or may not have been handed over),
  //          ResourceExhausted (the store is full; the item was not), Unavailable (the session has
  //          ended).
  Status Yield(const std::shared_ptr<value::Parts>& item);

  // Yield may wait.
  bool has_window() const { return window_ > 0; }

  // The consumer has taken `count` items, over all attempts.
  void Advance(uint64_t count);

  // The value of the stream's end, if the function did not fail: the number of items.
  std::shared_ptr<value::Parts> End() const;

 private:
  bool WindowIsFull() const;

  peer::Peer* const peer_;
  const TaskId task_;
  const uint32_t window_;
  const std::atomic<bool>* const cancelled_;
  uint64_t count_ = 0;
  std::atomic<uint64_t> consumed_;
};

// The stream that the innermost task of this thread makes; null if it makes none.
Stream* CurrentStream();

// While it lives, CurrentStream is this one.
class StreamScope {
 public:
  explicit StreamScope(Stream* stream);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  Stream* const outer_;
};

}  // namespace kiln::worker
