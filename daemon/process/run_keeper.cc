// The keeper's side of keeper.h; see keeper_launches.cc for how it starts processes.
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
#include <set>
#include <thread>

#include "daemon/process/file_lock.h"
#include "daemon/process/keeper.h"
#include "daemon/process/keeper_process.h"

namespace kiln::process {
namespace {

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

}  // namespace

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
  forks_.AppendPolls(&fds);
  const bool looks = ended_ > 0 || forks_.any_may_be_stuck();
  if (poll(fds.data(), fds.size(), looks ? kLookMilliseconds : -1) < 0) return errno == EINTR;
  if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !ReadHead()) return false;
  for (auto launch = launches_.begin(); launch != launches_.end();) {
    launch = launch->second.child.status.valid() ? FinishStart(launch) : std::next(launch);
  }
  signalfd_siginfo signal;
  while (read(signals_.get(), &signal, sizeof signal) > 0) {
  }
  ReadForkServers();
  SignalStrays();  // before a launch that has ended is forgotten
  Reap();
  if (ended_ > 0 && Clock::now() >= look_at_) LookAfterEnded();
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

void KeeperProcess::OnSignal(const Message& message) {
  const auto found = launches_.find(message.launch);
  if (found == launches_.end()) return;
  Launched& launch = found->second;
  if (launch.child.pid != 0) return SendSignal(found, message.signal, message.group != 0);
  if (message.signal != SIGKILL || !forks_.Withdraw(launch.fork_of, found->first, Clock::now())) {
    launch.signals.emplace_back(message.signal, message.group != 0);  // until it is there
    return;
  }
  Message exited = MakeMessage(MessageKind::kExited, found->first);
  exited.exit_code = -1;
  exited.signal = SIGKILL;
  Tell(exited);
  launches_.erase(found);
}

void KeeperProcess::SendSignal(Launches::iterator it, int signal, bool group) {
  Launched& launch = it->second;
  const pid_t first = launch.child.pid;
  if (!group) {
    if (!launch.ended) kill(first, signal);
    return;
  }
  launch.gentle = signal != SIGKILL;
  if (!launch.ended && (!launch.own_session || kill(-first, signal) != 0)) kill(first, signal);
  group_signals_.emplace_back(it->first, signal);
}

// All groups that were signalled in this turn, with one look at the processes there are: a thousand
// actors that are killed at once must not read a thousand processes each.
void KeeperProcess::SignalStrays() {
  if (group_signals_.empty()) return;
  const std::vector<Stray> strays = ListStrays();
  for (const auto& [id, signal] : std::exchange(group_signals_, {})) {
    const auto found = launches_.find(id);
    if (found == launches_.end()) continue;
    const Launched& launch = found->second;
    for (const Stray& stray : strays) {
      const bool told =
          !launch.ended && launch.own_session && stray.entry.group == launch.child.pid;
      if (!told && Has(*found, stray) == true) kill(stray.entry.pid, signal);
    }
  }
}

void KeeperProcess::Reap() {
  int wait_status = 0;
  pid_t pid;
  while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
    const auto found = std::find_if(launches_.begin(), launches_.end(), [&](const auto& entry) {
      return entry.second.child.pid == pid && !entry.second.ended;
    });
    if (found != launches_.end()) {
      SetEnded(found->second, wait_status);
      ++ended_;
      // What it has answered is known before anything it left behind is looked for.
      if (forks_.HasServer(found->first)) ReadForkServer(found->first);
    } else if (forks_.any_sent()) {
      reaped_[pid] = {wait_status, Clock::now()};
    }
  }
}

void KeeperProcess::SetEnded(Launched& launch, int wait_status) {
  launch.ended = true;
  launch.wait_status = wait_status;
  launch.ended_at = Clock::now();
}

std::optional<bool> KeeperProcess::Has(const Launches::value_type& launch, const Stray& stray) {
  // The session comes first: a fork shows the environment of its server, and so its mark.
  if (stray.in_session_of != 0) return stray.in_session_of == launch.first;
  return WasStartedWith(stray.entry.pid, launch.second.mark);
}

std::vector<KeeperProcess::Stray> KeeperProcess::ListStrays() const {
  std::set<pid_t> firsts;
  std::map<pid_t, uint64_t> sessions;
  for (const auto& [id, launch] : launches_) {
    if (!launch.ended) firsts.insert(launch.child.pid);
    if (launch.own_session) sessions[launch.child.pid] = id;
  }
  std::vector<Stray> strays;
  for (const ProcessEntry& entry : DescendantsOf(getpid())) {
    if (entry.zombie || firsts.contains(entry.pid)) continue;
    const auto owner = sessions.find(entry.session);
    strays.push_back({entry, owner == sessions.end() ? 0 : owner->second});
  }
  return strays;
}

void KeeperProcess::LookAfterEnded() {
  const Clock::time_point begun = Clock::now();
  const std::vector<Stray> strays = ListStrays();
  // A look takes 0.1 ms with ten processes and 5 ms with a thousand. At most a third of the time
  // goes into looking, so many that end one after the other are told of together.
  look_at_ = Clock::now() + 2 * (Clock::now() - begun);
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
    for (const Stray& stray : strays) {
      const std::optional<bool> has = Has(*it, stray);
      remains = remains || has == true;
      unknown = unknown || !has;
      if (has == true && !launch.gentle) kill(stray.entry.pid, SIGKILL);
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
    EndForkServer(id);
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

int RunKeeper(int socket_fd) {
  return KeeperProcess(socket_fd).Run();
}

}  // namespace kiln::process
