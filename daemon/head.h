// The head: builds all parts, carries out the core's decisions, and ends in good order.
//
// Thread: head loop only.
// Owner:  main.
// See:    docs/architecture.md
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "common/session_dir.h"
#include "common/status.h"
#include "daemon/actor_notices.h"
#include "daemon/core/core.h"
#include "daemon/process/job_runner.h"
#include "daemon/process/keeper.h"
#include "daemon/process/worker_launcher.h"
#include "daemon/services/server.h"
#include "daemon/sessions/head_session.h"
#include "daemon/sessions/ring_server.h"
#include "daemon/sessions/session_table.h"
#include "daemon/store/store.h"

namespace kiln {

struct HeadOptions {
  SessionPaths paths{""};
  core::Resources total;  // what the head schedules
  int num_workers = 1;    // library hosts kept ready
  store::StoreOptions store;
  std::string listen;  // HOST:PORT for TCP; empty: none
};

class Head {
 public:
  // Starts everything; the head can serve when this returns and the loop runs.
  // Errors: those of the store, the keeper and the server.
  static Result<std::unique_ptr<Head>> Start(EventLoop* loop, HeadOptions options);
  ~Head();

  const HeadInfo& info() const { return context_.info; }

  // Ends the head: queued tasks are cancelled, running ones and jobs asked to stop; when they have,
  // or after the grace period, everything is ended and the loop stops. A later call can only
  // shorten the grace.
  // Returns: what is being ended.
  v1::StopResponse Stop(Duration grace, const std::string& why);

 private:
  Head(EventLoop* loop, HeadOptions options);
  Status Build();

  void AfterTurn();
  // Carries out all that is decided.
  void Settle();
  void CarryOut(core::Decision& decision);
  void ArmTimer();
  void OnWorkerLines(WorkerId worker, std::vector<std::string> lines);
  void FinishStopIfDone();
  void TearDown();

  EventLoop* const loop_;
  const HeadOptions options_;
  core::Core core_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<process::Keeper> keeper_;
  std::unique_ptr<process::WorkerLauncher> launcher_;
  std::unique_ptr<process::JobRunner> jobs_;
  std::unique_ptr<sessions::SessionTable> sessions_;
  std::unique_ptr<sessions::HeadSession> head_session_;
  std::unique_ptr<sessions::RingServer> rings_;
  std::unique_ptr<ActorNotices> notices_;
  services::Context context_;
  std::unique_ptr<services::Server> server_;

  std::vector<core::Decision> decisions_;  // of AfterTurn
  Time timer_at_ = kNever;                 // when timer_ fires
  EventLoop::TimerId timer_ = 0;
  enum class Life { kRunning, kStopping, kTearingDown };
  Life life_ = Life::kRunning;
  std::string why_;        // with kStopping
  Time stop_by_ = kNever;  // with kStopping
  EventLoop::TimerId stop_timer_ = 0;
};

}  // namespace kiln
