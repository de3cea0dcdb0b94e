#include "daemon/core/busy_workers.h"

#include <bit>

namespace kiln::core {

void BusyWorkers::Place(Worker& worker, ShapeId shape, size_t length) {
  if (worker.busy_length == length && (worker.busy_shape == shape || length == 0)) return;
  if (worker.busy_length > 0) {
    Lengths& from = *by_shape_[worker.busy_shape];
    const size_t old = worker.busy_length;
    (worker.busy_previous ? worker.busy_previous->busy_next : from.first[old]) = worker.busy_next;
    if (worker.busy_next) worker.busy_next->busy_previous = worker.busy_previous;
    if (from.first[old] == nullptr) from.used[old / 64] &= ~(uint64_t{1} << old % 64);
    from.ahead -= old - 1;
    if (old > 1 && from.ahead == 0) shapes_ahead_.erase(worker.busy_shape);
  }
  worker.busy_shape = shape;
  worker.busy_length = static_cast<uint32_t>(length);
  worker.busy_previous = worker.busy_next = nullptr;
  if (length == 0) return;
  if (by_shape_.size() <= shape) by_shape_.resize(shape + 1);
  if (!by_shape_[shape]) by_shape_[shape] = std::make_unique<Lengths>();
  Lengths& to = *by_shape_[shape];
  worker.busy_next = to.first[length];
  if (worker.busy_next) worker.busy_next->busy_previous = &worker;
  to.first[length] = &worker;
  to.used[length / 64] |= uint64_t{1} << length % 64;
  if (length > 1 && to.ahead == 0) shapes_ahead_.insert(shape);
  to.ahead += length - 1;
}

Worker* BusyWorkers::Shortest(ShapeId shape) const {
  if (shape >= by_shape_.size() || !by_shape_[shape]) return nullptr;
  const Lengths& lengths = *by_shape_[shape];
  for (size_t i = 0; i < lengths.used.size(); ++i) {
    const auto bit = static_cast<size_t>(std::countr_zero(lengths.used[i]));
    if (bit < 64) return lengths.first[i * 64 + bit];
  }
  return nullptr;
}

Worker* BusyWorkers::Longest(ShapeId shape) const {
  if (shape >= by_shape_.size() || !by_shape_[shape]) return nullptr;
  const Lengths& lengths = *by_shape_[shape];
  for (size_t i = lengths.used.size(); i-- > 0;) {
    const auto zeros = static_cast<size_t>(std::countl_zero(lengths.used[i]));
    if (zeros < 64) return lengths.first[i * 64 + 63 - zeros];
  }
  return nullptr;
}

size_t BusyWorkers::Ahead(ShapeId shape) const {
  return shape < by_shape_.size() && by_shape_[shape] ? by_shape_[shape]->ahead : 0;
}

}  // namespace kiln::core
