// Ready tasks in lines: one per priority, root and shape, each in order of submission.
//
// The dispatcher looks at the first task of each line, so a decision costs as many steps as there
// are lines that do not fit, however long they are. The order of the lines is kept from one
// decision to the next: what changed is put in its place again, all others stay.
//
// Thread: head loop only.
// Owner:  Core; tasks belong to TaskTable.
#pragma once

#include <compare>
#include <cstddef>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "daemon/core/class_table.h"
#include "daemon/core/task_list.h"

namespace kiln::core {

struct Session;

// Whose turn it is, smallest first: by falling priority, then the root whose tasks hold the fewest
// CPUs, then the one served the longest ago, then by order of submission.
struct Rank {
  int64_t falling_priority = 0;
  int64_t cpu_units = 0;
  uint64_t last_served = 0;
  SessionNumber root = kHeadSession;
  uint64_t sequence = 0;
  auto operator<=>(const Rank&) const = default;
};

struct Line {
  int priority = 0;
  SessionNumber number = 0;  // of the root
  Session* root = nullptr;   // null: has ended; the line is empty then
  ShapeId shape = 0;
  // Tasks that came in order; those that came late (a retry, arguments sealed late) stand aside, so
  // that neither costs a search.
  TaskList in_order;
  std::set<std::pair<uint64_t, Task*>> late;  // by sequence
  // How often the head was passed by for lack of resources.
  uint32_t bypasses = 0;
  uint64_t bypassed_sequence = 0;  // of the task the count is about
  // ReadyQueue's own.
  Rank rank;              // when it was put in its place
  bool in_place = false;  // stands in the order
  bool marked = false;    // its place is to be looked up again

  size_t size() const { return in_order.size() + late.size(); }
  // Requires: the line is not empty, as all in the order are.
  Task& head() const;
  void CountBypass();
  uint32_t BypassesOfHead() const;
  Rank CurrentRank() const;
};

class ReadyQueue {
 public:
  using Key = std::tuple<SessionNumber, int, ShapeId>;  // root, priority

  // `root`: session of task.root.
  void Add(Task& task, Session& root, int priority, ShapeId shape);
  // Requires: the task is queued with these.
  void Remove(Task& task, Session& root, int priority, ShapeId shape);
  // CPUs or last_served of the session changed.
  void Mark(Session& root);
  // The session ends. Requires: it is the root of no task.
  void Forget(Session& root);

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  // Lines that have tasks, in the order in which they are to be served; valid until the queue or a
  // rank changes.
  const std::vector<Line*>& Order();
  // For checks: all lines, those that have run empty since Order included.
  const std::map<Key, Line>& lines() const { return lines_; }
  const std::vector<Line*>& last_order() const { return order_; }

  // Some head may have been passed by; cleared by whoever finds that none is.
  bool any_bypassed = false;

 private:
  void Mark(Line& line);
  void Reorder();

  std::map<Key, Line> lines_;
  std::vector<Line*> order_;   // by Line::rank; those in_place
  std::vector<Line*> marked_;  // each once
  size_t size_ = 0;
};

}  // namespace kiln::core
