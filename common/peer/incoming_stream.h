// A stream that this process consumes: items that have come and were not taken yet.
//
// Thread: guarded by Peer's mutex.
// Owner:  Peer.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <vector>

#include "common/ids.h"

namespace kiln::peer {

struct IncomingStream {
  uint32_t window = 0;         // of its task class; 0: the head need not know what is taken
  std::deque<ObjectId> items;  // oldest first, one handle each
  uint64_t received = 0;       // since the beginning
  uint64_t told = 0;           // that the head knows to be taken
  std::vector<std::condition_variable*> waiting;  // threads, for the next item

  uint64_t taken() const { return received - items.size(); }
  // The producer need not stop while every other message is saved.
  bool report_due() const {
    return window > 0 && taken() - told >= std::max<uint64_t>(1, window / 2);
  }
};

}  // namespace kiln::peer
