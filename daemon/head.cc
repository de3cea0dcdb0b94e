#include "daemon/head.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "common/limits.h"
#include "common/log.h"
#include "daemon/process/memory.h"

namespace kiln {
namespace {

core::CoreOptions CoreOptionsOf(const HeadOptions& options) {
  core::CoreOptions core;
  core.total = options.total;
  core.num_workers = options.num_workers;
  core.max_workers = options.num_workers + limits::kExtraWorkers;
  core.max_queued_tasks = limits::kMaxQueuedTasks;
  core.max_queued_bytes = limits::kMaxQueuedBytes;
  return core;
}

// Writes a fresh secret for TCP peers, readable by this user alone.
Result<std::string> MakeToken(const std::string& path) {
  unsigned char random[32];
  if (getrandom(random, sizeof random, 0) != sizeof random) {
    return Status(Code::kUnavailable, "no random numbers for the token");
  }
  std::string token;
  for (unsigned char byte : random) {
    token += "0123456789abcdef"[byte >> 4];
    token += "0123456789abcdef"[byte & 15];
  }
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool ok = fd >= 0 && write(fd, token.data(), token.size()) == static_cast<ssize_t>(token.size());
  if (fd >= 0) close(fd);
  if (!ok) return Status(Code::kPermissionDenied, "cannot write the token file " + path);
  return token;
}

// Every worker and job has a pipe, every peer a socket: as many as the system lets this user have.
// After the keeper was started, for children shall find the limit the user knows.
void AllowManyDescriptors() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Result<std::unique_ptr<Head>> Head::Start(EventLoop* loop, HeadOptions options) {
  std::unique_ptr<Head> head(new Head(loop, std::move(options)));
  if (Status status = head->Build(); !status.ok()) return status;
  return head;
}

Head::Head(EventLoop* loop, HeadOptions options)
    : loop_(loop), options_(std::move(options)), core_(CoreOptionsOf(options_)) {}

Head::~Head() {
  loop_->set_after_turn([] {});
}

Status Head::Build() {
  const SessionPaths& paths = options_.paths;
  store::StoreOptions store_options = options_.store;
  store_options.is_idle = [this] { return core_.GetTotals().tasks_running == 0; };
  store_options.available_bytes = [] { return process::AvailableMemoryBytes(); };
  Result<std::unique_ptr<store::Store>> store = store::Store::Open(loop_, store_options);
  if (!store.ok()) return store.status();
  store_ = std::move(*store);

  std::vector<std::string> files = {paths.info, paths.head_socket, paths.store_socket,
                                    paths.rings_socket, paths.token};
  process::Keeper::Callbacks events;
  events.started = [this](process::Keeper::LaunchId id, pid_t pid, int output_fd) {
    (void)(launcher_->OnStarted(id, pid, output_fd) || jobs_->OnStarted(id, pid, output_fd));
  };
  events.exited = [this](process::Keeper::LaunchId id, const process::ExitReport& report) {
    (void)(launcher_->OnExited(id, report) || jobs_->OnExited(id, report));
  };
  process::KeeperOptions keeper_options;
  keeper_options.lock = paths.lock;
  Result<std::unique_ptr<process::Keeper>> keeper =
      process::Keeper::Start(loop_, std::move(files), std::move(events), keeper_options);
  if (!keeper.ok()) return keeper.status();
  keeper_ = std::move(*keeper);
  AllowManyDescriptors();

  std::string address = "unix:" + paths.head_socket;
  process::WorkerLauncherOptions launcher;
  launcher.log_dir = paths.logs;
  launcher.address = address;
  launcher.session_dir = paths.dir;
  launcher.library_host = process::LibraryHost();
  process::WorkerLauncher::Callbacks workers;
  workers.started = [](WorkerId worker, pid_t pid) {
    log::Info("event=worker_started worker={} pid={}", worker, pid);
  };
  workers.lost = [this](WorkerId worker, const std::string& reason) {
    log::Info("event=worker_lost worker={} reason=\"{}\"", worker, reason);
    core_.OnWorkerLost(worker, reason, Clock::now());
  };
  workers.lines = [this](WorkerId worker, std::vector<std::string> lines) {
    OnWorkerLines(worker, std::move(lines));
  };
  launcher_ = std::make_unique<process::WorkerLauncher>(loop_, keeper_.get(), launcher, workers);

  process::JobRunnerOptions jobs;
  jobs.log_dir = paths.logs;
  jobs.address = address;
  jobs.session_dir = paths.dir;
  jobs_ = std::make_unique<process::JobRunner>(
      loop_, keeper_.get(), jobs, [this](const process::Job& job) {
        log::Info("event=job_ended job={} state={} exit_code={}", process::FormatJobId(job.id),
                  process::Name(job.state), job.exit_code);
        core_.OnJobEnded(job.id, Clock::now());
      });

  double num_cpus = options_.total.num_cpus();
  sessions_ = std::make_unique<sessions::SessionTable>(sessions::SessionContext{
      loop_, &core_, store_.get(), launcher_.get(), num_cpus, [this] { Settle(); }});
  head_session_ = std::make_unique<sessions::HeadSession>(loop_, &core_);
  notices_ = std::make_unique<ActorNotices>(loop_, &core_, sessions_.get());
  Result<std::unique_ptr<sessions::RingServer>> rings =
      sessions::RingServer::Open(loop_, sessions_.get(), store_.get(), paths.rings_socket);
  if (!rings.ok()) return rings.status();
  rings_ = std::move(*rings);

  context_.loop = loop_;
  context_.core = &core_;
  context_.store = store_.get();
  context_.sessions = sessions_.get();
  context_.head_session = head_session_.get();
  context_.launcher = launcher_.get();
  context_.jobs = jobs_.get();
  context_.max_workers = CoreOptionsOf(options_).max_workers;
  context_.stop = [this](const v1::StopRequest& request) {
    Duration grace = request.force()          ? Duration(0)
                     : request.grace_ms() > 0 ? milliseconds(request.grace_ms())
                                              : limits::kStopGrace;
    return Stop(grace, "the head was stopped");
  };
  if (!options_.listen.empty()) {
    Result<std::string> token = MakeToken(paths.token);
    if (!token.ok()) return token.status();
    context_.token = std::move(*token);
  }
  Result<std::unique_ptr<services::Server>> server =
      services::Server::Start(&context_, paths.head_socket, options_.listen);
  if (!server.ok()) return server.status();
  server_ = std::move(*server);

  HeadInfo& info = context_.info;
  info.pid = getpid();
  info.version = KILN_VERSION;
  info.address = address;
  info.tcp_address = server_->tcp_address();
  info.session_dir = paths.dir;
  info.log_dir = paths.logs;
  info.num_workers = options_.num_workers;
  info.num_cpus = num_cpus;
  info.store_bytes = store_->capacity_bytes();
  info.started_ms = WallMilliseconds();

  core_.OnStart(Clock::now());
  loop_->set_after_turn([this] { AfterTurn(); });
  AfterTurn();
  log::Info("event=head_started pid={} address={} tcp_address={} cpus={} store_bytes={}", info.pid,
            info.address, info.tcp_address, num_cpus, info.store_bytes);
  return Status();
}

// --- carrying out --------------------------------------------------------------------------------

void Head::Settle() {
  while (true) {
    core_.TakeDecisions(decisions_);
    if (decisions_.empty()) break;
    for (core::Decision& decision : decisions_) CarryOut(decision);
  }
}

void Head::AfterTurn() {
  Settle();
  sessions_->FlushAll();  // first: somebody waits for it
  loop_->set_cores_busy(core_.AllBusy());
  ArmTimer();
  notices_->AfterTurn();
  if (life_ == Life::kStopping) FinishStopIfDone();
}

void Head::CarryOut(core::Decision& decision) {
  struct Visitor {
    Head* head;
    void operator()(const core::StartWorker& d) {
      if (head->life_ == Life::kTearingDown) return;  // it could only be killed again
      head->launcher_->Start(d.worker, d.program);
    }
    void operator()(const core::KillWorker& d) {
      log::Info("event=worker_killed worker={} reason=\"{}\"", d.worker, d.why);
      head->launcher_->Kill(d.worker);
    }
    void operator()(const core::RetireWorker& d) {
      if (auto* session = Worker(d.worker)) session->SendGoodbye("no longer needed");
    }
    void operator()(const core::EndActor& d) {
      if (auto* session = Worker(d.worker)) session->SendLeave();
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
      if (d.session == kHeadSession) return head->head_session_->OnDelivered(d.object);
      if (auto* session = head->sessions_->Find(d.session)) {
        session->SendObject(d.object, d.with_value);
      }
    }
    void operator()(const core::DeliverLost& d) {
      if (d.session == kHeadSession) return head->head_session_->OnDelivered(d.object);
      if (auto* session = head->sessions_->Find(d.session)) {
        session->SendLost(d.object, d.with_value);
      }
    }
    void operator()(const core::HandItem& d) {
      if (auto* session = head->sessions_->Find(d.session)) session->SendStreamItem(d);
    }
    void operator()(const core::AdvanceStream& d) {
      if (auto* session = Worker(d.worker)) session->SendStreamAdvance(d.task, d.count);
    }
    void operator()(const core::FreeSlice& d) { head->store_->Free(d.slice); }
    void operator()(const core::GrantCredit& d) {
      if (auto* session = head->sessions_->Find(d.session)) session->SendCredit(d.tasks, d.bytes);
    }
    void operator()(const core::StartJob& d) {
      log::Info("event=job_started job={}", process::FormatJobId(d.job));
      head->jobs_->Start(d.job);
    }
    void operator()(const core::ForgetProgram& d) {
      for (uint32_t i = 0; i < d.sessions; ++i) head->launcher_->Release(d.program);
    }
    void operator()(const core::GiveBack&) { malloc_trim(0); }
    void operator()(const core::TaskEnded& d) {
      if (!d.failed && !log::Enabled(log::Level::kDebug)) return;  // spares the look-up
      const std::string& name = head->core_.GetClass(d.task_class).name;
      if (d.failed) {
        log::Info("event=task_failed task={} name={} reason=\"{}\"", FormatRef(d.task), name,
                  d.detail);
      } else {
        log::Debug("event=task_finished task={} name={}", FormatRef(d.task), name);
      }
    }
    sessions::Session* Worker(WorkerId worker) { return head->sessions_->FindWorker(worker); }
  };
  std::visit(Visitor{this}, decision);
}

// A timer that fires before anything is due does no harm, so one is set only for an earlier time:
// the next deadline moves with every task, and setting it may wake the loop's thread.
void Head::ArmTimer() {
  Time next = core_.NextTimer();
  if (next >= timer_at_) return;
  loop_->CancelTimer(timer_);
  timer_at_ = next;
  timer_ = loop_->At(next, [this] {
    timer_at_ = kNever;
    core_.OnTimer(Clock::now());
  });
}

void Head::OnWorkerLines(WorkerId worker, std::vector<std::string> lines) {
  if (std::optional<core::ActorView> actor = core_.FindHosted(worker)) {
    sessions::Session* driver = actor->root != 0 ? sessions_->Find(actor->root) : nullptr;
    if (driver) driver->SendLogLines(actor->label, launcher_->FindPid(worker), std::move(lines));
    return;
  }
  sessions::Session::LastRun from;
  if (std::optional<core::TaskView> task = core_.FindRunningTask(worker)) {
    from = {task->class_id, task->root};
  } else if (sessions::Session* session = sessions_->FindWorker(worker)) {
    from = session->last_run();  // a thread or a process that a task has left
  }
  if (sessions::Session* driver = from.root != 0 ? sessions_->Find(from.root) : nullptr) {
    driver->SendLogLines(core_.GetClass(from.task_class).name, launcher_->FindPid(worker),
                         std::move(lines));
  }
}

// --- stopping ------------------------------------------------------------------------------------

v1::StopResponse Head::Stop(Duration grace, const std::string& why) {
  core::Totals totals = core_.GetTotals();
  v1::StopResponse response;
  response.set_pid(getpid());
  response.set_workers(totals.workers);
  response.set_jobs(static_cast<uint32_t>(jobs_->active()));
  response.set_tasks_queued(totals.tasks_waiting + totals.tasks_ready);
  response.set_tasks_running(totals.tasks_running);
  if (life_ == Life::kTearingDown) return response;

  Time now = Clock::now();
  if (life_ == Life::kRunning) {
    log::Info("event=head_stopping reason=\"{}\" grace_ms={}", why,
              std::chrono::duration_cast<milliseconds>(grace).count());
    life_ = Life::kStopping;
    why_ = why;
    sessions_->Refuse(why);
    std::vector<TaskId> unfinished;
    core_.VisitTasks([&](const core::TaskRow& row) {
      if (core_.FindTask(row.id)) unfinished.push_back(row.id);
      return true;
    });
    for (TaskId task : unfinished) (void)core_.OnCancel(task, /*force=*/false, now);
  }
  for (const process::Job* job : jobs_->List()) {
    if (!process::HasEnded(job->state)) (void)jobs_->Stop(job->id, grace, [](const auto&) {});
  }
  stop_by_ = std::min(stop_by_, now + grace);
  loop_->CancelTimer(stop_timer_);
  stop_timer_ = loop_->At(stop_by_, [] {});  // AfterTurn does the rest
  return response;
}

void Head::FinishStopIfDone() {
  bool idle = core_.GetTotals().tasks_running == 0 && jobs_->active() == 0;
  if (!idle && Clock::now() < stop_by_) return;
  life_ = Life::kTearingDown;
  // Later, so that the answer to Stop and the last results are on their way first.
  loop_->Post([this] { TearDown(); });
}

void Head::TearDown() {
  sessions_->CloseAll(why_);
  server_->Shutdown([this] {
    log::Info("event=head_stopped reason=\"{}\"", why_);
    loop_->Stop();
  });
}

}  // namespace kiln
