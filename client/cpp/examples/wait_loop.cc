// Results handled as they finish: while the driver handles one, workers go on with the others. The
// tasks take different times, so waiting for them in the order submitted would leave workers idle.
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#include "example.h"
#include "tasks.h"

namespace {

// What the driver does with each result: a tenth of a task's work.
int64_t Handle(int64_t result, int64_t work) {
  return examples::Combine(result, 1, work / 10);
}

int64_t RunSerially(const std::vector<int64_t>& ends, int64_t work) {
  int64_t total = 0;
  for (int64_t end : ends) total += Handle(examples::SumRange(0, end), work);
  return total;
}

int64_t RunByTasks(kiln::Session& session, const std::vector<int64_t>& ends, int64_t work) {
  std::vector<kiln::Ref<int64_t>> pending;
  for (int64_t end : ends) pending.push_back(session.Submit(examples::SumRange, 0, end));
  int64_t total = 0;
  while (!pending.empty()) {
    kiln::WaitResult<int64_t> found = session.Wait(std::move(pending));
    total += Handle(session.Get(found.ready[0]), work);
    pending = std::move(found.not_ready);
  }
  return total;
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = examples::ParseArguments(argc, argv);
  const int tasks = arguments.small ? 20 : 100;
  const int64_t work = arguments.small ? 200'000 : 20'000'000;
  kiln::Session session = examples::Start(argc, argv);
  std::printf("%d tasks of different lengths, each result handled as it comes\n", tasks);

  std::mt19937 random(1);
  std::vector<int64_t> ends;
  for (int i = 0; i < tasks; ++i) ends.push_back(static_cast<int64_t>(random() % work) + 1);
  int64_t expected = 0, total = 0;
  double serial_ms = examples::Milliseconds([&] { expected = RunSerially(ends, work); });
  double kiln_ms = examples::Milliseconds([&] { total = RunByTasks(session, ends, work); });
  return examples::Conclude("wait_loop", total == expected, serial_ms, kiln_ms);
}
