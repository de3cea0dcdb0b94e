// Values of all sizes in the store: shared without copies, guarded by the MMU, given back.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <numeric>

#include "tests/cluster/files.h"
#include "tests/cluster/tasks.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// A value of this size whose bytes depend on where they are.
std::string Pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 2654435761U) >> 24);
  return text;
}

std::string EchoText(const std::string& text) {
  return text;
}
KILN_TASK(EchoText);

double Sum(const Array<double>& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), 0.0);
}
KILN_TASK(Sum);

Array<double> Counting(size_t size) {
  auto numbers = MakeArray<double>(size);
  std::iota(numbers.begin(), numbers.end(), 0.0);
  return numbers;
}
KILN_TASK(Counting);

// Gives the argument on, as it lies in the store.
Array<double> Same(const Array<double>& numbers) {
  return numbers;
}
KILN_TASK(Same);

void WriteInto(const Array<double>& numbers) {
  const_cast<double*>(numbers.data())[numbers.size() / 2] = 1;
}
KILN_TASK(WriteInto);

// Keeps an argument beyond its task.
double Keep(const Array<double>& numbers) {
  static std::vector<Array<double>> kept;
  kept.push_back(numbers);
  return kept.front()[1];
}
KILN_TASK(Keep);

void DieCreating(size_t size) {
  auto numbers = MakeArray<double>(size);
  numbers[0] = 1;
  raise(SIGKILL);
}
KILN_TASK(DieCreating);

// For processes started while it lives: the kernel gives them no huge pages.
class NoHugePages {
 public:
  NoHugePages() { REQUIRE(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0); }
  ~NoHugePages() { CHECK(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0); }
};

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Holds two sealed arrays and is in the middle of a third.
const DriverProgram kHoarder("hoarder", [](const Session& session, const auto& arguments) {
  size_t size = std::stoul(arguments[0]);
  std::vector<Ref<Array<double>>> refs;
  for (int i = 0; i < 2; ++i) refs.push_back(session.Put(session.Create<double>(size)));
  auto made = session.Get(session.Submit(Counting, size));
  auto unfinished = session.Create<double>(size);
  unfinished[0] = 1;
  std::puts("holding");
  std::fflush(stdout);
  WaitUntil([] { return false; }, kDeadline);
  return made.empty() ? 1 : 0;
});

