#include "daemon/core/worker_pool.h"

#include "common/check.h"

namespace kiln::core {

Program& WorkerPool::ProgramOf(ProgramId id) {
  Program& program = programs_[id];
  program.id = id;
  return program;
}

Worker& WorkerPool::Insert(ProgramId program) {
  Worker& worker = workers_[++last_id_];
  worker.id = last_id_;
  index_.Insert(worker.id).worker = &worker;
  worker.program = program;
  Program& owner = ProgramOf(program);
  owner.workers.push_back(&worker);
  ++owner.starting;
  ++counts_[static_cast<size_t>(WorkerState::kStarting)];
  return worker;
}

Worker* WorkerPool::Find(WorkerId id) {
  Entry* entry = index_.Find(id);
  return entry ? entry->worker : nullptr;
}

const Worker* WorkerPool::Find(WorkerId id) const {
  const Entry* entry = index_.Find(id);
  return entry ? entry->worker : nullptr;
}

void WorkerPool::Erase(Worker& worker) {
  Require(worker.stack.empty(), "a worker with tasks is forgotten");
  Move(worker, WorkerState::kLost, {});
  --counts_[static_cast<size_t>(WorkerState::kLost)];
  Program& program = ProgramOf(worker.program);
  if (worker.hosted) {
    --program.hosting;
    --hosting_;
  } else {
    std::erase(program.workers, &worker);
  }
  index_.Erase(*index_.Find(worker.id));
  workers_.erase(worker.id);
}

void WorkerPool::Move(Worker& worker, WorkerState to, Time now) {
  const WorkerState from = worker.state;
  if (from == to) return;
  Require(MayMove(from, to), "a worker makes a move that its table does not have");
  --counts_[static_cast<size_t>(from)];
  ++counts_[static_cast<size_t>(to)];
  Program& program = ProgramOf(worker.program);
  if (from == WorkerState::kStarting) --program.starting;
  if (from == WorkerState::kIdle) std::erase(program.idle, &worker);
  if (!worker.hosted && from == WorkerState::kLeaving) {
    --program.leaving;
    --leaving_;
  }
  if (!worker.hosted && to == WorkerState::kLeaving) {
    ++program.leaving;
    ++leaving_;
  }
  if (to == WorkerState::kIdle) {
    program.idle.push_back(&worker);
    worker.idle_since = now;
  }
  worker.state = to;
}

void WorkerPool::Host(Worker& worker, Time now) {
  Move(worker, WorkerState::kActor, now);
  Program& program = ProgramOf(worker.program);
  std::erase(program.workers, &worker);
  worker.hosted = true;
  ++program.hosting;
  ++hosting_;
}

Worker* WorkerPool::LongestIdle(ProgramId besides, bool keep_host) {
  Worker* longest = nullptr;
  for (auto& [id, program] : programs_) {
    if (id == besides || program.idle.empty()) continue;
    if (keep_host && id == kLibraryHost && program.staying() == 1) continue;
    Worker* first = program.idle.front();
    if (longest == nullptr || first->idle_since < longest->idle_since) longest = first;
  }
  return longest;
}

}  // namespace kiln::core
