#include "daemon/core/core.h"

#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "daemon/core/core_state.h"

namespace kiln::core {
namespace {

// Places of an empty list; the end of a million tasks in one event must not cost its memory for
// ever.
constexpr size_t kListKept = 16'384;

template <typename T>
void Empty(std::vector<T>& list) {
  list.clear();
  if (list.capacity() > kListKept) list.shrink_to_fit();
}

}  // namespace

Core::Core(CoreOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Core::~Core() = default;

Core::State::State(CoreOptions options) : options(std::move(options)) {
  free = this->options.total;
  sessions.Insert(kHeadSession);
  workers.ProgramOf(kLibraryHost);
}

std::vector<Decision> Core::TakeDecisions() {
  std::vector<Decision> decisions;
  TakeDecisions(decisions);
  return decisions;
}

void Core::TakeDecisions(std::vector<Decision>& decisions) {
  state_->ForgetDelivered();
  if (std::exchange(state_->changed, false)) state_->DecideAll();
  state_->taken.swap(state_->delivered);
  state_->keep_tag = static_cast<uint8_t>(3 - state_->keep_tag);
  Empty(decisions);
  decisions.swap(state_->decisions);
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
  changed = true;
}

void Core::State::Finish() {
  Settle();
}

void Core::State::DecideAll() {
  while (Dispatch()) Settle();
  GrantStarved();
  ForgetPrograms();
  GiveBackMemory();
}

// The allocator keeps what was freed. When a long queue is gone, the system gets it back.
void Core::State::GiveBackMemory() {
  const size_t records = tasks.size() + objects.size();
  most_records = std::max(most_records, records);
  if (most_records < limits::kManyRecords || records > most_records / 8) return;
  most_records = records;
  Decide(GiveBack{});
}

void Core::State::Settle() {
  while (!failing.empty() || !unwanted.empty() || !forsaken.empty() || !dropped.empty()) {
    // In order, so that a chain of errors names its tasks in the order they failed.
    for (TaskId id : std::exchange(failing, {})) {
      if (Task* task = tasks.Find(id)) FailByArgument(*task);
    }
    for (TaskId id : std::exchange(forsaken, {})) {
      Task* task = tasks.Find(id);
      if (!task || task->cancel_asked || !objects.Find(id)->unwanted()) continue;
      CancelTree(*task, /*force=*/false);
      changed = true;  // not always inside of an event: see ForgetDelivered
    }
    for (ActorId id : std::exchange(dropped, {})) {
      Actor* actor = actors.Find(id);
      if (!actor || !objects.Find(id)->unwanted()) continue;
      DropActor(*actor);
      changed = true;
    }
    settling.swap(unwanted);
    for (Object* object : settling) {
      object->noted = false;
      if (object->unwanted() && !object->kept) Free(*object);
    }
    Empty(settling);
  }
}

void Core::State::ForgetDelivered() {
  for (Object* object : taken) {
    if (object->kept == keep_tag) continue;  // delivered again since
    object->kept = 0;
    FreeIfUnwanted(*object);
  }
  Empty(taken);
  Settle();
}

void Core::State::RunTimer(const Timer& timer) {
  Task* task = tasks.Find(timer.subject);
  Worker* worker = workers.Find(timer.subject);
  Actor* actor = actors.Find(timer.subject);
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
    case TimerKind::kRestart:
      if (actor) OnRestartDue(*actor);
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
