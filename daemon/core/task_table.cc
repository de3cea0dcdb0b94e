#include "daemon/core/task_table.h"

#include <utility>

#include "common/check.h"
#include "common/limits.h"

namespace kiln::core {

Task& TaskTable::Insert(TaskId id) {
  Task& task = tasks_.Insert(id);
  task.sequence = ++last_sequence_;
  ++counts_[static_cast<size_t>(TaskState::kWaiting)];
  return task;
}

void TaskTable::Erase(Task& task) {
  Require(task.state >= TaskState::kFinished, "an unfinished task is forgotten");
  tasks_.Erase(task);
}

void TaskTable::Move(Task& task, TaskState to) {
  Require(MayMove(task.state, to), "a task makes a move that its table does not have");
  --counts_[static_cast<size_t>(task.state)];
  ++counts_[static_cast<size_t>(to)];
  task.state = to;
}

void TaskTable::Remember(EndedTask&& ended) {
  if (ended_.size() < limits::kFinishedTasksKept) return ended_.push_back(std::move(ended));
  ended_[oldest_ended_] = std::move(ended);
  oldest_ended_ = (oldest_ended_ + 1) % ended_.size();
}

}  // namespace kiln::core
