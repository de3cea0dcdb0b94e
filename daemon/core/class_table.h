// Interned classes of tasks, and what the dispatcher knows of each.
//
// Thread: head loop only.
// Owner:  Core.
#pragma once

#include <deque>
#include <map>
#include <utility>

#include "common/status.h"
#include "daemon/core/task.h"

namespace kiln::core {

// Index of a Shape.
using ShapeId = uint32_t;

// What decides where a task fits: classes that differ in name or function only share one.
struct Shape {
  ProgramId program = kLibraryHost;
  Resources resources;
  int64_t cpu_units = 0;  // of resources
};

class ClassTable {
 public:
  // See Core::InternClass.
  Result<ClassId> Intern(TaskClass task_class);

  bool Has(ClassId id) const { return id < classes_.size(); }
  // Requires: Has(id). The address stays.
  const TaskClass& Get(ClassId id) const { return classes_[id].task_class; }
  ShapeId ShapeOf(ClassId id) const { return classes_[id].shape; }
  const Shape& GetShape(ShapeId id) const { return shapes_[id]; }
  const Shape& ShapeOfClass(ClassId id) const { return shapes_[classes_[id].shape]; }

  // Takes a measured run time into the moving average.
  void NoteRunTime(ClassId id, microseconds run_time);
  // How many tasks of this class one worker may be given at a time, the running one included; 1
  // for those that must not run ahead of their turn or were not measured yet.
  uint32_t PipelineDepth(ClassId id) const;

 private:
  struct Record {
    TaskClass task_class;
    ShapeId shape = 0;
    double mean_run_us = -1;  // below 0: not measured
  };

  ShapeId InternShape(const TaskClass& task_class);

  std::deque<Record> classes_;
  std::map<TaskClass, ClassId> by_class_;
  std::deque<Shape> shapes_;
  std::map<std::pair<ProgramId, Resources>, ShapeId> by_shape_;
};

}  // namespace kiln::core
