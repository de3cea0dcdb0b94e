#include "daemon/core/ready_queue.h"

#include "common/check.h"

namespace kiln::core {

Task& Line::head() const {
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
  if (line.size == 0) {
    line.priority = priority;
    line.root = task.root;
    line.shape = shape;
  }
  ++line.size;
  ++size_;
  task.line_previous = task.line_next = nullptr;
  task.out_of_line = false;
  if (line.first == nullptr) {
    line.first = line.last = &task;
  } else if (task.sequence > line.last->sequence) {
    task.line_previous = line.last;
    line.last = line.last->line_next = &task;
  } else if (task.sequence < line.first->sequence) {
    task.line_next = line.first;
    line.first = line.first->line_previous = &task;
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
    (task.line_previous ? task.line_previous->line_next : line.first) = task.line_next;
    (task.line_next ? task.line_next->line_previous : line.last) = task.line_previous;
  }
  task.line_previous = task.line_next = nullptr;
  --size_;
  if (--line.size == 0) lines_.erase(found);
}

}  // namespace kiln::core
