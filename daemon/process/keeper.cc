#include "daemon/process/keeper.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "common/limits.h"
#include "common/log.h"
#include "daemon/process/keeper_wire.h"
#include "daemon/process/process_tree.h"
#include "daemon/process/unique_fd.h"

namespace kiln::process {
namespace {

// Launches sent and not answered yet: enough to keep the keeper busy, few enough that neither
// socket buffer can ever be full of them. Forks do not count: they may wait for their server to
// warm up, and nothing else is to wait with them.
constexpr size_t kMaxUnanswered = 16;
// Messages of the keeper handled in one turn of the loop.
constexpr int kMessagesPerTurn = 64;
// The descriptor that the keeper finds its socket at.
constexpr int kKeeperSocket = 3;
// A keeper that died sooner, and without a word, failed to start: the next one waits.
constexpr Duration kShortLife = seconds(1);
constexpr Duration kEndTimeout = seconds(2);

std::string DescribeFailure(const LaunchSpec& spec, StartStep step, int error_number) {
  if (step == StartStep::kWorkingDir) {
    return "could not enter the working directory " + spec.working_dir + ": " +
           std::strerror(error_number);
  }
  if (step == StartStep::kForkServer) {
    return "could not start " + spec.executable + ": its fork server has ended";
  }
  const bool searched = spec.executable.find('/') == std::string::npos;
  const bool missing = step == StartStep::kExecute && error_number == ENOENT && searched;
  return "could not start " + spec.executable + ": " +
         (missing ? "command not found" : std::strerror(error_number));
}

ExitReport FailureReport(const LaunchSpec& spec, StartStep step, int error_number) {
  ExitReport report;
  report.started = false;
  report.exit_code = step == StartStep::kExecute && error_number == ENOENT ? 127 : 126;
  report.error_number = error_number;
  report.error = DescribeFailure(spec, step, error_number);
  return report;
}

// Starts the keeper's executable with `socket_fd` and nothing else. Returns: 0 or an errno.
int Spawn(const std::string& executable, int socket_fd, pid_t* pid) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, socket_fd, kKeeperSocket);
  posix_spawn_file_actions_addclosefrom_np(&files, kKeeperSocket + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::string name = "kiln-head";
  std::string option = "--keeper";
  std::string number = std::to_string(kKeeperSocket);
  char* args[] = {name.data(), option.data(), number.data(), nullptr};
  const int error = posix_spawn(pid, executable.c_str(), &files, &attributes, args, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error;
}

class KeeperOfHead : public Keeper {
 public:
  KeeperOfHead(EventLoop* loop, Setup setup, Callbacks callbacks, std::string executable)
      : loop_(loop),
        setup_(std::move(setup)),
        callbacks_(std::move(callbacks)),
        executable_(std::move(executable)) {}
  ~KeeperOfHead() override;

  Status StartProcess();
  LaunchId Launch(const LaunchSpec& spec) override;
  void Signal(LaunchId id, int signal, bool group) override;
  pid_t pid() const override { return pid_; }

 private:
  struct Outgoing {
    Message message;
    UniqueFd fd;
  };
  struct Launched {
    LaunchSpec spec;    // executable, working_dir and fork_of, for the report
    bool sent = false;  // the keeper of now has it
  };

  void Flush();
  void ReadKeeper();
  void Handle(const Message& message, UniqueFd fd);
  void ReportExit(LaunchId id, const ExitReport& report);
  void FailLater(LaunchId id, int error_number);
  void OnKeeperEnded();
  void Restart();

  EventLoop* loop_;
  Setup setup_;
  Callbacks callbacks_;
  std::string executable_;
  pid_t pid_ = 0;
  UniqueFd socket_;
  Time started_at_{};
  int short_lives_ = 0;                    // keepers in a row that died without a word
  std::map<LaunchId, Launched> launches_;  // not reported as exited
  std::deque<Outgoing> outbox_;
  size_t unanswered_ = 0;  // launches sent, neither started nor failed yet, without forks
  EventLoop::TimerId flush_timer_ = 0;
  EventLoop::TimerId restart_timer_ = 0;
  LaunchId next_launch_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what was posted to the loop
};

KeeperOfHead::~KeeperOfHead() {
  loop_->CancelTimer(flush_timer_);
  loop_->CancelTimer(restart_timer_);
  if (pid_ == 0) return;
  loop_->Unwatch(socket_.get());
  Message end_message;
  end_message.kind = MessageKind::kEnd;
  SendMessage(socket_.get(), end_message, -1);
  socket_.Reset();
  const Time end = Clock::now() + kEndTimeout;
  while (waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (Clock::now() >= end) {
      kill(pid_, SIGKILL);
      KillDescendants();
      return;
    }
    std::this_thread::sleep_for(milliseconds(1));
  }
}

Status KeeperOfHead::StartProcess() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return Status(Code::kUnavailable,
                  std::string("cannot make the keeper's socket: ") + std::strerror(errno));
  }
  UniqueFd ours(ends[0]);
  UniqueFd keepers(ends[1]);
  if (const int error = Spawn(executable_, keepers.get(), &pid_); error != 0) {
    pid_ = 0;
    return Status(Code::kUnavailable,
                  "cannot start the keeper " + executable_ + ": " + std::strerror(error));
  }
  socket_ = std::move(ours);
  started_at_ = Clock::now();
  Message message;
  message.kind = MessageKind::kSetup;
  const UniqueFd encoded = Encode(setup_);
  SendMessage(socket_.get(), message, encoded.get());  // an empty socket has room
  loop_->Watch(socket_.get(), [this] { ReadKeeper(); });
  log::Info("event=keeper_started pid={}", pid_);
  Flush();
  return Status();
}

