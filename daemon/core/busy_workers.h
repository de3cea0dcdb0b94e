// Busy workers by shape and length of their queue: who may be given a task ahead of its turn, and
// who has most to give back. No search, however many workers there are.
//
// In it are the workers that run one task, unblocked, of which nothing was asked back. One that has
// made no progress for too long is taken out when it is met, and stands in again when its queue
// changes.
//
// Thread: head loop only.
// Owner:  Core; workers belong to WorkerPool.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "common/limits.h"
#include "daemon/core/class_table.h"
#include "daemon/core/worker_record.h"

namespace kiln::core {

class BusyWorkers {
 public:
  // Puts the worker where it belongs: at the length of its only frame's queue, or out (0).
  void Place(Worker& worker, ShapeId shape, size_t length);
  void Remove(Worker& worker) { Place(worker, worker.busy_shape, 0); }

  // Returns: the worker with the shortest queue among those that run tasks of the shape; null if
  //          there is none. The one that was placed last, if several are.
  Worker* Shortest(ShapeId shape) const;
  Worker* Longest(ShapeId shape) const;
  // Tasks given ahead to all of the shape.
  size_t Ahead(ShapeId shape) const;
  // Shapes of which some worker has at least two tasks.
  const std::set<ShapeId>& shapes_ahead() const { return shapes_ahead_; }

 private:
  static constexpr size_t kLengths = limits::kMaxPipelined + 1;

  struct Lengths {
    std::array<Worker*, kLengths> first = {};
    std::array<uint64_t, (kLengths + 63) / 64> used = {};  // bit by length: first is not null
    size_t ahead = 0;
  };

  std::vector<std::unique_ptr<Lengths>> by_shape_;  // null: never had one
  std::set<ShapeId> shapes_ahead_;
};

}  // namespace kiln::core
