#include "daemon/core/ready_queue.h"

#include "common/check.h"

namespace kiln::core {

Task& Line::head() const {
  Task* first = in_order.first();
  if (late.empty()) return *first;
  Task* earliest = late.begin()->second;
  return first && first->sequence < earliest->sequence ? *first : *earliest;
}

void Line::CountBypass() {
  const uint64_t sequence = head().sequence;
  bypasses = bypassed_sequence == sequence ? bypasses + 1 : 1;
  bypassed_sequence = sequence;
}

uint32_t Line::BypassesOfHead() const {
  return bypassed_sequence == head().sequence ? bypasses : 0;
}

void ReadyQueue::Add(Task& task, int priority, ShapeId shape) {
  Line& line = lines_[KeyOf(task, priority, shape)];
  if (line.size() == 0) {
    line.priority = priority;
    line.root = task.root;
    line.shape = shape;
  }
  ++size_;
  task.out_of_line = false;
  if (line.in_order.empty() || task.sequence > line.in_order.last()->sequence) {
    line.in_order.PushBack(task);
  } else if (task.sequence < line.in_order.first()->sequence) {
    line.in_order.PushFront(task);
  } else {
    task.out_of_line = true;
    line.late.emplace(task.sequence, &task);
  }
}

void ReadyQueue::Remove(Task& task, int priority, ShapeId shape) {
  auto found = lines_.find(KeyOf(task, priority, shape));
  Require(found != lines_.end(), "a ready task is in no line");
  Line& line = found->second;
  if (task.out_of_line) {
    line.late.erase({task.sequence, &task});
    task.out_of_line = false;
  } else {
    line.in_order.Remove(task);
  }
  --size_;
  if (line.size() == 0) lines_.erase(found);
}

}  // namespace kiln::core
