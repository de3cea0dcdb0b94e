#include "common/shm/rings.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <string>

namespace kiln::shm {
namespace {

Status SystemError(const char* what) {
  return Status(Code::kResourceExhausted, std::string(what) + ": " + strerror(errno));
}

}  // namespace

Rings::~Rings() {
  munmap(base_, kRingsBytes);
  close(fd_);
}

Result<std::unique_ptr<Rings>> Rings::Map(int fd) {
  void* base = mmap(nullptr, kRingsBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) {
    Status status = SystemError("cannot map a session's rings");
    close(fd);
    return status;
  }
  return std::unique_ptr<Rings>(new Rings(fd, static_cast<std::byte*>(base)));
}

Result<std::unique_ptr<Rings>> Rings::Create() {
  int fd = memfd_create("kiln-rings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return SystemError("cannot make a memory file for a session's rings");
  if (ftruncate(fd, kRingsBytes) != 0 || fallocate(fd, 0, 0, kRingsBytes) != 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    Status status = SystemError("cannot take memory for a session's rings");
    close(fd);
    return status;
  }
  Result<std::unique_ptr<Rings>> rings = Map(fd);
  if (!rings.ok()) return rings.status();
  new (&(*rings)->header())
      RingsHeader{.magic = kRingsMagic, .version = kRingsVersion, .ring_bytes = kRingBytes};
  return rings;
}

Result<std::unique_ptr<Rings>> Rings::Attach(int fd) {
  struct stat info;
  int seals = fcntl(fd, F_GET_SEALS);
  if (fstat(fd, &info) != 0 || static_cast<size_t>(info.st_size) != kRingsBytes || seals < 0 ||
      !(seals & F_SEAL_SHRINK)) {
    close(fd);
    return Status(Code::kInvalidArgument, "what the head sent are not a session's rings");
  }
  Result<std::unique_ptr<Rings>> rings = Map(fd);
  if (!rings.ok()) return rings.status();
  const RingsHeader& header = (*rings)->header();
  if (header.magic != kRingsMagic || header.version != kRingsVersion ||
      header.ring_bytes != kRingBytes) {
    return Status(Code::kInvalidArgument, "the head's rings are of another version");
  }
  return rings;
}

}  // namespace kiln::shm
