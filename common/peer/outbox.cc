#include "common/peer/outbox.h"

#include <utility>

#include "common/limits.h"

namespace kiln::peer {

Outbox::Outbox(Link* link) : link_(link), thread_([this] { RunThread(); }) {}

Outbox::~Outbox() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Outbox::Append(v1::PeerFrame frame, Urgency urgency, bool may_block) {
  size_t bytes = frame.ByteSizeLong();
  std::unique_lock lock(mutex_);
  if (may_block && pending_bytes_ > kMaxPendingBytes) {
    FlushLocked(lock);
    room_.wait(lock, [&] { return pending_bytes_ <= kMaxPendingBytes || broken_; });
  }
  if (broken_) return;
  *pending_.add_frames() = std::move(frame);
  pending_bytes_ += bytes;
  if (urgency == Urgency::kNow || pending_bytes_ >= limits::kBatchBytes ||
      static_cast<size_t>(pending_.frames_size()) >= limits::kBatchFrames) {
    FlushLocked(lock);
    return;
  }
  Time due = Clock::now() + (urgency == Urgency::kSoon ? kSoonDelay : kLazyDelay);
  if (due >= due_) return;
  due_ = due;
  if (due_ < sleeps_until_) {
    sleeps_until_ = due_;  // one wake is enough
    lock.unlock();
    wake_.notify_one();
  }
}

void Outbox::Flush() {
  std::unique_lock lock(mutex_);
  FlushLocked(lock);
}

void Outbox::FlushLocked(std::unique_lock<std::mutex>& lock) {
  if (writing_) return;  // the one that writes takes the rest along
  while (pending_.frames_size() > 0 && !broken_) {
    writing_ = true;
    pending_.Swap(&written_);
    pending_bytes_ = 0;
    due_ = kNever;
    lock.unlock();
    bool ok = link_->Write(written_);
    written_.mutable_frames()->Clear();  // keeps the frames' memory for the next batch
    lock.lock();
    writing_ = false;
    if (!ok) broken_ = true;
    room_.notify_all();
  }
}

void Outbox::RunThread() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (due_ == kNever) {
      sleeps_until_ = kNever;
      wake_.wait(lock);
    } else if (Clock::now() < due_) {
      sleeps_until_ = due_;
      wake_.wait_until(lock, due_);
    } else {
      due_ = kNever;
      FlushLocked(lock);
    }
  }
  FlushLocked(lock);
}

}  // namespace kiln::peer
