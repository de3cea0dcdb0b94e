#include "common/shm/fd_passing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace kiln::shm {
namespace {

Status Unavailable(const std::string& what) {
  return Status(Code::kUnavailable, what + ": " + strerror(errno));
}

Result<sockaddr_un> Address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Status(Code::kInvalidArgument, "the socket path " + path + " has " +
                                              std::to_string(path.size()) +
                                              " characters, unix sockets allow " +
                                              std::to_string(sizeof address.sun_path - 1) +
                                              "; choose a shorter --session-dir");
  }
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// One 8-byte message with room for descriptors, as sendmsg and recvmsg want it.
struct Envelope {
  Envelope(uint64_t* number, size_t fds) {
    part.iov_base = number;
    part.iov_len = sizeof *number;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
  }
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))] = {};
  iovec part{};
  msghdr message{};
};

}  // namespace

Result<PeerCredentials> CredentialsOf(int socket_fd) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return Unavailable("cannot tell who connected");
  }
  return PeerCredentials{credentials.pid, credentials.uid};
}

bool IsTrusted(const PeerCredentials& peer) {
  return peer.uid == geteuid() || peer.uid == 0;
}

Status SendFds(int socket_fd, uint64_t number, std::span<const int> fds) {
  Envelope envelope(&number, fds.size());
  cmsghdr* header = CMSG_FIRSTHDR(&envelope.message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size_bytes());
  memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  ssize_t sent;
  do {
    sent = sendmsg(socket_fd, &envelope.message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == sizeof number ? Status() : Unavailable("cannot send descriptors");
}

Result<std::vector<int>> ReceiveFds(int socket_fd, uint64_t* number, size_t count) {
  timeval limit{.tv_sec = 10, .tv_usec = 0};
  setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  Envelope envelope(number, kMaxFds);
  ssize_t received;
  do {
    received = recvmsg(socket_fd, &envelope.message, MSG_CMSG_CLOEXEC | MSG_WAITALL);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return Unavailable("no descriptor came");
  limit = {};  // the caller may read on without end
  setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  std::vector<int> fds;
  cmsghdr* header = CMSG_FIRSTHDR(&envelope.message);
  if (header && header->cmsg_type == SCM_RIGHTS) {
    fds.resize((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds.data(), CMSG_DATA(header), fds.size() * sizeof(int));
  }
  if (received == sizeof *number && fds.size() == count) return fds;
  for (int fd : fds) close(fd);
  return Status(Code::kUnavailable, "the peer closed before it sent its descriptors");
}

Result<int> ListenUnix(const std::string& path) {
  Result<sockaddr_un> address = Address(path);
  if (!address.ok()) return address.status();
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Unavailable("cannot make a socket");
  mode_t old_mask = umask(0177);
  int failed = bind(fd, reinterpret_cast<sockaddr*>(&address.value()), sizeof(sockaddr_un));
  umask(old_mask);
  if (failed != 0 || listen(fd, SOMAXCONN) != 0) {
    Status status = Unavailable("cannot listen on " + path);
    close(fd);
    return status;
  }
  return fd;
}

Result<int> ConnectUnix(const std::string& path) {
  Result<sockaddr_un> address = Address(path);
  if (!address.ok()) return address.status();
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Unavailable("cannot make a socket");
  if (connect(fd, reinterpret_cast<sockaddr*>(&address.value()), sizeof(sockaddr_un)) != 0) {
    Status status = Unavailable("cannot connect to " + path);
    close(fd);
    return status;
  }
  return fd;
}

}  // namespace kiln::shm
