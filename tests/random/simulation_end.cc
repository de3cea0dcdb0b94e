// The end of the world: what is under way ends, everybody lets go, nothing may be left.
#include <utility>

#include "tests/random/simulation.h"

namespace kiln::core {

void Simulation::Drain() {
  draining_ = true;
  Pump();  // what the last step may have left to be carried out
  SealAll();
  EndJobs();
  int idle_ticks = 0;
  for (;;) {
    const Totals totals = core_.GetTotals();
    if (totals.tasks_waiting + totals.tasks_ready + totals.tasks_running == 0) break;
    if (EndJobs() || StepBusyProcess() || ConsumeAny()) {
      idle_ticks = 0;
    } else if ((++idle_ticks > 50 || core_.NextTimer() == kNever) &&
               (EndHolder() || RemoveGroupThatHolds())) {
      idle_ticks = 0;  // it held what others wait for, as long as it lives
    } else {
      Check(core_.NextTimer() != kNever && idle_ticks < 100, "deadlock: nothing moves");
      Tick();
      Pump();
    }
  }
  Check(ended_ == submitted_, "tasks did not end");
  RemoveGroups();  // somebody may wait for one that was not its turn yet
  while (StepBusyProcess()) {
  }
  for (const auto& [key, count] : wanted_) Check(count == 0, "a wanted object was not delivered");
  LetGo();
  const Totals totals = core_.GetTotals();
  Check(totals.actors == 0, std::to_string(totals.actors) + " actors are left over");
  Check(totals.objects == 0, std::to_string(totals.objects) + " objects are left over");
  Check(slices_.empty(), "slices are left over");
  Check(totals.used.FitsIn(Resources()), "resources are left over");
}

void Simulation::SealAll() {
  for (Driver& driver : drivers_) {
    for (ObjectId id : std::exchange(driver.creating, {})) {
      Check(core_.OnObjectSealed(driver.session, id, {}, now_).ok(), "refuses a seal");
      driver.held.push_back(id);
      Pump();
    }
  }
}

// Ends the jobs that run. Returns: false if there is none.
bool Simulation::EndJobs() {
  const std::set<JobId> jobs = std::exchange(jobs_running_, {});
  for (JobId job : jobs) {
    core_.OnJobEnded(job, now_);
    Pump();
  }
  return !jobs.empty();
}

// Lets one worker that has something to do go on. Returns: false if there is none.
bool Simulation::StepBusyProcess() {
  std::vector<WorkerId> busy;
  for (const auto& [id, process] : processes_) {
    if (Busy(process)) busy.push_back(id);
  }
  if (busy.empty()) return false;
  const WorkerId id = busy[static_cast<size_t>(Number(static_cast<int>(busy.size())))];
  StepProcess(processes_.at(id), true);
  Pump();
  return true;
}

// Everybody gives back what is held; workers that are too many end.
void Simulation::LetGo() {
  for (Driver& driver : drivers_) Release(driver.session, std::exchange(driver.held, {}));
  while (!drivers_.empty()) {
    CloseDriver(0);
    Pump();
  }
  Release(kHeadSession, std::exchange(head_held_, {}));
  EndActors();
  for (JobId job : std::set<JobId>(jobs_waiting_)) core_.OnJobEnded(job, now_);
  Pump();
  EndJobs();  // that began as the last task ended
  for (int i = 0; i < 200; ++i) {
    Tick();
    Pump();
    while (StepBusyProcess()) {
    }
  }
  Check(processes_.size() <= static_cast<size_t>(options_.num_workers), "workers are left over");
}

}  // namespace kiln::core
