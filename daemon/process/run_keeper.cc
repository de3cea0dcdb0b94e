// The keeper's side of keeper.h.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "daemon/process/file_lock.h"
#include "daemon/process/keeper.h"
#include "daemon/process/keeper_wire.h"
#include "daemon/process/process_tree.h"
#include "daemon/process/start_child.h"
#include "daemon/process/unique_fd.h"

namespace kiln::process {
namespace {

using Clock = std::chrono::steady_clock;

// Marks what a launch has started; see LaunchSpec.
constexpr char kMarkName[] = "KILN_LAUNCH=";
// Looks after what an ended launch left behind: the end of most of it is told by SIGCHLD, this is
// for what another parent reaps.
constexpr int kLookMilliseconds = 5;
// After this the end is reported although something is left: it does not react to SIGKILL.
constexpr auto kRemainsTimeout = std::chrono::seconds(2);
// How long a process is waited for that does not show its environment now. Beyond it, it has an
// empty one, and is left alone unless it is in the launch's session.
constexpr auto kUnknownTimeout = std::chrono::milliseconds(20);
// For the lock, which the dying head may let go just after its socket.
constexpr auto kLockTimeout = std::chrono::milliseconds(200);

class KeeperProcess {
 public:
  explicit KeeperProcess(int socket_fd);
  int Run();

 private:
  struct Launched {
    StartedChild child;
    std::string mark;  // the variable in the environment of all it starts
    bool own_session = false;
    bool gentle = false;  // signalled: what outlives the first process has time until SIGKILL
    bool ended = false;   // the first process was reaped
    int wait_status = 0;  // with ended
    Clock::time_point ended_at{};

    // True if `entry` was started by it; nothing if that cannot be told now.
    std::optional<bool> Has(const ProcessEntry& entry) const {
      if (own_session && entry.session == child.pid) return true;
      return WasStartedWith(entry.pid, mark);
    }
  };
  using Launches = std::map<uint64_t, Launched>;

  // One turn of the loop. Returns: false when the head is gone.
  bool Turn();
  bool ReadHead();
  void OnLaunch(uint64_t id, int spec_fd);
  void OnSignal(const Message& message);
  void Reap();
  // The program runs, or could not be started: then the launch is forgotten.
  Launches::iterator FinishStart(Launches::iterator launch);
  void LookAfterEnded();
  // What launches have started, without their first processes and the dead.
  std::vector<ProcessEntry> ListStrays() const;
  void Tell(const Message& message, UniqueFd fd = {});
  void Flush();
  void End();
  bool TakeLock();

  UniqueFd socket_;
  UniqueFd signals_;
  Setup setup_;
  UniqueFd lock_;
  Launches launches_;
  std::deque<std::pair<Message, UniqueFd>> outbox_;
  size_t ended_ = 0;  // launches with `ended`
  std::string mark_prefix_;
};

Message MakeMessage(MessageKind kind, uint64_t launch) {
  Message message;
  message.kind = kind;
  message.launch = launch;
  return message;
}

KeeperProcess::KeeperProcess(int socket_fd) : socket_(socket_fd) {
  // No number of a descriptor of ours may be one that a child's streams get.
  int fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= 2) fd = open("/dev/null", O_RDWR);
  if (fd >= 0) close(fd);
  fcntl(socket_fd, F_SETFD, FD_CLOEXEC);
  prctl(PR_SET_NAME, "kiln-keeper");
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  setsid();  // Ctrl-C on the terminal of a head in the foreground is the head's to answer
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  signals_.Reset(signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
  mark_prefix_ = kMarkName + std::to_string(getpid()) + "." +
                 std::to_string(Clock::now().time_since_epoch().count()) + ".";
}

int KeeperProcess::Run() {
  while (Turn()) {
  }
  End();
  return 0;
}

bool KeeperProcess::Turn() {
  std::vector<pollfd> fds;
  fds.push_back(
      {socket_.get(), static_cast<short>(outbox_.empty() ? POLLIN : POLLIN | POLLOUT), 0});
  fds.push_back({signals_.get(), POLLIN, 0});
  for (const auto& [id, launch] : launches_) {
    if (launch.child.status.valid()) fds.push_back({launch.child.status.get(), POLLIN, 0});
  }
  if (poll(fds.data(), fds.size(), ended_ > 0 ? kLookMilliseconds : -1) < 0) return errno == EINTR;
  if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !ReadHead()) return false;
  for (auto launch = launches_.begin(); launch != launches_.end();) {
    launch = launch->second.child.status.valid() ? FinishStart(launch) : std::next(launch);
  }
  signalfd_siginfo signal;
  while (read(signals_.get(), &signal, sizeof signal) > 0) {
  }
  Reap();
  if (ended_ > 0) LookAfterEnded();
  Flush();
  return true;
}

bool KeeperProcess::ReadHead() {
  while (true) {
    Message message;
    UniqueFd fd;
    switch (ReceiveMessage(socket_.get(), &message, &fd)) {
      case Transfer::kWouldBlock:
        return true;
      case Transfer::kEnded:
        return false;
      case Transfer::kDone:
        break;
    }
    if (message.kind == MessageKind::kSetup) setup_ = DecodeSetup(fd.get()).value_or(Setup{});
    if (message.kind == MessageKind::kLaunch) OnLaunch(message.launch, fd.get());
    if (message.kind == MessageKind::kSignal) OnSignal(message);
    if (message.kind == MessageKind::kEnd) setup_.lock.clear();
  }
}

void KeeperProcess::OnLaunch(uint64_t id, int spec_fd) {
  std::optional<LaunchSpec> spec = DecodeLaunchSpec(spec_fd);
  StartFailure failure{StartStep::kPrepare, EINVAL};
  Launched launch;
  if (spec) {
    launch.own_session = spec->own_session;
    launch.mark = mark_prefix_ + std::to_string(id);
    std::erase_if(spec->env, [](const std::string& item) { return item.starts_with(kMarkName); });
    spec->env.push_back(launch.mark);
    launch.child = StartChild(*spec, &failure);
  }
  if (launch.child.pid == 0) {
    Message message = MakeMessage(MessageKind::kNotStarted, id);
    message.step = failure.step;
    message.error_number = failure.error_number;
    Tell(message);
    return;
  }
  launches_.emplace(id, std::move(launch));
}

KeeperProcess::Launches::iterator KeeperProcess::FinishStart(Launches::iterator launch) {
  const uint64_t id = launch->first;
  StartedChild& child = launch->second.child;
  StartFailure failure;
  const ssize_t count = read(child.status.get(), &failure, sizeof failure);
  if (count < 0) return std::next(launch);  // not yet
  child.status.Reset();
  if (count == 0) {
    Message message = MakeMessage(MessageKind::kStarted, id);
    message.pid = child.pid;
    Tell(message, std::move(child.output));
    return std::next(launch);
  }
  Message message = MakeMessage(MessageKind::kNotStarted, id);
  message.step = failure.step;
  message.error_number = failure.error_number;
  Tell(message);
  if (launch->second.ended) --ended_;
  return launches_.erase(launch);  // Reap takes it for any other orphan
}

void KeeperProcess::OnSignal(const Message& message) {
  const auto found = launches_.find(message.launch);
  if (found == launches_.end()) return;
  Launched& launch = found->second;
  const pid_t first = launch.child.pid;
  if (message.group == 0) {
    if (!launch.ended) kill(first, message.signal);
    return;
  }
  launch.gentle = message.signal != SIGKILL;
  if (!launch.ended && (!launch.own_session || kill(-first, message.signal) != 0)) {
    kill(first, message.signal);
  }
  for (const ProcessEntry& stray : ListStrays()) {
    const bool told = !launch.ended && launch.own_session && stray.group == first;
    if (!told && launch.Has(stray) == true) kill(stray.pid, message.signal);
  }
}

void KeeperProcess::Reap() {
  int wait_status = 0;
  pid_t pid;
  while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
    for (auto& [id, launch] : launches_) {
      if (launch.child.pid != pid || launch.ended) continue;
      launch.ended = true;
      launch.wait_status = wait_status;
      launch.ended_at = Clock::now();
      ++ended_;
      break;
    }
  }
}

