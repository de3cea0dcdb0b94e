// What sessions work on, as in the head, without processes: workers are played by the test.
//
// Thread: the loop's, but for the constructor.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "common/event_loop.h"
#include "daemon/core/core.h"
#include "daemon/process/keeper.h"
#include "daemon/process/worker_launcher.h"
#include "daemon/sessions/session_table.h"
#include "daemon/store/store.h"

namespace kiln::testing {

// Starts nothing: whatever a hostile peer has the head start would be a process of the test.
class IdleKeeper : public process::Keeper {
 public:
  LaunchId Launch(const process::LaunchSpec&) override { return ++last_; }
  void Signal(LaunchId, int, bool) override {}
  pid_t pid() const override { return 0; }

 private:
  LaunchId last_ = 0;
};

class SessionHost {
 public:
  // `dir`: for the store's socket; stays the caller's. Requires: it is short enough for a socket.
  SessionHost(EventLoop* loop, const std::string& dir, uint64_t store_bytes = uint64_t{4} << 20)
      : core_({.total = core::Resources(2),
               .num_workers = 1,
               .max_workers = 4,
               .max_queued_tasks = 1'000,
               .max_queued_bytes = uint64_t{1} << 20}) {
    auto store = store::Store::Open(loop, {.capacity_bytes = store_bytes,
                                           .socket_path = dir + "/store.sock",
                                           .pages = store::PageChoice::k4k,
                                           .prefault_bytes = 0});
    if (!store.ok()) throw std::runtime_error(store.status().message());
    store_ = std::move(*store);
    process::WorkerLauncherOptions options;
    options.log_dir = dir;
    launcher_ = std::make_unique<process::WorkerLauncher>(loop, &keeper_, options,
                                                          process::WorkerLauncher::Callbacks{});
    sessions_ = std::make_unique<sessions::SessionTable>(sessions::SessionContext{
        loop, &core_, store_.get(), launcher_.get(), 2, [this] { Settle(); }});
    core_.OnStart(Clock::now());
    Settle();
  }

  // Carries out what the core has decided; what the head does after each turn.
  void AfterTurn() {
    Settle();
    sessions_->FlushAll();
  }

  core::Core& core() { return core_; }
  const core::Core& core() const { return core_; }
  store::Store& store() { return *store_; }
  sessions::SessionTable& sessions() { return *sessions_; }
  // Workers that were to be started, oldest first; whoever says hello as one of them is it.
  std::vector<WorkerId>& to_start() { return to_start_; }
  // Workers that were to be killed; nobody has told the core yet that they ended.
  std::vector<WorkerId>& to_kill() { return to_kill_; }

 private:
  void Settle() {
    while (true) {
      std::vector<core::Decision> decisions = core_.TakeDecisions();
      if (decisions.empty()) return;
      for (core::Decision& decision : decisions) std::visit(Visitor{this}, decision);
    }
  }

  struct Visitor {
    SessionHost* host;
    void operator()(const core::StartWorker& d) { host->to_start_.push_back(d.worker); }
    void operator()(const core::KillWorker& d) { host->to_kill_.push_back(d.worker); }
    void operator()(const core::EndActor& d) {
      if (auto* session = Worker(d.worker)) session->SendLeave();
    }
    void operator()(const core::RetireWorker& d) {
      if (auto* session = Worker(d.worker)) session->SendGoodbye("no longer needed");
    }
    void operator()(const core::RunTask& d) {
      if (auto* session = Worker(d.worker)) session->SendRun(d);
    }
    void operator()(const core::RecallTasks& d) {
      if (auto* session = Worker(d.worker)) session->SendRecall(d.tasks);
    }
    void operator()(const core::CancelTask& d) {
      if (auto* session = Worker(d.worker)) session->SendCancelTask(d.task);
    }
    void operator()(const core::DeliverObject& d) {
      if (auto* session = Peer(d.session)) session->SendObject(d.object, d.with_value);
    }
    void operator()(const core::DeliverLost& d) {
      if (auto* session = Peer(d.session)) session->SendLost(d.object, d.with_value);
    }
    void operator()(const core::HandItem& d) {
      if (auto* session = Peer(d.session)) session->SendStreamItem(d);
    }
    void operator()(const core::AdvanceStream& d) {
      if (auto* session = Worker(d.worker)) session->SendStreamAdvance(d.task, d.count);
    }
    void operator()(const core::FreeSlice& d) { host->store_->Free(d.slice); }
    void operator()(const core::GrantCredit& d) {
      if (auto* session = Peer(d.session)) session->SendCredit(d.tasks, d.bytes);
    }
    void operator()(const core::ForgetProgram& d) {
      for (uint32_t i = 0; i < d.sessions; ++i) host->launcher_->Release(d.program);
    }
    void operator()(const core::StartJob&) {}
    void operator()(const core::TaskEnded&) {}
    void operator()(const core::GiveBack&) {}

    sessions::Session* Worker(WorkerId worker) { return host->sessions_->FindWorker(worker); }
    sessions::Session* Peer(SessionNumber number) { return host->sessions_->Find(number); }
  };

  core::Core core_;
  std::unique_ptr<store::Store> store_;
  IdleKeeper keeper_;
  std::unique_ptr<process::WorkerLauncher> launcher_;
  std::unique_ptr<sessions::SessionTable> sessions_;
  std::vector<WorkerId> to_start_, to_kill_;
};

}  // namespace kiln::testing
