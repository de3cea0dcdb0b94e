// Handing a small message from process to process and back, with nothing else in between.
#include "client/cli/microbenchmark/hand_over.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <new>

#include "client/cli/microbenchmark/byte_ring.h"

namespace kiln::cli::microbenchmark {
namespace {

constexpr uint32_t kMessageBytes = 128;  // a task without arguments, and its result
constexpr Report::Repeat kTight = {.duration = std::chrono::milliseconds(1000)};
constexpr Report::Repeat kThinking = {.duration = std::chrono::milliseconds(1000),
                                      .think = std::chrono::microseconds(20)};

// Forked; runs `body` until it is killed.
class Child {
 public:
  template <typename Body>
  explicit Child(Body body) : pid_(fork()) {
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) body();
  }
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  bool ok() const { return pid_ > 0; }

 private:
  pid_t pid_;
};

struct Rings {
  ByteRing to_middle, to_worker, from_worker, from_middle;
};

void PassOn(ByteRing* from, ByteRing* to) {
  char message[kMessageBytes];
  uint32_t size = from->Receive(message);
  to->Send(message, size);
}

}  // namespace

void MeasureRingHandOver(Report* report) {
  if (!report->Wants({"ring hand-over", "ring hand-over, think 20 us"})) return;
  void* memory =
      mmap(nullptr, sizeof(Rings), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  Rings* rings = new (memory) Rings;
  {
    // The middle one looks at both sides in turn, as a head does.
    Child worker([rings] { PassOn(&rings->to_worker, &rings->from_worker); });
    Child middle([rings] {
      PassOn(&rings->to_middle, &rings->to_worker);
      PassOn(&rings->from_worker, &rings->from_middle);
    });
    char message[kMessageBytes] = {};
    auto round_trip = [&] {
      rings->to_middle.Send(message, kMessageBytes);
      rings->from_middle.Receive(message);
    };
    if (worker.ok() && middle.ok()) {
      report->Rate("ring hand-over", "calls/s", round_trip, kTight);
      report->Rate("ring hand-over, think 20 us", "calls/s", round_trip, kThinking);
    }
  }
  munmap(memory, sizeof(Rings));
}

void MeasurePipeRoundTrip(Report* report) {
  const std::string name = "pipe round trip";
  if (!report->Wants({name})) return;
  int there[2], back[2];
  if (pipe(there) != 0) return;
  if (pipe(back) == 0) {
    char message[kMessageBytes] = {};
    Child echo([&] {
      if (read(there[0], message, sizeof message) != sizeof message) _exit(1);
      if (write(back[1], message, sizeof message) != sizeof message) _exit(1);
    });
    auto round_trip = [&] {
      if (write(there[1], message, sizeof message) != sizeof message) return;
      (void)!read(back[0], message, sizeof message);
    };
    if (echo.ok()) report->Rate(name, "calls/s", round_trip, kTight);
    close(back[0]);
    close(back[1]);
  }
  close(there[0]);
  close(there[1]);
}

}  // namespace kiln::cli::microbenchmark
