// Worker processes by program: who is idle, who may be started, which program cannot be started.
//
// Thread: head loop only.
// Owner:  Core.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/id_table.h"
#include "common/ids.h"
#include "daemon/core/worker_record.h"

namespace kiln::core {

struct Program {
  ProgramId id = kLibraryHost;
  std::vector<Worker*> workers;  // all alive ones that host no actor, oldest first
  std::vector<Worker*> idle;     // the one idle for the longest first
  int starting = 0;              // workers in kStarting
  int leaving = 0;               // of `workers`, those in kLeaving
  int hosting = 0;               // alive ones that host an actor or did
  int actors = 0;                // of this program that are not dead
  int open_drivers = 0;          // sessions with this program
  int kept_by = 0;               // of those, the ones that keep workers of it ready
  bool shared = false;           // it hosts libraries: any session's tasks may need it again
  uint32_t sessions = 0;         // of drivers with it, open and closed
  uint64_t tasks = 0;            // unfinished ones that need it
  int failures = 0;              // starts that failed in a row
  Time failed_at{};              // the last of them
  Duration backoff{0};           // before the next start after a failed one
  Time retry_at{};               // no start before
  std::string failure;           // why the last start failed; empty: all is well

  // Those that can be counted on.
  int staying() const { return static_cast<int>(workers.size()) - leaving; }
  // Nothing needs it any more.
  bool forgettable() const {
    return id != kLibraryHost && open_drivers == 0 && tasks == 0 && workers.empty() &&
           hosting == 0 && actors == 0;
  }
};

class WorkerPool {
 public:
  Program& ProgramOf(ProgramId id);
  const std::map<ProgramId, Program>& programs() const { return programs_; }
  std::map<ProgramId, Program>& programs() { return programs_; }

  // Returns: a new starting worker.
  Worker& Insert(ProgramId program);
  // Returns: null if there is none.
  Worker* Find(WorkerId id);
  const Worker* Find(WorkerId id) const;
  // Requires: its stack is empty.
  void Erase(Worker& worker);
  // The only place where a worker's state changes. Requires: MayMove, or no change.
  void Move(Worker& worker, WorkerState to, Time now);

  const std::map<WorkerId, Worker>& all() const { return workers_; }
  std::map<WorkerId, Worker>& all() { return workers_; }
  int alive() const { return static_cast<int>(workers_.size()); }
  // Those that run tasks: what the cap is about.
  int alive_for_tasks() const { return alive() - hosting_; }
  // Those of them on their way out: room for others comes.
  int leaving_for_tasks() const { return leaving_; }
  int in_state(WorkerState state) const { return counts_[static_cast<size_t>(state)]; }

  // The worker hosts an actor from now on. Requires: idle.
  void Host(Worker& worker, Time now);

  // Returns: the worker that is idle for the longest, of another program than `besides`, with
  // `keep_host` not the last library host; null if there is none.
  Worker* LongestIdle(ProgramId besides, bool keep_host);

 private:
  struct Entry {
    uint64_t id = 0;
    Worker* worker = nullptr;
  };
  std::map<WorkerId, Worker> workers_;
  IdTable<Entry> index_;  // of workers_
  std::map<ProgramId, Program> programs_;
  int counts_[kWorkerStates] = {};
  int hosting_ = 0;
  int leaving_ = 0;
  WorkerId last_id_ = 0;
};

}  // namespace kiln::core
