// What a queued task costs.
#include <malloc.h>

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
  h.core.OnSessionClosed(CoreHarness::kDriver, h.now);
  h.core.TakeDecisions();
  CHECK((used() - before) / kTasks < 10);
}

}  // namespace
}  // namespace kiln::core
