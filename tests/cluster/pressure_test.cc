// More work than fits: queues of a million, and what happens at their bounds.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/cluster/files.h"
#include "tests/cluster/tasks.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

void Nothing() {}
KILN_TASK(Nothing);

}  // namespace

TEST_CASE("a million queued tasks drain, at less than 700 bytes of the head's memory each",
          "[pressure]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  auto gate = session.Submit(Gate, head.File("begun"), head.File("gate"));
  REQUIRE(AwaitFile(head.File("begun")));
  const uint64_t count = kSanitized ? 100'000 : 1'000'000;
  uint64_t before = ResidentBytes(head.pid());
  std::vector<Ref<void>> refs;
  refs.reserve(count);
  for (uint64_t i = 0; i < count; ++i) refs.push_back(session.Submit(Nothing));
  REQUIRE(WaitUntil([&] { return head.Status().tasks_ready() == count; }, kDeadline));
  if (!kSanitized) CHECK((ResidentBytes(head.pid()) - before) / count < 700);
  Append(head.File("gate"), "x");
  session.Get(refs);
  CHECK(head.Status().tasks_finished() == count + 1);
  CHECK(head.Status().tasks_failed() == 0);
}

TEST_CASE("beyond the bound a submit waits, or is refused when it shall not, and nothing is lost",
          "[pressure]") {
  if (kSanitized) return;  // 2 GiB of arguments
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  auto gate = session.Submit(Gate, head.File("begun"), head.File("gate"));
  REQUIRE(AwaitFile(head.File("begun")));
  const std::string argument(64'000, 'x');  // rides in the frame
  constexpr size_t kCount = 36'000;         // 2.3 GB
  std::atomic<size_t> submitted{0};
  std::vector<Ref<size_t>> refs;
  std::thread submitter([&] {
    for (size_t i = 0; i < kCount; ++i) {
      refs.push_back(session.Submit(CountBytes, argument));
      ++submitted;
    }
  });
  // A session may be 64 MiB ahead of the head's answer, then it stands still.
  bool full =
      WaitUntil([&] { return head.Status().queued_bytes() >= uint64_t{2} << 30; }, kDeadline);
  std::vector<Ref<size_t>> more;
  bool refused = false;
  while (!refused && more.size() < 2'000) {
    try {
      more.push_back(session.With({.block = false}).Submit(CountBytes, argument));
    } catch (const ResourceExhaustedError&) {
      refused = true;
    }
  }
  size_t submitted_before = submitted;
  Append(head.File("gate"), "x");
  submitter.join();
  CHECK(full);
  CHECK(refused);
  CHECK(submitted_before < kCount);
  for (size_t size : session.Get(refs)) REQUIRE(size == argument.size());
  for (size_t size : session.Get(more)) REQUIRE(size == argument.size());
}

}  // namespace kiln::testing
