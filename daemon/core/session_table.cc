#include "daemon/core/session_table.h"

namespace kiln::core {

Session* SessionTable::Find(SessionNumber number) {
  auto found = sessions_.find(number);
  return found == sessions_.end() ? nullptr : &found->second;
}

const Session* SessionTable::Find(SessionNumber number) const {
  auto found = sessions_.find(number);
  return found == sessions_.end() ? nullptr : &found->second;
}

Session* SessionTable::FindOpen(SessionNumber number) {
  Session* session = Find(number);
  return session && session->open ? session : nullptr;
}

Session& SessionTable::Insert(SessionNumber number) {
  return sessions_.try_emplace(number, number).first->second;
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

void SessionTable::EraseIfDone(Session& session) {
  if (!session.open && session.tasks == 0 && session.rooted == 0) sessions_.erase(session.number);
}

}  // namespace kiln::core
