// Ready tasks in lines: one per priority, root and shape, each in order of submission.
//
// The dispatcher looks at the first task of each line, so a decision costs as many steps as there
// are lines, however long they are.
//
// Thread: head loop only.
// Owner:  Core; tasks belong to TaskTable.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "daemon/core/class_table.h"
#include "daemon/core/task_list.h"

namespace kiln::core {

struct Line {
  int priority = 0;
  SessionNumber root = kHeadSession;
  ShapeId shape = 0;
  // Tasks that came in order; those that came late (a retry, arguments sealed late) stand aside, so
  // that neither costs a search.
  TaskList in_order;
  std::set<std::pair<uint64_t, Task*>> late;  // by sequence
  // How often the head was passed by for lack of resources.
  uint32_t bypasses = 0;
  uint64_t bypassed_sequence = 0;  // of the task the count is about

  size_t size() const { return in_order.size() + late.size(); }
  // Requires: the line is not empty, as all in the queue are.
  Task& head() const;
  void CountBypass();
  uint32_t BypassesOfHead() const;
};

class ReadyQueue {
 public:
  // Keyed so that higher priorities come first.
  using Key = std::tuple<int64_t, SessionNumber, ShapeId>;

  void Add(Task& task, int priority, ShapeId shape);
  // Requires: the task is queued with these.
  void Remove(Task& task, int priority, ShapeId shape);

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  // Lines that have tasks, by falling priority, then by root and shape.
  std::map<Key, Line>& lines() { return lines_; }
  const std::map<Key, Line>& lines() const { return lines_; }

 private:
  static Key KeyOf(const Task& task, int priority, ShapeId shape) {
    return {-int64_t{priority}, task.root, shape};
  }

  std::map<Key, Line> lines_;
  size_t size_ = 0;
};

}  // namespace kiln::core
