#include "daemon/core/session_table.h"

namespace kiln::core {

Session* SessionTable::Find(SessionNumber number) {
  Entry* entry = index_.Find(number);
  return entry ? entry->session : nullptr;
}

const Session* SessionTable::Find(SessionNumber number) const {
  const Entry* entry = index_.Find(number);
  return entry ? entry->session : nullptr;
}

Session* SessionTable::FindOpen(SessionNumber number) {
  Session* session = Find(number);
  return session && session->open ? session : nullptr;
}

Session& SessionTable::Insert(SessionNumber number) {
  Session& session = sessions_.try_emplace(number, number).first->second;
  index_.Insert(number).session = &session;
  return session;
}

void SessionTable::Link(Session& session, Task& task) {
  task.session_previous = session.last_task;
  task.session_next = nullptr;
  (session.last_task ? session.last_task->session_next : session.first_task) = &task;
  session.last_task = &task;
  ++session.tasks;
}

void SessionTable::Unlink(Session& session, Task& task) {
  (task.session_previous ? task.session_previous->session_next : session.first_task) =
      task.session_next;
  (task.session_next ? task.session_next->session_previous : session.last_task) =
      task.session_previous;
  --session.tasks;
}

void SessionTable::Erase(Session& session) {
  const SessionNumber number = session.number;
  index_.Erase(*index_.Find(number));
  sessions_.erase(number);
}

}  // namespace kiln::core
