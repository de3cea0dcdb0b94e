#include "client/cli/microbenchmark/shared_pages.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "common/shm/fd_passing.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1; Debian 12's headers are older
#endif

namespace kiln::cli::microbenchmark {
namespace {

constexpr size_t kCopyBytes = 1'000'000'000;  // as "single client put gigabytes"
constexpr size_t kHugeBytes = size_t{2} << 20;
constexpr size_t kFileBytes = (kCopyBytes + kHugeBytes - 1) / kHugeBytes * kHugeBytes;
constexpr double kGigabytes = kCopyBytes / 1e9;

// A shared mapping of a fresh memory file, which is gone with it.
class Mapping {
 public:
  // Takes the descriptor; -1: no file.
  explicit Mapping(int fd) {
    if (fd < 0) return;
    // Room for an address that huge pages can start at.
    if (ftruncate(fd, kFileBytes) == 0) {
      reserved_ = mmap(nullptr, kFileBytes + kHugeBytes, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (reserved_ != MAP_FAILED) {
      auto begin = (reinterpret_cast<uintptr_t>(reserved_) + kHugeBytes - 1) & ~(kHugeBytes - 1);
      data_ = mmap(reinterpret_cast<void*>(begin), kFileBytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_FIXED, fd, 0);
    }
    close(fd);
  }
  ~Mapping() {
    if (reserved_ != MAP_FAILED) munmap(reserved_, kFileBytes + kHugeBytes);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  void* data() const { return data_; }
  bool ok() const { return data_ != MAP_FAILED; }

 private:
  void* reserved_ = MAP_FAILED;
  void* data_ = MAP_FAILED;
};

int MemoryFile() {
  return memfd_create("kiln-bench", MFD_CLOEXEC);
}

// In a child: a file in a tmpfs of its own with huge pages. Returns: a descriptor or -1.
int OpenInHugeTmpfs() {
  const char* dir = "/tmp";
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return -1;
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return -1;
  if (mount("kiln-bench", dir, "tmpfs", 0, "huge=always") != 0) return -1;
  return open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

// A tmpfs that prefers huge pages can be mounted by root, and by anybody in namespaces of a
// short-lived child. Returns: -1 if not here.
int HugeTmpfsFile() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    int fd = OpenInHugeTmpfs();
    bool sent = fd >= 0 && shm::SendFds(ends[1], 0, {{fd}}).ok();
    _exit(sent ? 0 : 1);
  }
  close(ends[1]);
  uint64_t number = 0;
  Result<std::vector<int>> fds = shm::ReceiveFds(ends[0], &number, 1);
  close(ends[0]);
  if (child > 0) waitpid(child, nullptr, 0);
  return fds.ok() ? fds->front() : -1;
}

// Returns: false if the kernel has none to give.
bool TakeHugePages(void* data) {
  auto* bytes = static_cast<volatile char*>(data);
  // A block needs a page of its own before the kernel makes it a huge one.
  for (size_t at = 0; at < kFileBytes; at += kHugeBytes) bytes[at] = 0;
  return madvise(data, kFileBytes, MADV_COLLAPSE) == 0;
}

// Copies with the clock around `prepare` and the copy. Returns: GB/s.
double TimedCopy(void* to, const std::vector<char>& source, const std::function<void()>& prepare) {
  auto start = Timer::now();
  prepare();
  memcpy(to, source.data(), kCopyBytes);
  return kGigabytes / SecondsSince(start);
}

struct Kind {
  std::string warm, cold;     // names of the figures
  std::function<int()> open;  // a fresh file
  bool collapse;              // huge pages are asked for, range by range
};

void Measure(Report* report, const std::vector<char>& source, const Kind& kind) {
  if (!report->Wants({kind.warm, kind.cold})) return;
  bool refused = false;
  std::vector<double> warm, cold;
  for (int round = 0; round < report->Rounds(3) && !refused; ++round) {
    Mapping mapping(kind.open());
    refused = !mapping.ok();
    if (refused) break;
    cold.push_back(TimedCopy(mapping.data(), source,
                             [&] { refused = kind.collapse && !TakeHugePages(mapping.data()); }));
    for (int again = 0; again < 3; ++again) {
      warm.push_back(TimedCopy(mapping.data(), source, [] {}));
    }
  }
  if (refused) return report->Note(kind.cold + ": not to be had on this machine");
  report->Add({.name = kind.warm, .value = Median(warm), .unit = "GB/s", .n = warm.size()});
  report->Add({.name = kind.cold, .value = Median(cold), .unit = "GB/s", .n = cold.size()});
}

}  // namespace

void MeasureSharedPages(Report* report) {
  const Kind kKinds[] = {
      {"memcpy warm shared pages", "memcpy cold shared pages, 4k pages", &MemoryFile, false},
      {"memcpy warm shared pages, huge pages", "memcpy cold shared pages, huge pages", &MemoryFile,
       true},
      {"memcpy warm shared pages, huge tmpfs", "memcpy cold shared pages, huge tmpfs",
       &HugeTmpfsFile, false}};
  bool wanted = false;
  for (const Kind& kind : kKinds) wanted |= report->Wants({kind.warm, kind.cold});
  if (!wanted) return;
  std::vector<char> source(kCopyBytes, 1);
  for (const Kind& kind : kKinds) Measure(report, source, kind);
}

}  // namespace kiln::cli::microbenchmark
