// What a queued task costs.
#include <malloc.h>

#include "common/id_table.h"
#include "daemon/core/task_record.h"
#include "tests/unit/core_harness.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KILN_OWN_ALLOCATOR 1  // mallinfo2 knows nothing of a sanitizer's allocator
#else
#define KILN_OWN_ALLOCATOR 0
#endif

namespace kiln::core {
namespace {

TEST_CASE("a queued no-op task costs less than 350 bytes, which come back when it is gone") {
  if (KILN_OWN_ALLOCATOR) return;
  const auto used = [] { return mallinfo2().uordblks + mallinfo2().hblkhd; };
  CoreHarness h(1);
  h.auto_ready = false;
  constexpr int kTasks = 200'000;
  const ClassId task_class = h.Class(CoreHarness::Own("no-op"));
  const size_t before = used();
  for (int i = 0; i < kTasks; ++i) {
    TaskSpec spec;
    spec.id = h.NextId(CoreHarness::kDriver);
    spec.session = CoreHarness::kDriver;
    spec.task_class = task_class;
    spec.args = std::string(32, 'x');
    REQUIRE(h.core.OnTaskSubmitted(std::move(spec), h.now).ok());
  }
  CHECK(h.core.GetTotals().tasks_ready == kTasks);
  CHECK((used() - before) / kTasks < 350);
  const MemoryUse use = h.core.GetMemory();
  CHECK(use.tasks == kTasks);
  CHECK(use.objects == kTasks);
  CHECK(use.references == kTasks);
  const uint64_t counted =
      use.task_bytes + use.argument_bytes + use.object_bytes + use.reference_bytes;
  CHECK(counted > (used() - before) * 95 / 100);
  CHECK(counted < (used() - before) * 105 / 100);
  h.Pump();
  h.core.OnSessionClosed(CoreHarness::kDriver, h.now);
  h.Pump();
  CHECK(h.given_back == 1);
  std::vector<TaskEnded>().swap(h.ended);
  CHECK((used() - before) / kTasks < 10);
  CHECK(h.core.GetMemory().tasks == 0);
}

TEST_CASE("a task that is left over does not hold the memory of the others") {
  if (KILN_OWN_ALLOCATOR) return;
  IdTable<Task> table;
  constexpr uint64_t kTasks = 100'000;
  for (uint64_t id = 1; id <= kTasks; ++id) table.Insert(id);
  const size_t full = table.HeapBytes();
  CHECK(full / kTasks < sizeof(Task) + 8);
  for (uint64_t id = 1; id <= kTasks; ++id) {
    if (id != kTasks / 2) table.Erase(*table.Find(id));
  }
  CHECK(table.size() == 1);
  CHECK(table.Find(kTasks / 2)->id == kTasks / 2);
  CHECK(table.HeapBytes() < full / 50);
}

}  // namespace
}  // namespace kiln::core
