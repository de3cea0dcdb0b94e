#include "daemon/core/ready_queue.h"

#include <algorithm>
#include <climits>

#include "common/check.h"
#include "daemon/core/session_table.h"

namespace kiln::core {
namespace {

bool Before(const Line* a, const Line* b) {
  return a->rank < b->rank;
}

}  // namespace

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

Rank Line::CurrentRank() const {
  return {-int64_t{priority}, root->cpu_units, root->last_served, root->number, head().sequence};
}

void ReadyQueue::Add(Task& task, Session& root, int priority, ShapeId shape) {
  Line* line = root.line;
  if (line == nullptr || line->priority != priority || line->shape != shape) {
    line = &lines_[Key(task.root, priority, shape)];
    line->priority = priority;
    line->shape = shape;
    line->number = root.number;
    line->root = &root;
    root.line = line;
  }
  if (line->size() == 0) {
    Mark(*line);
    ++root.lines;
  }
  ++size_;
  task.out_of_line = false;
  if (line->in_order.empty() || task.sequence > line->in_order.last()->sequence) {
    if (!line->late.empty()) Mark(*line);
    line->in_order.PushBack(task);
  } else if (task.sequence < line->in_order.first()->sequence) {
    line->in_order.PushFront(task);
    Mark(*line);
  } else {
    task.out_of_line = true;
    line->late.emplace(task.sequence, &task);
    Mark(*line);
  }
}

void ReadyQueue::Remove(Task& task, Session& root, int priority, ShapeId shape) {
  Line* line = root.line;
  if (line == nullptr || line->priority != priority || line->shape != shape) {
    auto found = lines_.find(Key(task.root, priority, shape));
    Require(found != lines_.end(), "a ready task is in no line");
    line = &found->second;
  }
  if (task.out_of_line) {
    line->late.erase({task.sequence, &task});
    task.out_of_line = false;
  } else {
    line->in_order.Remove(task);
  }
  Mark(*line);
  --size_;
  if (line->size() == 0) --root.lines;
}

void ReadyQueue::Mark(Line& line) {
  if (line.marked) return;
  line.marked = true;
  marked_.push_back(&line);
}

void ReadyQueue::Mark(Session& root) {
  if (root.lines == 0) return;
  if (root.lines == 1 && root.line && root.line->size() > 0) return Mark(*root.line);
  for (auto at = lines_.lower_bound(Key(root.number, INT_MIN, 0));
       at != lines_.end() && std::get<0>(at->first) == root.number; ++at) {
    Mark(at->second);
  }
}

void ReadyQueue::Forget(Session& root) {
  for (auto at = lines_.lower_bound(Key(root.number, INT_MIN, 0));
       at != lines_.end() && std::get<0>(at->first) == root.number; ++at) {
    at->second.root = nullptr;
  }
}

const std::vector<Line*>& ReadyQueue::Order() {
  if (!marked_.empty()) Reorder();
  return order_;
}

// Takes the marked lines out, then puts those that have tasks in their places.
void ReadyQueue::Reorder() {
  const bool few = marked_.size() * 8 < order_.size();
  if (few) {
    for (Line* line : marked_) {
      if (!line->in_place) continue;
      order_.erase(std::lower_bound(order_.begin(), order_.end(), line, Before));
    }
  } else {
    std::erase_if(order_, [](const Line* line) { return line->marked; });
  }
  for (Line* line : marked_) {
    line->marked = line->in_place = false;
    if (line->size() == 0) {
      if (line->root && line->root->line == line) line->root->line = nullptr;
      lines_.erase(lines_.find(Key(line->number, line->priority, line->shape)));
      continue;
    }
    line->rank = line->CurrentRank();
    line->in_place = true;
    if (few) {
      order_.insert(std::lower_bound(order_.begin(), order_.end(), line, Before), line);
    } else {
      order_.push_back(line);
    }
  }
  if (!few) std::sort(order_.begin(), order_.end(), Before);
  marked_.clear();
}

}  // namespace kiln::core
