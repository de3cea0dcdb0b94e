// Sessions: references, credit, and what ends with them.
#include <utility>

#include "common/check.h"
#include "common/limits.h"
#include "daemon/core/core_state.h"

namespace kiln::core {

void Core::OnSessionOpened(SessionNumber number, SessionKind kind, ProgramId program, Time now,
                           bool keep_ready) {
  State& state = *state_;
  Require(state.sessions.Find(number) == nullptr, "a session number is used twice");
  state.Begin(now);
  Session& session = state.sessions.Insert(number);
  session.kind = kind;
  session.program = program;
  if (kind == SessionKind::kDriver) {
    Program& own = state.workers.ProgramOf(program);
    ++own.open_drivers;
    ++own.sessions;
    session.keeps_ready = keep_ready;
    own.kept_by += keep_ready ? 1 : 0;
  }
  state.Finish();
}

void Core::OnSessionClosed(SessionNumber number, Time now) {
  State& state = *state_;
  Session* session = state.sessions.FindOpen(number);
  if (session == nullptr || session->kind != SessionKind::kDriver || number == kHeadSession) return;
  state.Begin(now);
  Program& program = state.workers.ProgramOf(session->program);
  --program.open_drivers;
  program.kept_by -= session->keeps_ready ? 1 : 0;
  state.CloseSession(*session);
  state.Settle();
  state.BuryRooted(number);
  state.RemoveRooted(number);
  state.CancelRooted(number);
  state.Settle();
  state.CloseProgram(program);
  session->closing = false;
  state.ForgetIfDone(*session);
  state.Finish();
}

void Core::OnRetained(SessionNumber number, std::span<const ObjectId> ids) {
  State& state = *state_;
  Session* session = state.sessions.FindOpen(number);
  if (session == nullptr) return;
  for (ObjectId id : ids) {
    if (Object* object = state.objects.Find(id)) state.AddReference(*session, *object);
  }
}

Status Core::OnReleased(SessionNumber number, std::span<const ObjectId> ids, Time now) {
  State& state = *state_;
  Session* session = state.sessions.FindOpen(number);
  Status status;
  state.Begin(now);
  for (ObjectId id : ids) {
    if (session != nullptr && state.DropReference(*session, id)) continue;
    if (state.objects.Find(id) == nullptr) continue;
    status =
        Status(Code::kFailedPrecondition, "session " + std::to_string(number) +
                                              " holds no reference on object " + FormatRef(id));
    break;
  }
  state.Finish();
  return status;
}

Status Core::SetTimeToLive(ObjectId id, Time when) {
  State& state = *state_;
  if (state.objects.Find(id) == nullptr) {
    return Status(Code::kNotFound, "object " + FormatRef(id) + " is unknown");
  }
  state.EndExpiry(id);
  if (state.sessions.Find(kHeadSession)->references.Find(id) == nullptr || when == kNever) {
    return {};
  }
  state.expiries[id] = when;
  state.timers.Add({when, TimerKind::kExpiry, id});
  return {};
}

bool Core::QueueFull() const {
  return !state_->HasRoom();
}

// --- references ----------------------------------------------------------------------------------

void Core::State::AddReference(Session& session, Object& object) {
  Reference* held = session.references.Find(object.id);
  if (held == nullptr) held = &session.references.Insert(object.id);
  ++held->count;
  ++session.reference_count;
  ++object.references;
}

// Returns: false if the session holds none.
bool Core::State::DropReference(Session& session, ObjectId id) {
  Reference* held = session.references.Find(id);
  if (held == nullptr) return false;
  if (--held->count == 0) {
    session.references.Erase(*held);
    if (session.number == kHeadSession) EndExpiry(id);
  }
  --session.reference_count;
  Object& object = *objects.Find(id);
  --object.references;
  FreeIfUnwanted(object);
  return true;
}

void Core::State::DropAllReferences(Session& session) {
  session.references.ForEach([&](const Reference& held) {
    Object& object = *objects.Find(held.id);
    object.references -= held.count;
    FreeIfUnwanted(object);
  });
  session.references.Clear();
  session.reference_count = 0;
}

void Core::State::EndExpiry(ObjectId id) {
  auto found = expiries.find(id);
  if (found == expiries.end()) return;
  timers.Remove({found->second, TimerKind::kExpiry, id});
  expiries.erase(found);
}

// --- the end of a session ------------------------------------------------------------------------

void Core::State::CloseSession(Session& session) {
  session.open = false;
  session.closing = true;
  DropAllReferences(session);
  for (ObjectId id : std::exchange(session.created, {})) Lose(*objects.Find(id));
}

// Forgets a closed session that nothing needs any more.
void Core::State::ForgetIfDone(Session& session) {
  if (!session.done()) return;
  ready.Forget(session);
  sessions.Erase(session);
}

// Ends all tasks done on behalf of a driver: what has not begun at once, the rest within the grace
// period.
void Core::State::CancelRooted(SessionNumber root) {
  std::vector<TaskId> ids;
  for (const auto& [number, session] : sessions.all()) {
    for (const Task* task = session.first_task; task; task = task->session_next) {
      if (task->root == root) ids.push_back(task->id);
    }
  }
  for (TaskId id : ids) {
    Task* task = tasks.Find(id);
    if (task == nullptr) continue;
    CancelOne(*task, /*force=*/false);
    task = tasks.Find(id);
    if (task != nullptr && !task->actor) SetKill(*task);  // a detached actor lives on
  }
}

// Ends what a lost worker's tasks have submitted: their next attempt submits it anew. What tasks
// that had finished have submitted goes on; their results may name it.
void Core::State::CancelSubmitted(Session& session) {
  std::vector<TaskId> ids;
  for (const Task* task = session.first_task; task; task = task->session_next) {
    const bool finished = task->parent != 0 && tasks.Find(task->parent) == nullptr;
    if (!finished && !classes.Get(task->task_class).detached) ids.push_back(task->id);
  }
  for (TaskId id : ids) {
    if (Task* task = tasks.Find(id)) CancelTree(*task, /*force=*/false);
  }
}

// --- credit --------------------------------------------------------------------------------------

bool Core::State::HasRoom() const {
  return tasks.size() < options.max_queued_tasks && queued_bytes < options.max_queued_bytes;
}

bool Core::State::OverTwiceFull() const {
  return tasks.size() > 2 * options.max_queued_tasks || queued_bytes > 2 * options.max_queued_bytes;
}

void Core::State::UseCredit(Session& session, uint64_t bytes) {
  if (session.number == kHeadSession) return;  // the head asks QueueFull instead
  ++session.used_tasks;
  session.used_bytes += bytes;
  if (session.starved) return;
  // Giving it back in quarters keeps the answers few and the sender busy.
  const bool due = session.used_tasks >= limits::kSessionCreditTasks / 4 ||
                   session.used_bytes >= limits::kSessionCreditBytes / 4;
  if (!due) return;
  // A worker that waits for credit inside a task could hold up the very tasks that make room.
  if (session.kind == SessionKind::kWorker || HasRoom()) return Grant(session);
  session.starved = true;
  starved.push_back(session.number);
  Decide(GrantCredit{session.number, 0, 0});
}

void Core::State::Grant(Session& session) {
  Decide(GrantCredit{session.number, std::exchange(session.used_tasks, 0),
                     std::exchange(session.used_bytes, 0)});
}

void Core::State::GrantStarved() {
  if (starved.empty() || !HasRoom()) return;
  for (SessionNumber number : std::exchange(starved, {})) {
    Session* session = sessions.FindOpen(number);
    if (session == nullptr) continue;
    session->starved = false;
    Grant(*session);
  }
}

}  // namespace kiln::core
