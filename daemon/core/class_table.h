// Interned classes of tasks, and what the dispatcher knows of each.
//
// Thread: head loop only.
// Owner:  Core.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <tuple>

#include "common/status.h"
#include "daemon/core/task.h"

namespace kiln::core {

// Index of a Shape.
using ShapeId = uint32_t;

// What decides where a task fits: classes that differ in name or function only share one.
struct Shape {
  ProgramId program = kLibraryHost;
  Resources resources;
  int64_t cpu_units = 0;  // of resources, those of a placement group included
  bool creation = false;  // its worker becomes an actor's
  bool grouped = false;   // resources are those of a placement group
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

  // Returns: what an actor of the class holds when it was made.
  const Resources& HeldOf(ClassId id) const { return classes_[id].held; }

  // Takes a measured run time into the moving average.
  void NoteRunTime(ClassId id, microseconds run_time);
  // Returns: how long a task of this class is expected to run, in whole us from 1, if it may be
  //          given ahead of its turn; nothing if it must not run twice, has a time-out, was not
  //          measured yet, or is longer than kPipelineWork.
  std::optional<uint16_t> AheadUs(ClassId id) const;
  // True if other tasks may be given to a worker that runs one of these.
  bool IsShort(ClassId id) const;

 private:
  struct Record {
    TaskClass task_class;
    ShapeId shape = 0;
    double mean_run_us = -1;  // below 0: not measured
    Resources held;           // of an actor
    bool repeatable = false;  // may be given ahead: it may run again and has no time-out
  };

  ShapeId InternShape(const TaskClass& task_class);

  std::deque<Record> classes_;
  std::map<TaskClass, ClassId> by_class_;
  std::deque<Shape> shapes_;
  std::map<std::tuple<ProgramId, Resources, bool>, ShapeId> by_shape_;
};

}  // namespace kiln::core
