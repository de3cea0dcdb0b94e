// One unfinished task, packed: a million of them may be queued.
//
// Thread: head loop only.
// Owner:  TaskTable.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "daemon/core/task.h"
#include "daemon/core/task_state.h"

namespace kiln::core {

struct Actor;
struct Object;
struct Task;
struct Worker;

// A waiting task's link in the list of those that wait for one object.
struct Dependency {
  Task* task = nullptr;
  Object* object = nullptr;  // null: sealed
  Dependency* previous = nullptr;
  Dependency* next = nullptr;
};

// The refs of a task that has any. Each is pinned until the task ends.
struct Arguments {
  std::vector<ObjectId> ids;                   // refs, then nested refs
  uint32_t refs = 0;                           // how many of them are waited for
  uint32_t unsealed = 0;                       // of those
  std::unique_ptr<Dependency[]> dependencies;  // one per ref; only while some are unsealed
};

struct Task {
  TaskId id = 0;
  TaskId parent = 0;
  uint64_t sequence = 0;  // order of submission, over all sessions
  Time submitted{};
  std::string args;
  std::unique_ptr<Arguments> arguments;  // null: no refs
  Worker* worker = nullptr;              // that has it; set in kAssigned and kBlocked
  Actor* actor = nullptr;                // it is a call of, or the constructor of
  // List of the submitting session's unfinished tasks, in order of submission.
  Task* session_previous = nullptr;
  Task* session_next = nullptr;
  // TaskList: a line of the ready queue, or the queue of the worker that has it.
  Task* previous = nullptr;
  Task* next = nullptr;
  ClassId task_class = 0;
  SessionNumber session = kHeadSession;  // that submitted it
  SessionNumber root = kHeadSession;     // driver on whose behalf it runs
  uint32_t attempt = 0;
  uint16_t ahead_us = 0;  // run time expected when it was given ahead of its turn; 0: it was not
  TaskState state = TaskState::kWaiting;
  bool cancel_asked : 1 = false;  // ends as cancelled unless it finishes first
  bool kill_asked : 1 = false;    // by a forced cancel
  bool timed_out : 1 = false;     // ends as timed out unless it finishes first
  bool recalled : 1 = false;      // its worker was asked to give it back
  bool has_deadline : 1 = false;  // see Deadlines
  bool out_of_line : 1 = false;   // in Line::late, not in the list
  bool is_call : 1 = false;       // of `actor`; else, with one, its constructor
  bool by_actor : 1 = false;      // submitted by an actor
};

// 1 M queued no-op tasks must stay under 350 bytes each, objects and references included.
static_assert(sizeof(Task) <= 144, "grows the memory of every queued task");

}  // namespace kiln::core
