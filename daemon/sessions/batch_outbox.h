// Frames on their way to a peer over a transport that sends batches.
//
// Thread: head loop only.
#pragma once

#include <cstddef>
#include <deque>

#include "kiln/v1/session.pb.h"

namespace kiln::sessions {

class BatchOutbox {
 public:
  void Add(const v1::HeadFrame& frame);
  // Moves the oldest batch to `batch`. Returns: false if there is none.
  bool Take(v1::HeadBatch* batch);
  void Clear();
  // Of all frames that were added and not taken.
  size_t size_bytes() const { return size_bytes_; }

 private:
  struct Batch {
    v1::HeadBatch frames;
    size_t size_bytes = 0;
  };
  std::deque<Batch> batches_;  // oldest first; only the last one grows
  size_t size_bytes_ = 0;
};

}  // namespace kiln::sessions
