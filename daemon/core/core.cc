#include "daemon/core/core.h"

#include <utility>

#include "daemon/core/core_state.h"

namespace kiln::core {

Core::Core(CoreOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Core::~Core() = default;

Core::State::State(CoreOptions options) : options(std::move(options)) {
  free = this->options.total;
  sessions.Insert(kHeadSession);
  workers.ProgramOf(kLibraryHost);
}

std::vector<Decision> Core::TakeDecisions() {
  return std::exchange(state_->decisions, {});
}

bool Core::OnCarriedOut() {
  if (state_->kept.empty()) return false;
  state_->Begin(state_->now);
  state_->Settle();
  return true;
}

void Core::OnStart(Time now) {
  state_->Begin(now);
  state_->started = true;
  state_->Finish();
}

void Core::OnTimer(Time now) {
  state_->Begin(now);
  while (auto timer = state_->timers.TakeDue(now)) state_->RunTimer(*timer);
  state_->Finish();
}

Time Core::NextTimer() const {
  return state_->timers.NextDue();
}

void Core::State::Begin(Time time) {
  now = time;
  for (ObjectId id : std::exchange(kept, {})) {
    Object* object = objects.Find(id);
    if (object == nullptr) continue;
    object->kept = false;
    FreeIfUnwanted(*object);
  }
}

void Core::State::Finish() {
  do {
    Settle();
  } while (Dispatch());
  GrantStarved();
  ForgetPrograms();
}

void Core::State::Settle() {
  while (!failing.empty() || !unwanted.empty()) {
    // In order, so that a chain of errors names its tasks in the order they failed.
    for (TaskId id : std::exchange(failing, {})) {
      if (Task* task = tasks.Find(id)) FailByArgument(*task);
    }
    for (ObjectId id : std::exchange(unwanted, {})) {
      Object* object = objects.Find(id);
      if (object && object->state == ObjectState::kSealed && object->unwanted() && !object->kept) {
        Free(*object);
      }
    }
  }
}

void Core::State::RunTimer(const Timer& timer) {
  Task* task = tasks.Find(timer.subject);
  Worker* worker = workers.Find(timer.subject);
  switch (timer.kind) {
    case TimerKind::kTaskTimeout:
      if (task) OnTimeout(*task);
      break;
    case TimerKind::kTaskKill:
      if (task) OnGraceOver(*task);
      break;
    case TimerKind::kRecall:
      if (worker) OnRecallDue(*worker);
      break;
    case TimerKind::kWorkerStart:
      if (worker && worker->state == WorkerState::kStarting) {
        worker->start_failed = true;
        Kill(*worker, "it did not say hello in time");
      }
      break;
    case TimerKind::kWorkerLeave:
      if (worker) Kill(*worker, "it was told to leave and did not");
      break;
    case TimerKind::kWorkerIdle:
      if (worker) worker->idle_timer = false;  // RetireExcess looks at all idle ones
      break;
    case TimerKind::kProgram:
      break;  // AdjustWorkers looks at all programs
    case TimerKind::kExpiry:
      expiries.erase(timer.subject);
      while (DropReference(*sessions.Find(kHeadSession), timer.subject)) {
      }
      break;
  }
}

}  // namespace kiln::core