const DriverProgram kVandal("vandal", [](const Session& session, const auto&) {
  auto numbers = session.Create<double>(100'000);
  double* data = numbers.data();
  data[0] = 1;  // still ours
  auto ref = session.Put(std::move(numbers));
  std::puts("sealed");
  std::fflush(stdout);
  data[0] = 2;
  return 0;
});

const DriverProgram kScribbler("scribbler", [](const Session& session, const auto&) {
  auto numbers = session.Get(session.Submit(Counting, 100'000));
  std::puts("got");
  std::fflush(stdout);
  const_cast<double*>(numbers.data())[0] = 2;
  return 0;
});

// Two results, of which a small store may have room for one alone.
std::tuple<std::string, std::string> MakeTwo(size_t size_bytes) {
  return {Pattern(size_bytes), Pattern(size_bytes)};
}
KILN_TASK(MakeTwo);

}  // namespace

TEST_CASE("values of 0 bytes to 256 MiB come back as they were put", "[store]") {
  TestHead head({.store = "300MiB"});
  Session session = head.Connect();
  size_t limit = 64 * 1024;
  for (size_t size : {size_t{0}, size_t{1}, size_t{4096}, limit - 64, limit - 1, limit, limit + 1,
                      kMiB, 16 * kMiB, 256 * kMiB}) {
    INFO(size);
    std::string text = Pattern(size);
    auto ref = session.Put(text);
    CHECK((session.Get(ref) == text));
    if (size <= 16 * kMiB) {
      CHECK(session.Get(session.Submit(CountBytes, ref)) == size);
      CHECK((session.Get(session.Submit(EchoText, text)) == text));
    }
  }
}

TEST_CASE("two Gets of an array see the same memory, without a copy", "[store]") {
  TestHead head;
  Session session = head.Connect();
  auto filled = session.Create<double>({1000, 200});
  std::iota(filled.begin(), filled.end(), 0.0);
  const double* written_at = filled.data();
  auto ref = session.Put(std::move(filled));
  Array<double> first = session.Get(ref);
  Array<double> second = session.Get(ref);
  CHECK(first.data() == written_at);
  CHECK(second.data() == written_at);
  CHECK(first.shape() == std::vector<size_t>{1000, 200});
  CHECK(first(3, 7) == 607);
  CHECK(session.Get(session.Submit(Sum, ref)) == 199'999.0 * 200'000 / 2);

  auto empty = session.Put(session.Create<double>(size_t{0}));
  CHECK(session.Get(empty).empty());
  CHECK(session.Get(session.Submit(Sum, empty)) == 0);
}

TEST_CASE("an array made by a task lies in the store once", "[store]") {
  TestHead head;
  Session session = head.Connect();
  constexpr size_t kCount = 2'000'000;
  auto ref = session.Submit(Counting, kCount);
  Array<double> numbers = session.Get(ref);
  CHECK(numbers[kCount - 1] == kCount - 1);
  uint64_t used = head.Status().store_used_bytes();
  CHECK(used >= kCount * 8);
  CHECK(used < kCount * 8 + kMiB);
  CHECK(session.Get(session.Submit(Sum, ref)) == double(kCount - 1) * kCount / 2);
  CHECK(session.Get(session.Submit(Same, ref))[5] == 5);
}

TEST_CASE("what was released is free at once, what is looked at is not", "[store]") {
  TestHead head({.store = "64MiB"});
  Session session = head.Connect();
  Array<double> view;
  {
    auto ref = session.Submit(Counting, size_t{1'000'000});
    view = session.Get(ref);
  }
  // The view holds its object although no ref does.
  auto other = session.Put(Pattern(kMiB));
  CHECK(head.Status().store_used_bytes() >= 8'000'000 + kMiB);
  CHECK(view[999'999] == 999'999);
  view = {};
  other = {};
  CHECK(WaitUntil([&] { return head.Status().store_used_bytes() == 0; }, kDeadline));
  for (int i = 0; i < 50; ++i) session.Put(Pattern(20 * kMiB));  // 1,000 MiB through 64
}

TEST_CASE("an argument that a task keeps stays as it was", "[store]") {
  TestHead head({.num_cpus = 1, .store = "64MiB"});
  {
    Session session = head.Connect();
    CHECK(session.Get(session.Submit(Keep, session.Submit(Counting, size_t{100'000}))) == 1);
    for (int i = 0; i < 10; ++i) session.Put(Pattern(30 * kMiB));
    CHECK(session.Get(session.Submit(Keep, session.Submit(Counting, size_t{100'000}))) == 1);
  }
  // With the driver, its workers go, and what they kept.
  CHECK(WaitUntil([&] { return head.IsIdle(); }, kDeadline));
}

TEST_CASE("writing to a sealed array kills the writer with SIGSEGV", "[store]") {
  TestHead head;
  Child vandal = head.Drive("vandal");
  CHECK(vandal.AwaitExitCode() == -SIGSEGV);
  CHECK(Contains(vandal.Output(), "sealed"));
  Child scribbler = head.Drive("scribbler");
  CHECK(scribbler.AwaitExitCode() == -SIGSEGV);
  CHECK(Contains(scribbler.Output(), "got"));

  Session session = head.Connect();
  auto numbers = session.Submit(Counting, size_t{100'000});
  try {
    session.Get(session.With({.max_retries = 0}).Submit(WriteInto, numbers), kDeadline);
    FAIL("no error came");
  } catch (const WorkerCrashedError& error) {
    CHECK(Contains(error.what(), "SIGSEGV"));
  }
  CHECK(session.Get(session.Submit(Sum, numbers)) == 99'999.0 * 100'000 / 2);
}

TEST_CASE("a full store says how full, and who holds it, and works again when they let go",
          "[store]") {
  TestHead head({.store = "8MiB"});
  Session session = head.Connect();
  std::vector<Ref<std::string>> held;
  for (int i = 0; i < 3; ++i) held.push_back(session.Put(Pattern(2 * kMiB)));
  auto counted = session.Submit(Counting, size_t{100'000});
  session.Get(counted);
  try {
    session.Put(Pattern(4 * kMiB));
    FAIL("no error came");
  } catch (const ObjectStoreFullError& error) {
    std::string what = error.what();
    INFO(what);
    CHECK(Contains(what, std::to_string(8 * kMiB)));               // the capacity
    CHECK(Contains(what, std::to_string(4 * kMiB).substr(0, 4)));  // what was asked for
    for (const auto& ref : held) CHECK(Contains(what, ref.id()));
    CHECK(Contains(what, "Counting"));
  }
  CHECK_THROWS_AS(session.Create<double>(size_t{1} << 30), ObjectStoreFullError);
  auto task = session.With({.max_retries = 0}).Submit(Counting, size_t{500'000});
  CHECK_THROWS_AS(session.Get(task, kDeadline), ObjectStoreFullError);
  CHECK_THROWS_AS(session.Submit(CountBytes, Pattern(4 * kMiB)), Error);

  held.clear();
  REQUIRE(WaitUntil([&] { return head.Status().store_used_bytes() < kMiB; }, kDeadline));
  CHECK(session.Get(session.Submit(CountBytes, Pattern(4 * kMiB))) == 4 * kMiB);
}

TEST_CASE("a driver killed with its hands full gives everything back", "[store][kill]") {
  TestHead head({.store = "300MiB"});
  constexpr size_t kCount = 8 * kMiB;  // 64 MiB each, four of them
  for (int round = 0; round < 3; ++round) {
    Child hoarder = head.Drive("hoarder", {std::to_string(kCount)});
    REQUIRE(hoarder.AwaitOutput("holding"));
    CHECK(head.Status().store_used_bytes() >= 4 * 8 * kCount);
    hoarder.Kill(SIGKILL);
    CHECK(WaitUntil([&] { return head.Status().store_used_bytes() == 0; }, kDeadline));
  }
}

TEST_CASE("a worker killed in the middle of a result gives its room back", "[store][kill]") {
  TestHead head({.store = "64MiB"});
  Session session = head.Connect();
  auto dead = session.With({.max_retries = 2}).Submit(DieCreating, size_t{4'000'000});
  CHECK_THROWS_AS(session.Get(dead, kDeadline), WorkerCrashedError);
  dead = {};
  CHECK(WaitUntil([&] { return head.Status().store_used_bytes() == 0; }, kDeadline));
}

TEST_CASE("results that do not all fit leave none behind", "[store]") {
  TestHead head({.store = "16MiB"});
  Session session = head.Connect();
  for (int i = 0; i < 3; ++i) {
    auto [first, second] = session.With({.max_retries = 0}).SubmitTuple(MakeTwo, 9 * kMiB);
    CHECK_THROWS_AS(session.Get(first, kDeadline), ObjectStoreFullError);
    CHECK_THROWS_AS(session.Get(second, kDeadline), ObjectStoreFullError);
  }
  CHECK(session.Get(session.Put(Pattern(9 * kMiB))).size() == 9 * kMiB);
}

TEST_CASE("a store has the pages asked for, and says which", "[store][pages]") {
  bool has_huge = TestHead({.store_pages = "auto"}).Status().store_pages() == "huge";
  for (std::string pages : {"4k", "huge", "auto"}) {
    if (pages == "huge" && !has_huge) {
      WARN("not tested: this machine has no huge pages to give");
      continue;
    }
    INFO(pages);
    TestHead head({.store = "512MiB", .store_pages = pages});
    bool huge = pages != "4k" && has_huge;
    CHECK(head.Status().store_pages() == (huge ? "huge" : "4k"));
    Child status = head.Kiln({"status"});
    CHECK(status.AwaitExitCode() == 0);
    CHECK(Contains(status.Output(), huge ? "(huge pages, " : "(4 KiB pages, "));

    Session session = head.Connect();
    for (int round = 0; round < 2; ++round) {  // into cold memory, then into warm
      std::string text = Pattern(100 * kMiB + 12'345);
      auto copied = session.Put(text);
      CHECK((session.Get(copied) == text));
      auto filled = session.Create<double>(16 * kMiB);
      std::iota(filled.begin(), filled.end(), 0.0);
      const double* written_at = filled.data();
      auto in_place = session.Put(std::move(filled));
      CHECK(session.Get(in_place).data() == written_at);
      CHECK(session.Get(session.Submit(Sum, in_place)) == double(16 * kMiB - 1) * 8 * kMiB);
    }
  }
}

TEST_CASE("huge pages that cannot be had are an error, or done without", "[store][pages]") {
  NoHugePages guard;
  TestHead other({.store_pages = "auto"});
  CHECK(other.Status().store_pages() == "4k");
  CHECK(Contains(other.Status().store_pages_reason(), "PR_SET_THP_DISABLE"));
  Child status = other.Kiln({"status"});
  CHECK(status.AwaitExitCode() == 0);
  CHECK(Contains(status.Output(), "no huge ones: "));

  TempDir dir;
  Child start =
      other.Kiln({"start", "--head", "--store-pages", "huge", "--session-dir", dir / "s"});
  CHECK(start.AwaitExitCode() == 1);
  CHECK(Contains(start.Output(), "--store-pages huge: "));
  CHECK(Contains(start.Output(), "PR_SET_THP_DISABLE"));
  CHECK(WaitUntil([&] { return ProcessesNaming(dir / "s").empty(); }, kDeadline));
}

TEST_CASE("a quarter of a store gets its memory ahead, by and by", "[store][pages]") {
  for (std::string pages : {"4k", "auto"}) {
    TestHead head({.store = "64MiB", .store_pages = pages});
    CHECK(WaitUntil([&] { return !head.Status().store_prefaulting(); }, kDeadline));
    CHECK(head.Status().store_warm_bytes() == 16 * kMiB);
    CHECK(head.Status().store_used_bytes() == 0);
  }
}

}  // namespace kiln::testing
