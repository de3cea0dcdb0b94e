// Tasks in a row, linked through themselves: a line of the ready queue, or a worker's queue. A task
// is in one at a time.
//
// Thread: head loop only.
// Owner:  Line or Frame; tasks belong to TaskTable.
#pragma once

#include <cstddef>

#include "daemon/core/task_record.h"

namespace kiln::core {

class TaskList {
 public:
  bool empty() const { return first_ == nullptr; }
  size_t size() const { return size_; }
  // Null if empty. On from there by Task::next and Task::previous.
  Task* first() const { return first_; }
  Task* last() const { return last_; }

  // Requires: the task is in no list.
  void PushBack(Task& task) {
    task.previous = last_;
    task.next = nullptr;
    (last_ ? last_->next : first_) = &task;
    last_ = &task;
    ++size_;
  }
  void PushFront(Task& task) {
    task.previous = nullptr;
    task.next = first_;
    (first_ ? first_->previous : last_) = &task;
    first_ = &task;
    ++size_;
  }
  // `before`: in this list; null: the task becomes the first. Requires: the task is in no list.
  void InsertAfter(Task* before, Task& task) {
    if (before == last_) return PushBack(task);
    if (before == nullptr) return PushFront(task);
    task.previous = before;
    task.next = before->next;
    before->next->previous = &task;
    before->next = &task;
    ++size_;
  }
  // Requires: the task is in this list.
  void Remove(Task& task) {
    (task.previous ? task.previous->next : first_) = task.next;
    (task.next ? task.next->previous : last_) = task.previous;
    task.previous = task.next = nullptr;
    --size_;
  }

 private:
  Task* first_ = nullptr;
  Task* last_ = nullptr;
  size_t size_ = 0;
};

}  // namespace kiln::core
