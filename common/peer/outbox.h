// Frames on their way to the head, sent in batches without making any one wait.
//
// A frame that somebody waits for is written at once by its own thread, with all that was queued
// before it. Others are written by the outbox's thread after a short time, or when a batch is full.
// While a write is under way, everything queued meanwhile goes into the next one.
//
// Thread: any.
// Owner:  Peer.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "common/clock.h"
#include "common/peer/link.h"
#include "common/peer/transport.h"
#include "kiln/v1/session.pb.h"

namespace kiln::peer {

class Outbox {
 public:
  // A futex wake costs 8 us and the woken thread is there 24 us later, so a shorter delay would
  // only make the batches smaller; 100 us at 1 M submits/s is a batch of 100.
  static constexpr Duration kSoonDelay = microseconds(100);
  static constexpr Duration kLazyDelay = milliseconds(2);
  // Bytes queued behind a write that does not finish. Beyond it Append blocks.
  static constexpr size_t kMaxPendingBytes = size_t{16} << 20;

  explicit Outbox(Link* link);
  // Writes what is queued, unless the link has ended, and joins the thread.
  ~Outbox();

  // Blocks: beyond kMaxPendingBytes, unless `may_block` is false (the thread that reads).
  void Append(v1::PeerFrame frame, Urgency urgency, bool may_block = true);
  // Sends everything queued; returns once it is written or another thread is writing it.
  void Flush();

 private:
  void FlushLocked(std::unique_lock<std::mutex>& lock);
  void RunThread();

  Link* const link_;
  std::mutex mutex_;
  std::condition_variable wake_;  // the thread's: something is due earlier than it sleeps
  std::condition_variable room_;  // appenders': a write has ended
  v1::PeerBatch pending_;         // under mutex_, as all below
  v1::PeerBatch written_;         // belongs to whoever set writing_
  size_t pending_bytes_ = 0;
  Time due_ = kNever;           // when pending_ must be on its way
  Time sleeps_until_ = kNever;  // the thread's next look by itself
  bool writing_ = false;
  bool broken_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace kiln::peer
