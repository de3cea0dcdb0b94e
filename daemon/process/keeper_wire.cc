#include "daemon/process/keeper_wire.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kiln::process {
namespace {

// Numbers in 64 bits of this machine; a text is its length and its bytes; a list its length and its
// texts.
class Writer {
 public:
  void Number(uint64_t number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void Text(const std::string& text) {
    Number(text.size());
    bytes_ += text;
  }
  void List(const std::vector<std::string>& list) {
    Number(list.size());
    for (const std::string& text : list) Text(text);
  }
  UniqueFd ToMemoryFile() const {
    UniqueFd fd(memfd_create("kiln-launch", MFD_CLOEXEC));
    for (size_t done = 0; fd.valid() && done < bytes_.size();) {
      const ssize_t count = write(fd.get(), bytes_.data() + done, bytes_.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        const int error = errno;
        fd.Reset();
        errno = error;
      } else {
        done += static_cast<size_t>(count);
      }
    }
    return fd;
  }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(int fd) {
    struct stat info;
    if (fstat(fd, &info) != 0) return;
    bytes_.resize(static_cast<size_t>(info.st_size));
    size_t done = 0;
    while (done < bytes_.size()) {
      const ssize_t count =
          pread(fd, bytes_.data() + done, bytes_.size() - done, static_cast<off_t>(done));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return;
      done += static_cast<size_t>(count);
    }
    good_ = true;
  }
  uint64_t Number() {
    uint64_t number = 0;
    if (!Has(sizeof number)) return 0;
    std::memcpy(&number, bytes_.data() + at_, sizeof number);
    at_ += sizeof number;
    return number;
  }
  std::string Text() {
    const uint64_t size = Number();
    if (!Has(size)) return "";
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  std::vector<std::string> List() {
    std::vector<std::string> list;
    for (uint64_t count = Number(); good_ && count > 0; --count) list.push_back(Text());
    return list;
  }
  // True if all was there, and nothing more.
  bool complete() const { return good_ && at_ == bytes_.size(); }

 private:
  bool Has(uint64_t size) {
    good_ = good_ && size <= bytes_.size() - at_;
    return good_;
  }

  std::string bytes_;
  size_t at_ = 0;
  bool good_ = false;
};

}  // namespace

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
  Writer writer;
  writer.Text(spec.executable);
  writer.List(spec.args);
  writer.List(spec.env);
  writer.Text(spec.working_dir);
  writer.Number(spec.own_session ? 1 : 0);
  writer.Number(spec.umask);
  return writer.ToMemoryFile();
}

UniqueFd Encode(const Setup& setup) {
  Writer writer;
  writer.Text(setup.lock);
  writer.List(setup.remove_at_end);
  return writer.ToMemoryFile();
}

std::optional<LaunchSpec> DecodeLaunchSpec(int fd) {
  Reader reader(fd);
  LaunchSpec spec;
  spec.executable = reader.Text();
  spec.args = reader.List();
  spec.env = reader.List();
  spec.working_dir = reader.Text();
  spec.own_session = reader.Number() != 0;
  spec.umask = static_cast<mode_t>(reader.Number());
  if (!reader.complete()) return std::nullopt;
  return spec;
}

std::optional<Setup> DecodeSetup(int fd) {
  Reader reader(fd);
  Setup setup;
  setup.lock = reader.Text();
  setup.remove_at_end = reader.List();
  if (!reader.complete()) return std::nullopt;
  return setup;
}

}  // namespace kiln::process
