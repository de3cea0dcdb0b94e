#include "common/fork_server.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/memory_file.h"

namespace kiln {
namespace {

constexpr size_t kOrderFds = 2;  // output, order
// What a shell says of a command that it could not run; nobody sees it but a debugger.
constexpr int kNotStartedCode = 127;

// One message with room for an order's descriptors, as sendmsg and recvmsg want it.
struct Envelope {
  Envelope(void* bytes, size_t size) {
    part = {bytes, size};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
  }
  alignas(cmsghdr) char control[CMSG_SPACE(kOrderFds * sizeof(int))] = {};
  iovec part{};
  msghdr header{};
};

int64_t MonotonicNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void CloseIfOpen(int fd) {
  if (fd >= 0) close(fd);
}

std::optional<ForkOrder> DecodeForkOrder(int fd) {
  MemoryFileReader reader(fd);
  ForkOrder order;
  order.env = reader.List();
  order.working_dir = reader.Text();
  order.setup = reader.Text();
  order.umask = static_cast<mode_t>(reader.Number());
  order.keeper = static_cast<pid_t>(reader.Number());
  if (!reader.complete()) return std::nullopt;
  return order;
}

void Call(const std::function<void()>& callback) {
  if (callback) callback();
}

// A handler of the server's would run in a process it knows nothing of.
void ResetSignals() {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action;
    if (sigaction(number, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Sets this process, the child of `middle`, up as the order says; its twin in the keeper is
// RunChild of start_child.cc.
// Returns: 0 or an errno, with the step.
int SetUp(const ForkOrder& order, int output_fd, pid_t middle, ForkStep* step) {
  *step = ForkStep::kPrepare;
  // The middle one ends at once, and this process goes to the next subreaper above: the keeper.
  while (getppid() == middle) sched_yield();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != order.keeper) return ESRCH;  // it died before the line above
  if (setsid() < 0) return errno;
  umask(order.umask);
  const int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(output_fd, 1) < 0 || dup2(output_fd, 2) < 0) {
    return errno;
  }
  close(null_fd);
  *step = ForkStep::kWorkingDir;
  if (!order.working_dir.empty() && chdir(order.working_dir.c_str()) != 0) return errno;
  return 0;
}

}  // namespace

// An order as it came.
struct ForkServer::Received {
  uint64_t launch = 0;
  int fds[kOrderFds] = {-1, -1};