Keeper::LaunchId KeeperOfHead::Launch(const LaunchSpec& spec) {
  const LaunchId id = next_launch_++;
  Launched& launch = launches_[id];
  launch.spec.executable = spec.executable;
  launch.spec.working_dir = spec.working_dir;
  launch.spec.fork_of = spec.fork_of;
  Outgoing outgoing{{}, Encode(spec)};
  if (!outgoing.fd.valid()) {
    FailLater(id, errno);
    return id;
  }
  outgoing.message.kind = MessageKind::kLaunch;
  outgoing.message.launch = id;
  outbox_.push_back(std::move(outgoing));
  Flush();
  return id;
}

void KeeperOfHead::FailLater(LaunchId id, int error_number) {
  loop_->Post([this, id, error_number, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    ReportExit(id, FailureReport(launches_[id].spec, StartStep::kPrepare, error_number));
  });
}

void KeeperOfHead::Signal(LaunchId id, int signal, bool group) {
  if (!launches_.contains(id)) return;
  Outgoing outgoing;
  outgoing.message.kind = MessageKind::kSignal;
  outgoing.message.launch = id;
  outgoing.message.signal = signal;
  outgoing.message.group = group ? 1 : 0;
  outbox_.push_back(std::move(outgoing));
  Flush();
}

void KeeperOfHead::Flush() {
  while (socket_.valid() && !outbox_.empty()) {
    const Outgoing& next = outbox_.front();
    const bool launch = next.message.kind == MessageKind::kLaunch;
    const bool counts = launch && launches_[next.message.launch].spec.fork_of == 0;
    if (counts && unanswered_ >= kMaxUnanswered) return;
    const Transfer sent = SendMessage(socket_.get(), next.message, next.fd.get());
    if (sent == Transfer::kEnded) return;  // the loop is about to tell
    if (sent == Transfer::kWouldBlock) {
      loop_->CancelTimer(flush_timer_);
      flush_timer_ = loop_->At(Clock::now() + milliseconds(1), [this] { Flush(); });
      return;
    }
    if (counts) ++unanswered_;
    if (launch) launches_[next.message.launch].sent = true;
    outbox_.pop_front();
  }
}

void KeeperOfHead::ReadKeeper() {
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    Message message;
    UniqueFd fd;
    switch (ReceiveMessage(socket_.get(), &message, &fd)) {
      case Transfer::kDone:
        Handle(message, std::move(fd));
        break;
      case Transfer::kWouldBlock:
        i = kMessagesPerTurn;
        break;
      case Transfer::kEnded:
        OnKeeperEnded();
        return;
    }
  }
  Flush();
}

void KeeperOfHead::Handle(const Message& message, UniqueFd fd) {
  short_lives_ = 0;
  const auto found = launches_.find(message.launch);
  if (found == launches_.end()) return;
  const size_t counted = found->second.spec.fork_of == 0 ? 1 : 0;
  ExitReport report;
  switch (message.kind) {
    case MessageKind::kStarted:
      unanswered_ -= counted;
      callbacks_.started(message.launch, message.pid, fd.Release());
      return;
    case MessageKind::kNotStarted:
      unanswered_ -= counted;
      report = FailureReport(found->second.spec, message.step, message.error_number);
      break;
    case MessageKind::kExited:
      report.exit_code = message.exit_code;
      report.signal = message.signal;
      break;
    default:
      return;
  }
  ReportExit(message.launch, report);
}

void KeeperOfHead::ReportExit(LaunchId id, const ExitReport& report) {
  if (launches_.erase(id) == 1) callbacks_.exited(id, report);
}

void KeeperOfHead::OnKeeperEnded() {
  log::Error("event=keeper_lost pid={} launches={}", pid_, launches_.size());
  loop_->Unwatch(socket_.get());
  socket_.Reset();
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
  KillDescendants();
  unanswered_ = 0;
  std::vector<LaunchId> lost;
  for (const auto& [id, launch] : launches_) {
    if (launch.sent) lost.push_back(id);
  }
  const bool short_life = Clock::now() - started_at_ < kShortLife;
  short_lives_ = short_life ? short_lives_ + 1 : 0;
  if (short_lives_ <= 1) {
    Restart();
  } else {
    const Duration wait = std::min(limits::kStartBackoffMost,
                                   limits::kStartBackoffFirst * (1 << std::min(short_lives_, 10)));
    restart_timer_ = loop_->At(Clock::now() + wait, [this] { Restart(); });
  }
  ExitReport report;
  report.signal = SIGKILL;
  for (const LaunchId id : lost) ReportExit(id, report);
}

void KeeperOfHead::Restart() {
  const Status status = StartProcess();
  if (status.ok()) return;
  log::Error("event=keeper_not_started reason=\"{}\"", status.message());
  restart_timer_ = loop_->At(Clock::now() + limits::kStartBackoffMost, [this] { Restart(); });
}

}  // namespace

std::string Describe(const ExitReport& report) {
  if (!report.started) return report.error;
  if (report.signal == 0) return "exit code " + std::to_string(report.exit_code);
  std::string text = "killed by signal " + std::to_string(report.signal);
  if (const char* name = sigabbrev_np(report.signal)) text += std::string(" (SIG") + name + ")";
  return text;
}

Result<std::unique_ptr<Keeper>> Keeper::Start(EventLoop* loop,
                                              std::vector<std::string> remove_at_end,
                                              Callbacks callbacks, KeeperOptions options) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);  // for what a dead keeper leaves
  auto keeper =
      std::make_unique<KeeperOfHead>(loop, Setup{std::move(options.lock), std::move(remove_at_end)},
                                     std::move(callbacks), std::move(options.executable));
  if (Status status = keeper->StartProcess(); !status.ok()) return status;
  return std::unique_ptr<Keeper>(std::move(keeper));
}

}  // namespace kiln::process
