// Unfinished tasks by id, how many are in which state, and the last ones that ended.
//
// Thread: head loop only.
// Owner:  Core.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/id_table.h"
#include "daemon/core/task_record.h"

namespace kiln::core {

// A task that ended, for lists.
struct EndedTask {
  TaskId id = 0;
  ClassId task_class = 0;
  SessionNumber session = 0;
  uint32_t attempt = 0;
  TaskState state = TaskState::kFinished;
  int64_t pid = 0;
  microseconds run_time{0};
  Time submitted{};
  Time ended{};
  std::string detail;  // the error, for people
};

// When a task must have ended. Few tasks have one.
struct Deadlines {
  Time timeout = kNever;
  Time kill = kNever;
};

class TaskTable {
 public:
  Task* Find(TaskId id) { return tasks_.Find(id); }
  const Task* Find(TaskId id) const { return tasks_.Find(id); }
  // Requires: unknown id.
  // Returns:  a new waiting task with the next sequence number.
  Task& Insert(TaskId id);
  // Requires: in an end state.
  void Erase(Task& task);
  // The only place where a task's state changes. Requires: MayMove.
  void Move(Task& task, TaskState to);

  size_t size() const { return tasks_.size(); }
  size_t HeapBytes() const { return tasks_.HeapBytes(); }
  // Unfinished tasks in a state; ended ones since the start.
  uint64_t in_state(TaskState state) const { return counts_[static_cast<size_t>(state)]; }
  template <typename Visit>
  void ForEach(Visit visit) const {
    tasks_.ForEach(visit);
  }

  // Keeps the last limits::kFinishedTasksKept.
  void Remember(EndedTask&& ended);
  // visit(ended) newest first; false stops.
  template <typename Visit>
  void VisitEnded(Visit visit) const {
    for (size_t i = ended_.size(); i-- > 0;) {
      if (!visit(ended_[(oldest_ended_ + i) % ended_.size()])) return;
    }
  }

 private:
  IdTable<Task> tasks_;
  uint64_t counts_[kTaskStates] = {};
  uint64_t last_sequence_ = 0;
  std::vector<EndedTask> ended_;  // a ring, once it is full
  size_t oldest_ended_ = 0;
};

}  // namespace kiln::core
