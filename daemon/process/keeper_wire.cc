#include "daemon/process/keeper_wire.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "common/memory_file.h"

namespace kiln::process {

Transfer SendMessage(int socket_fd, const Message& message, int fd) {
  Message copy = message;
  iovec part{&copy, sizeof copy};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  while (sendmsg(socket_fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    switch (errno) {
      case EINTR:
        continue;
      case EAGAIN:
      case ENOBUFS:
      case ENOMEM:
      case ETOOMANYREFS:  // descriptors on their way that the other end has not taken yet
        return Transfer::kWouldBlock;
      default:
        return Transfer::kEnded;
    }
  }
  return Transfer::kDone;
}

Transfer ReceiveMessage(int socket_fd, Message* message, UniqueFd* fd) {
  iovec part{message, sizeof *message};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t count;
  do {
    count = recvmsg(socket_fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && errno == EAGAIN) return Transfer::kWouldBlock;
  fd->Reset();
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); count >= 0 && item != nullptr;
       item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    int received;
    std::memcpy(&received, CMSG_DATA(item), sizeof received);
    fd->Reset(received);
  }
  return count == sizeof *message ? Transfer::kDone : Transfer::kEnded;
}

UniqueFd Encode(const LaunchSpec& spec) {
  MemoryFileWriter writer;
  writer.Text(spec.executable);
  writer.List(spec.args);
  writer.List(spec.env);
  writer.Text(spec.working_dir);
  writer.Number(spec.own_session ? 1 : 0);
  writer.Number(spec.umask);
  writer.Number(spec.fork_server ? 1 : 0);
  writer.Number(spec.fork_of);
  writer.Text(spec.setup);
  return UniqueFd(writer.Make("kiln-launch"));
}

UniqueFd Encode(const Setup& setup) {
  MemoryFileWriter writer;
  writer.Text(setup.lock);
  writer.List(setup.remove_at_end);
  return UniqueFd(writer.Make("kiln-launch"));
}

std::optional<LaunchSpec> DecodeLaunchSpec(int fd) {
  MemoryFileReader reader(fd);
  LaunchSpec spec;
  spec.executable = reader.Text();
  spec.args = reader.List();
  spec.env = reader.List();
  spec.working_dir = reader.Text();
  spec.own_session = reader.Number() != 0;
  spec.umask = static_cast<mode_t>(reader.Number());
  spec.fork_server = reader.Number() != 0;
  spec.fork_of = reader.Number();
  spec.setup = reader.Text();
  if (!reader.complete()) return std::nullopt;
  return spec;
}

std::optional<Setup> DecodeSetup(int fd) {
  MemoryFileReader reader(fd);
  Setup setup;
  setup.lock = reader.Text();
  setup.remove_at_end = reader.List();
  if (!reader.complete()) return std::nullopt;
  return setup;
}

}  // namespace kiln::process
