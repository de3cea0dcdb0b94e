// How far the stream of an unfinished streaming task has come.
//
// Thread: head loop only.
// Owner:  Core.
// See:    docs/scheduling.md, "Streams"; D34 in docs/decisions.md.
#pragma once

#include <cstdint>

#include "common/ids.h"
#include "daemon/core/task.h"

namespace kiln::core {

struct Stream {
  uint64_t produced = 0;  // items of this attempt
  uint64_t handed = 0;    // to the consumer, over all attempts
  uint64_t consumed = 0;  // as the consumer says; at most `handed`
  WorkerId waiter = 0;    // worker of the consumer, if a task of it has waited for an item
  bool dropped = false;   // items are freed: the consumer wants no more, or is the head

  // What the producer is to know.
  uint64_t told() const { return dropped ? kNoWindow : consumed; }
};

}  // namespace kiln::core
