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
                                              std::to_string(range.size_bytes) +
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

// One block at a time, for a block needs a page of its own before the kernel makes it a huge one. A
// block that somebody else is busy with keeps its small pages.
Status TakeHugePages(const MappedRange& range) {
  Status failure;
  for (uint64_t done = 0; done < range.size_bytes; done += kHugePageBytes) {
    if (int error = Allocate(range.fd, range.offset + done, kPageBytes)) {
      return NoMemory(range, error);
    }
    int error = Collapse(range.at + done);
    if (error == EINVAL) {
      return Status(Code::kFailedPrecondition,
                    "the kernel gives this process no huge pages for a memory file; it takes Linux "
                    "6.1, and neither 'deny' in "
                    "/sys/kernel/mm/transparent_hugepage/shmem_enabled nor PR_SET_THP_DISABLE");
    }
    if (error == 0) continue;
    failure = Status(Code::kResourceExhausted,
                     std::string("the kernel has no huge page free: ") + strerror(error));
    if (error == ENOMEM) break;
  }
  return failure;
}

Status TakeAndMapPages(const MappedRange& range) {
  while (madvise(range.at, range.size_bytes, MADV_POPULATE_WRITE) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    int error = errno;
    if (error == EINVAL || error == ENOSYS) {  // before Linux 5.14: taken, not mapped
      error = Allocate(range.fd, range.offset, range.size_bytes);
    }
    return error == 0 ? Status() : NoMemory(range, error);
  }
  return Status();
}

}  // namespace kiln::shm