std::vector<ProcessEntry> KeeperProcess::ListStrays() const {
  std::set<pid_t> firsts;
  for (const auto& [id, launch] : launches_) {
    if (!launch.ended) firsts.insert(launch.child.pid);
  }
  std::vector<ProcessEntry> strays = DescendantsOf(getpid());
  std::erase_if(strays, [&](const ProcessEntry& entry) {
    return entry.zombie || firsts.contains(entry.pid);
  });
  return strays;
}

void KeeperProcess::LookAfterEnded() {
  const std::vector<ProcessEntry> strays = ListStrays();
  for (auto it = launches_.begin(); it != launches_.end();) {
    if (it->second.ended && it->second.child.status.valid()) it = FinishStart(it);
    if (it == launches_.end()) break;
    const auto& [id, launch] = *it;
    if (!launch.ended || launch.child.status.valid()) {
      ++it;
      continue;
    }
    bool remains = false;
    bool unknown = false;
    for (const ProcessEntry& stray : strays) {
      const std::optional<bool> has = launch.Has(stray);
      remains = remains || has == true;
      unknown = unknown || !has;
      if (has == true && !launch.gentle) kill(stray.pid, SIGKILL);
    }
    const Clock::duration since = Clock::now() - launch.ended_at;
    const bool waits_for_remains = remains && (launch.gentle || since < kRemainsTimeout);
    if (waits_for_remains || (unknown && since < kUnknownTimeout)) {
      ++it;
      continue;
    }
    Message message = MakeMessage(MessageKind::kExited, id);
    message.exit_code = WIFEXITED(launch.wait_status) ? WEXITSTATUS(launch.wait_status) : -1;
    message.signal = WIFSIGNALED(launch.wait_status) ? WTERMSIG(launch.wait_status) : 0;
    Tell(message);
    --ended_;
    it = launches_.erase(it);
  }
}

void KeeperProcess::Tell(const Message& message, UniqueFd fd) {
  outbox_.emplace_back(message, std::move(fd));
}

void KeeperProcess::Flush() {
  while (!outbox_.empty()) {
    const auto& [message, fd] = outbox_.front();
    if (SendMessage(socket_.get(), message, fd.get()) != Transfer::kDone) return;
    outbox_.pop_front();
  }
}

bool KeeperProcess::TakeLock() {
  if (setup_.lock.empty()) return true;
  lock_.Reset(open(setup_.lock.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  return lock_.valid() && TryLock(lock_.get()) && IsSameFile(lock_.get(), setup_.lock);
}

void KeeperProcess::End() {
  const auto remove_files = [this] {
    for (const std::string& path : setup_.remove_at_end) unlink(path.c_str());
  };
  const bool locked = TakeLock();
  if (locked) remove_files();
  launches_.clear();
  KillDescendants();
  const auto until = Clock::now() + kLockTimeout;
  for (bool retry = !locked; retry; retry = Clock::now() < until) {
    if (TakeLock()) {
      remove_files();
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

int RunKeeper(int socket_fd) {
  return KeeperProcess(socket_fd).Run();
}

}  // namespace kiln::process