  // Blocks: until there is one. Returns: false at the end.
  bool From(int socket_fd) {
    Envelope envelope(&launch, sizeof launch);
    ssize_t count;
    do {
      count = recvmsg(socket_fd, &envelope.header, MSG_CMSG_CLOEXEC);
    } while (count < 0 && errno == EINTR);
    const cmsghdr* rights = count < 0 ? nullptr : CMSG_FIRSTHDR(&envelope.header);
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
      std::memcpy(fds, CMSG_DATA(rights),
                  std::min<size_t>(rights->cmsg_len - CMSG_LEN(0), sizeof fds));
    }
    return count == sizeof launch;
  }
  void Close() {
    for (int& fd : fds) CloseIfOpen(std::exchange(fd, -1));
  }
};

std::optional<ForkServer> ForkServer::FromEnvironment() {
  const char* text = std::getenv(kForkServerVariable);
  if (text == nullptr) return std::nullopt;
  const int socket_fd = std::atoi(text);
  unsetenv(kForkServerVariable);
  struct stat info;
  if (socket_fd < kForkServerSocket || fstat(socket_fd, &info) != 0 || !S_ISSOCK(info.st_mode)) {
    return std::nullopt;
  }
  fcntl(socket_fd, F_SETFD, FD_CLOEXEC);
  return ForkServer(socket_fd);
}

ForkServer::ForkServer(ForkServer&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}

ForkServer::~ForkServer() {
  CloseIfOpen(socket_);
}

std::optional<ForkOrder> ForkServer::Serve(const Callbacks& callbacks) {
  Answer(ForkAnswer{});
  Received received;
  while (received.From(socket_)) {
    std::optional<ForkOrder> order = DecodeForkOrder(received.fds[1]);
    if (!order) {
      ForkAnswer answer;
      answer.launch = received.launch;
      answer.error_number = EINVAL;
      Answer(answer);
    } else if (Fork(received, *order, callbacks)) {
      received.Close();
      close(std::exchange(socket_, -1));
      Call(callbacks.after_fork_in_child);
      return order;
    }
    received.Close();
  }
  received.Close();
  return std::nullopt;
}

bool ForkServer::Fork(const Received& received, const ForkOrder& order,
                      const Callbacks& callbacks) {
  ForkAnswer answer;
  answer.launch = received.launch;
  int told[2];  // the worker says here what becomes of it
  if (pipe2(told, O_CLOEXEC) != 0) {
    answer.error_number = errno;
    Answer(answer);
    return false;
  }
  std::fflush(nullptr);  // what the server has buffered is not the worker's to write
  Call(callbacks.before_fork);
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  answer.forked_ns = MonotonicNanoseconds();
  // The middle one runs in this process's memory until it ends, so the pages are copied once. Its
  // fork is as one of this process, but for whose child it is; and the worker, which has a copy of
  // the stack as it is then, goes on from here. Linux's vfork promises that.
  const pid_t middle = vfork();
  if (middle == 0) {
    const pid_t self = getpid();
    const pid_t worker = fork();
    if (worker > 0) _exit(0);
    if (worker == 0) {
      answer.error_number = SetUp(order, received.fds[0], self, &answer.step);
      if (answer.error_number == 0) answer.pid = getpid();
    } else {
      answer.error_number = errno;
    }
    const bool heard = write(told[1], &answer, sizeof answer) == sizeof answer;
    if (!heard || answer.pid == 0) _exit(kNotStartedCode);
    close(told[0]);
    close(told[1]);
    ResetSignals();
    return true;
  }
  const int error = errno;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  Call(callbacks.after_fork_in_parent);
  close(told[1]);
  if (middle < 0) {
    answer.error_number = error;
  } else {
    const uint64_t launch = answer.launch;
    ssize_t count;
    while ((count = read(told[0], &answer, sizeof answer)) < 0 && errno == EINTR) {
    }
    if (count != sizeof answer) answer.error_number = ECHILD;  // killed before it said anything
    answer.launch = launch;
    while (waitpid(middle, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  close(told[0]);
  Answer(answer);
  return false;
}

void ForkServer::Answer(const ForkAnswer& answer) const {
  // Blocks while the keeper does not read; one that is gone is seen by the next receive.
  while (send(socket_, &answer, sizeof answer, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

void ApplyEnvironment(const ForkOrder& order) {
  clearenv();
  for (const std::string& variable : order.env) {
    const size_t equals = variable.find('=');
    if (equals == 0 || equals == variable.npos) continue;
    // Of two of one name the first counts, as for getenv.
    setenv(variable.substr(0, equals).c_str(), variable.c_str() + equals + 1, /*overwrite=*/0);
  }
}

int EncodeForkOrder(const ForkOrder& order) {
  MemoryFileWriter writer;
  writer.List(order.env);
  writer.Text(order.working_dir);
  writer.Text(order.setup);
  writer.Number(order.umask);
  writer.Number(static_cast<uint64_t>(order.keeper));
  return writer.Make("kiln-order");
}

int SendForkOrder(int socket_fd, uint64_t launch, int output_fd, int order_fd) {
  Envelope envelope(&launch, sizeof launch);
  const int fds[kOrderFds] = {output_fd, order_fd};
  cmsghdr* rights = CMSG_FIRSTHDR(&envelope.header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof fds);
  std::memcpy(CMSG_DATA(rights), fds, sizeof fds);
  while (sendmsg(socket_fd, &envelope.header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    switch (errno) {
      case EINTR:
        continue;
      case EAGAIN:
      case ENOBUFS:
      case ENOMEM:
      case ETOOMANYREFS:  // descriptors on their way that the server has not taken yet
        return EAGAIN;
      default:
        return errno;
    }
  }
  return 0;
}

int ReceiveForkAnswer(int socket_fd, ForkAnswer* answer) {
  ssize_t count;
  do {
    count = recv(socket_fd, answer, sizeof *answer, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count == sizeof *answer) return 0;
  return count < 0 ? errno : EPIPE;
}

}  // namespace kiln
