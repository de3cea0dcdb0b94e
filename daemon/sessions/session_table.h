// All connected peers, by number and by worker.
//
// Thread: head loop only.
// Owner:  Head.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/event_loop.h"
#include "common/ids.h"
#include "daemon/core/core.h"
#include "daemon/process/worker_launcher.h"
#include "daemon/sessions/session.h"
#include "daemon/store/store.h"

namespace kiln::sessions {

// What sessions work on; all outlive the table.
struct SessionContext {
  EventLoop* loop;
  core::Core* core;
  store::Store* store;
  process::WorkerLauncher* launcher;
  double num_cpus;
  // Carries out what the core has decided so far: slices it freed are the store's again.
  std::function<void()> settle;
};

class SessionTable {
 public:
  explicit SessionTable(SessionContext context);

  // A peer has connected; it has limits::kHelloTimeout to say hello.
  // Returns: its session, alive until its OnEnd.
  Session* Open(Channel* channel);

  // Null when it has gone.
  Session* Find(SessionNumber number);
  Session* FindWorker(WorkerId worker);
  void Visit(const std::function<void(const Session&)>& visit) const;
  // Sends what the turn has queued.
  void FlushAll();
  // Later peers, and submits of those that are here, are refused with this reason.
  void Refuse(const std::string& reason) { closed_reason_ = reason; }
  // Says goodbye to everybody.
  void CloseAll(const std::string& reason);
  size_t size() const { return sessions_.size(); }

  // --- for Session -------------------------------------------------------------------------------
  const SessionContext& context() const { return context_; }
  bool closed() const { return !closed_reason_.empty(); }
  const std::string& closed_reason() const { return closed_reason_; }
  // Numbers start at random, so that refs of an earlier head are unknown rather than mistaken.
  SessionNumber NextNumber();
  void OnGreeted(Session* session);
  void OnQueued(Session* session) { dirty_.push_back(session); }
  void Remove(Session* session);
  // Frames sent again and again, which keep their memory; a sender clears what it fills.
  v1::HeadFrame* run_frame() { return &run_frame_; }
  v1::HeadFrame* object_frame() { return &object_frame_; }
  // Says who holds the store's space, for an error message.
  std::string DescribeHolders() const;

 private:
  struct Entry {
    std::unique_ptr<Session> session;
    EventLoop::TimerId hello_timer;
  };

  const SessionContext context_;
  std::unordered_map<Session*, Entry> sessions_;
  std::unordered_map<SessionNumber, Session*> by_number_;  // those that said hello
  std::unordered_map<WorkerId, Session*> by_worker_;
  std::vector<Session*> dirty_;     // with frames queued since the last FlushAll
  std::vector<Session*> flushing_;  // of FlushAll, for its memory
  v1::HeadFrame run_frame_;
  v1::HeadFrame object_frame_;
  SessionNumber last_number_;
  std::string closed_reason_;
};

}  // namespace kiln::sessions
