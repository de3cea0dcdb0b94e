// Sessions: what each holds, has submitted, and may still submit.
//
// Thread: head loop only.
// Owner:  Core.
#pragma once

#include <map>
#include <set>

#include "common/id_table.h"
#include "common/ids.h"
#include "daemon/core/core.h"
#include "daemon/core/task_record.h"

namespace kiln::core {

struct Line;

// What one session holds of one object.
struct Reference {
  uint64_t id = 0;  // of the object
  uint32_t count = 0;
};

struct Session {
  explicit Session(SessionNumber number) : number(number) {}

  SessionNumber number;
  SessionKind kind = SessionKind::kDriver;
  ProgramId program = kLibraryHost;
  SessionNumber root = number;  // of what its threads submit outside of tasks
  bool is_actor = false;        // of a worker that hosts an actor or did
  bool open = true;             // a closed one stays until its last task has ended
  bool closing = false;         // closed by the event under way, which still needs it
  bool keeps_ready = false;     // workers of its program, while it is open

  IdTable<Reference> references;
  uint64_t reference_count = 0;  // all counts together
  std::set<ObjectId> created;    // that it is writing

  // Unfinished tasks it submitted, in order of submission.
  Task* first_task = nullptr;
  Task* last_task = nullptr;
  uint64_t tasks = 0;

  // A closed one that nothing needs any more.
  bool done() const { return !open && !closing && tasks == 0 && rooted == 0; }

  // As the root of tasks.
  uint64_t rooted = 0;       // unfinished ones
  int64_t cpu_units = 0;     // they hold now
  uint64_t last_served = 0;  // number of the dispatch
  uint32_t lines = 0;        // of the ready queue, that have tasks
  Line* line = nullptr;      // the one used last, if it is still there

  // Credit used and not granted back yet.
  uint64_t used_tasks = 0;
  uint64_t used_bytes = 0;
  bool starved = false;  // waits for credit
};

class SessionTable {
 public:
  // Returns: null if there is none, closed ones included.
  Session* Find(SessionNumber number);
  const Session* Find(SessionNumber number) const;
  // Returns: null unless open.
  Session* FindOpen(SessionNumber number);
  // Requires: there is none.
  Session& Insert(SessionNumber number);
  void Link(Session& session, Task& task);
  void Unlink(Session& session, Task& task);
  void Erase(Session& session);

  const std::map<SessionNumber, Session>& all() const { return sessions_; }
  std::map<SessionNumber, Session>& all() { return sessions_; }

 private:
  struct Entry {
    uint64_t id = 0;
    Session* session = nullptr;
  };
  std::map<SessionNumber, Session> sessions_;
  IdTable<Entry> index_;  // of sessions_
};

}  // namespace kiln::core
