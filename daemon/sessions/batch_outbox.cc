#include "daemon/sessions/batch_outbox.h"

#include <utility>

#include "common/limits.h"

namespace kiln::sessions {

void BatchOutbox::Add(const v1::HeadFrame& frame) {
  const size_t bytes = frame.ByteSizeLong();
  if (batches_.empty() || batches_.back().size_bytes + bytes > limits::kBatchBytes ||
      static_cast<size_t>(batches_.back().frames.frames_size()) >= limits::kBatchFrames) {
    batches_.emplace_back();
  }
  *batches_.back().frames.add_frames() = frame;
  batches_.back().size_bytes += bytes;
  size_bytes_ += bytes;
}

bool BatchOutbox::Take(v1::HeadBatch* batch) {
  if (batches_.empty()) return false;
  *batch = std::move(batches_.front().frames);
  size_bytes_ -= batches_.front().size_bytes;
  batches_.pop_front();
  return true;
}

void BatchOutbox::Clear() {
  batches_.clear();
  size_bytes_ = 0;
}

}  // namespace kiln::sessions
