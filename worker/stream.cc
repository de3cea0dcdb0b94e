#include "worker/stream.h"

#include <utility>

#include "kiln/detail/msgpack.h"
#include "kiln/detail/value.h"

namespace kiln::worker {
namespace {

// Consumed by nobody, and awaited by nobody: the head's word for a stream without a window.
constexpr uint64_t kNoWindow = ~uint64_t{0};

thread_local Stream* current_stream = nullptr;

}  // namespace

Stream::Stream(peer::Peer* peer, TaskId task, uint32_t window, uint64_t consumed,
               const std::atomic<bool>* cancelled)
    : peer_(peer), task_(task), window_(window), cancelled_(cancelled), consumed_(consumed) {}

// The same condition as in the head, which so knows without a message that the task waits.
bool Stream::WindowIsFull() const {
  const uint64_t consumed = consumed_;
  return window_ > 0 && consumed != kNoWindow && count_ >= consumed + window_;
}

Status Stream::Yield(const std::shared_ptr<value::Parts>& item) {
  if (*cancelled_) return Status(Code::kCancelled, "the task was asked to stop");
  if (Status status = peer_->SendYielded(task_, count_, *item); !status.ok()) return status;
  ++count_;
  if (!WindowIsFull()) return Status();
  return peer_->AwaitConsumer(
      task_, [this] { return !WindowIsFull(); }, *cancelled_);
}

std::shared_ptr<value::Parts> Stream::End() const {
  detail::Packer packer;
  packer.Unsigned(count_);
  return detail::MakeMsgpack(std::move(packer));
}

// Counts go up only, whatever order attempts and answers cross in.
void Stream::Advance(uint64_t count) {
  uint64_t known = consumed_;
  while (known < count && !consumed_.compare_exchange_weak(known, count)) {
  }
}

Stream* CurrentStream() {
  return current_stream;
}

StreamScope::StreamScope(Stream* stream) : outer_(std::exchange(current_stream, stream)) {}

StreamScope::~StreamScope() {
  current_stream = outer_;
}

}  // namespace kiln::worker
