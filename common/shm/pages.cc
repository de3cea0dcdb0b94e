#include "common/shm/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include <string>

// Linux 6.1; Debian 12's C library does not name it.
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace kiln::shm {
namespace {

// A collapse that lost a race with somebody else's access is tried again this often.
constexpr int kCollapseTries = 3;

Status NoMemory(const MappedRange& range, int error) {
  return Status(Code::kResourceExhausted, "the machine has no memory for " +
                                              std::to_string(range.end - range.begin) +
                                              " bytes of the object store: " + strerror(error));
}

// Returns: an errno, 0 if all went well.
int Allocate(int fd, uint64_t offset, uint64_t length) {
  int failed;
  do {
    failed =
        fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(length));
  } while (failed != 0 && errno == EINTR);
  return failed == 0 ? 0 : errno;
}

int Collapse(std::byte* at) {
  for (int i = 0; i < kCollapseTries; ++i) {
    if (madvise(at, kHugePageBytes, MADV_COLLAPSE) == 0) return 0;
    if (errno != EAGAIN && errno != EINTR && errno != EBUSY) break;
  }
  return errno;
}

}  // namespace

const char* Name(PageKind kind) {
  return kind == PageKind::kHuge ? "huge" : "4k";
}

// One block at a time, for a block needs a page of its own before the kernel makes it a huge one.
Status TakeHugePages(const MappedRange& range) {
  for (uint64_t at = range.begin; at < range.end; at += kHugePageBytes) {
    if (int error = Allocate(range.fd, at, kPageBytes)) return NoMemory(range, error);
    int error = Collapse(range.base + at);
    if (error == 0) continue;
    if (error == EINVAL) {
      return Status(Code::kFailedPrecondition,
                    "the kernel gives this process no huge pages for a memory file; it takes Linux "
                    "6.1, and neither 'deny' in "
                    "/sys/kernel/mm/transparent_hugepage/shmem_enabled nor PR_SET_THP_DISABLE");
    }
    return Status(Code::kResourceExhausted,
                  std::string("the kernel has no huge page free: ") + strerror(error));
  }
  return Status();
}

Status TakePages(const MappedRange& range) {
  int error = Allocate(range.fd, range.begin, range.end - range.begin);
  return error == 0 ? Status() : NoMemory(range, error);
}

Status TakeAndMapPages(const MappedRange& range) {
  std::byte* begin = range.base + range.begin;
  while (madvise(begin, range.end - range.begin, MADV_POPULATE_WRITE) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    if (errno == EINVAL || errno == ENOSYS) return TakePages(range);  // before Linux 5.14
    return NoMemory(range, errno);
  }
  return Status();
}

}  // namespace kiln::shm
