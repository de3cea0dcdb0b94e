// One connected driver or worker: what it says becomes events of the core, what the core decides
// for it becomes frames.
//
// Thread: head loop only.
// Owner:  SessionTable, from the first frame until the transport has ended.
// See:    docs/wire.md
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "common/status.h"
#include "daemon/core/core.h"
#include "daemon/sessions/channel.h"
#include "kiln/v1/session.pb.h"

namespace kiln::store {
class Store;
}

namespace kiln::sessions {

class SessionTable;

class Session {
 public:
  Session(SessionTable* table, Channel* channel);

  // --- from the transport ------------------------------------------------------------------------
  // Frames follow, all at one time.
  void BeginBatch();
  // Carries a frame out. A broken one closes the channel; nothing after it is done.
  void OnFrame(v1::PeerFrame& frame);
  // The peer has broken the transport's rules: ends the session with this reason.
  void Refuse(const Status& status) { Close(status); }
  // Nothing more comes. The session is deleted by this call.
  void OnEnd();

  // --- from the head -----------------------------------------------------------------------------
  void SendRun(const core::RunTask& run);
  void SendRecall(const std::vector<TaskId>& tasks);
  void SendCancelTask(TaskId task);
  void SendLeave();
  void SendObject(ObjectId object, bool with_value);
  void SendLost(ObjectId object, bool with_value);
  void SendStreamItem(const core::HandItem& item);
  void SendStreamAdvance(TaskId task, uint64_t count);
  void SendCredit(uint64_t tasks, uint64_t bytes);
  void SendLogLines(const std::string& task, int64_t pid, std::vector<std::string> lines);
  // Says why and ends the session after what is queued.
  void SendGoodbye(const std::string& reason);
  // Has the transport send what is queued.
  void Flush();

  // The task this worker was given last; what it prints when it runs none is taken for that one's.
  struct LastRun {
    core::ClassId task_class = 0;
    SessionNumber root = 0;  // 0: none yet, or a detached one
  };
  const LastRun& last_run() const { return last_run_; }

  SessionNumber number() const { return number_; }  // 0 before Hello
  WorkerId worker() const { return worker_; }       // 0 for a driver
  int64_t pid() const { return pid_; }
  const std::string& language() const { return language_; }
  const char* transport() const { return channel_->transport(); }
  int64_t connected_ms() const { return connected_ms_; }

 private:
  Status CarryOut(v1::PeerFrame& frame, Time now);
  Status OnHello(const v1::Hello& hello, Time now);
  Status OnTaskClass(const v1::TaskClass& task_class);
  Result<core::TaskSpec> SpecOf(v1::Submit& submit) const;
  Status OnSubmit(v1::Submit& submit, Time now);
  Status OnCreate(const v1::Create& create);
  Status OnCreateActor(v1::CreateActor& create, Time now);
  Status OnCreateGroup(v1::CreateGroup& create, Time now);
  Status OnFindActor(const v1::FindActor& find, Time now);
  Status OnFinished(v1::Finished& finished, Time now);
  Status OnYielded(v1::Yielded& yielded, Time now);
  Status OnReturned(const v1::Returned& returned, Time now);

  void SendActor(uint64_t request_id, const Result<ActorId>& found);
  void Queue(const v1::HeadFrame& frame, bool urgent = false);
  void FillValue(const core::ObjectView& object, v1::ObjectValue* value) const;
  void Close(const Status& status);

  SessionTable* const table_;
  Channel* const channel_;
  const int64_t connected_ms_;
  SessionNumber number_ = 0;
  WorkerId worker_ = 0;
  int64_t pid_ = 0;
  std::string language_;
  uint64_t store_cookie_ = 0;
  core::ProgramId program_ = core::kLibraryHost;
  std::unordered_map<uint32_t, core::ClassId> classes_;  // the peer's ids
  std::unordered_set<core::ClassId> told_classes_;       // that this worker knows
  LastRun last_run_;
  std::vector<ObjectId> ids_;  // of a frame, for its memory
  Time now_{};                 // of the batch that is carried out
  bool queued_ = false;        // the table will flush this session at the end of the turn
  bool closing_ = false;       // Close was called: nothing more is read or queued
};

}  // namespace kiln::sessions
