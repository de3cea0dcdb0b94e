// What this machine can do at best.
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/cli/microbenchmark/suites.h"

namespace kiln::cli::microbenchmark {
namespace {

constexpr size_t kCopyBytes = 1'000'000'000;  // as "single client put gigabytes"

// One thread's memcpy from touched private memory into shared pages that are all there.
void MeasureCopy(Report* report) {
  const std::string name = "memcpy warm shared pages";
  if (!report->Wants(name)) return;
  int fd = memfd_create("kiln-bench", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, kCopyBytes) != 0) return;
  void* shared = mmap(nullptr, kCopyBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (shared == MAP_FAILED) return;
  std::vector<char> source(kCopyBytes, 1);
  memset(shared, 2, kCopyBytes);
  report->Throughput(name, "", "GB/s", 5, [&] {
    memcpy(shared, source.data(), kCopyBytes);
    return kCopyBytes / 1e9;
  });
  munmap(shared, kCopyBytes);
}

}  // namespace

void MeasureMachine(Report* report, const std::string& head_address) {
  MeasureCopy(report);
  MeasureGrpcRoundTrip(report, head_address);
}

}  // namespace kiln::cli::microbenchmark
