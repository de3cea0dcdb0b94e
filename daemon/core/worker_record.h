// One worker process and the tasks on its stack.
//
// Thread: head loop only.
// Owner:  WorkerPool.
#pragma once

#include <memory>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "daemon/core/class_table.h"
#include "daemon/core/task_list.h"
#include "daemon/core/worker_state.h"

namespace kiln::core {

// What a blocked task waits for.
struct Block {
  uint64_t number = 0;        // names it among all blocks
  std::vector<ObjectId> ids;  // in the order asked
  size_t first_unsealed = 0;  // all before it are sealed
  uint32_t needed = 0;        // deliveries still missing; 0: it may go on
  bool any = false;           // it does not need all of them: a wait
  // Of a consumer: goes on also when `items` of `stream` were handed over.
  TaskId stream = 0;
  uint64_t items = 0;
  bool window = false;  // of a producer, whose consumer is behind; `ids` is empty
};

// One level of a worker's stack: a task that runs or is blocked, and those given ahead.
struct Frame {
  TaskList tasks;                // never empty; the first one has begun
  std::unique_ptr<Block> block;  // null: not blocked
  bool holds_resources = true;   // of the first task's class
};

struct Actor;

struct Worker {
  WorkerId id = 0;
  ProgramId program = kLibraryHost;
  WorkerState state = WorkerState::kStarting;
  SessionNumber session = 0;  // 0 before it is ready
  int64_t pid = 0;
  std::vector<Frame> stack;  // innermost last
  uint32_t assigned = 0;     // tasks on all frames, or of its actor
  uint32_t recalled = 0;     // of those, asked back
  uint64_t finished = 0;
  Actor* actor = nullptr;  // it hosts; null also when that is dead
  bool hosted = false;     // it hosts an actor or did: it is none of its program's workers
  Time progress{};         // when it was given its first task or finished one
  Time idle_since{};
  Time started_at{};
  Time start_due = kNever;  // when a starting one is given up
  Time leave_due = kNever;  // when a leaving one is killed
  // BusyWorkers: its shape and length of queue (0: not in it), and neighbours of the same.
  ShapeId busy_shape = 0;
  uint32_t busy_length = 0;
  Worker* busy_previous = nullptr;
  Worker* busy_next = nullptr;
  uint32_t ahead_us = 0;      // sum of Task::ahead_us over its tasks
  bool killed = false;        // KillWorker was decided, or it is gone
  bool start_failed = false;  // given up before it was ready, by its own fault
  bool recall_timer = false;
  bool idle_timer = false;

  bool blocked() const { return !stack.empty() && stack.back().block != nullptr; }
};

}  // namespace kiln::core
