// What the core wants done. The head carries decisions out in order, at the end of each turn.
//
// Thread: plain data.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/ids.h"
#include "daemon/core/task.h"
#include "daemon/core/value.h"

namespace kiln::core {

// Start a process for `program`; it becomes known as `worker`.
struct StartWorker {
  WorkerId worker;
  ProgramId program;
};

// Kill the process at once (SIGKILL). OnWorkerLost follows from the process layer.
struct KillWorker {
  WorkerId worker;
  std::string why;  // for the log
};

// Tell an idle worker to leave. OnWorkerLost follows when its process has ended; the core gives it
// no more tasks.
struct RetireWorker {
  WorkerId worker;
};

// Tell the worker that its actor is to end. OnWorkerLost follows when its process has ended.
struct EndActor {
  WorkerId worker;
};

// Send the task to the worker. Its record (Core::FindTask) and the values of its refs
// (Core::FindObject) are there and stay until the task ends; a call may have ended meanwhile.
struct RunTask {
  WorkerId worker;
  TaskId task;
  bool nested;  // on the stack of the task that is blocked there
};

// Ask the worker for tasks it has not begun; OnTasksReturned follows with those it had not.
struct RecallTasks {
  WorkerId worker;
  std::vector<TaskId> tasks;
};

// Ask the worker to set the task's cancellation token, or to return it if it has not begun.
struct CancelTask {
  WorkerId worker;
  TaskId task;
};

// Tell the session that an object it wanted is sealed (Core::FindObject; it is there now and, with
// a value wanted, stays while the session holds a reference).
struct DeliverObject {
  SessionNumber session;
  ObjectId object;
  bool with_value;
};

// Tell the session that an object it wanted will never be: it is unknown.
struct DeliverLost {
  SessionNumber session;
  ObjectId object;
  bool with_value;
};

// Tell the session that an item of a stream it consumes is there; it holds a reference.
struct HandItem {
  SessionNumber session;
  TaskId task;
  uint64_t index;
  ObjectId object;
};

// Tell the worker how many items the consumer of its task's stream has taken.
struct AdvanceStream {
  WorkerId worker;
  TaskId task;
  uint64_t count;  // kNoWindow: the window no longer applies
};

// Give the slice back to the arena.
struct FreeSlice {
  Slice slice;
};

// Let the session submit more; 0 and 0: the queue is full, more follows when there is room.
struct GrantCredit {
  SessionNumber session;
  uint64_t tasks;
  uint64_t bytes;
};

// Start a job's process.
struct StartJob {
  JobId job;
};

// Nothing needs the program any more: no driver, task or worker. `sessions`: how many drivers with
// it were opened since it was first needed, or since the last ForgetProgram.
struct ForgetProgram {
  ProgramId program;
  uint32_t sessions;
};

// Most of what many tasks and objects took was freed: give it back to the system.
struct GiveBack {};

// For the head's log.
struct TaskEnded {
  TaskId task;
  ClassId task_class;
  bool failed;
  std::string detail;  // of a failed one
};

using Decision = std::variant<StartWorker, KillWorker, RetireWorker, EndActor, RunTask, RecallTasks,
                              CancelTask, DeliverObject, DeliverLost, HandItem, AdvanceStream,
                              FreeSlice, GrantCredit, StartJob, ForgetProgram, GiveBack, TaskEnded>;

}  // namespace kiln::core
