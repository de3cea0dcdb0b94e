// Get and Wait of a driver: one, many, some, with and without time.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <set>
#include <thread>

#include "tests/cluster/files.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

using std::chrono::milliseconds;

int Identity(int value) {
  return value;
}
KILN_TASK(Identity);

int Fail(const std::string& message) {
  throw std::runtime_error(message);
}
KILN_TASK(Fail);

int AfterGate(const std::string& gate, int value) {
  WaitUntil([&] { return Exists(gate) || Cancelled(); }, kDeadline);
  return value;
}
KILN_TASK(AfterGate);

}  // namespace

TEST_CASE("Wait keeps the order of the refs and gives at most num_returns", "[wait]") {
  TestHead head;
  Session session = head.Connect();
  std::vector<Ref<int>> refs;
  for (int i = 0; i < 10; ++i) {
    refs.push_back(i % 2 ? session.Put(i) : session.Submit(AfterGate, head.File("gate"), i));
  }
  auto two = session.Wait(refs, 2);
  CHECK(two.ready == std::vector{refs[1], refs[3]});
  CHECK(two.not_ready.size() == 8);
  CHECK(
      std::is_sorted(two.not_ready.begin(), two.not_ready.end(), [&](const auto& a, const auto& b) {
        return std::find(refs.begin(), refs.end(), a) < std::find(refs.begin(), refs.end(), b);
      }));
  auto now = session.Wait(refs, 10, milliseconds(0));
  CHECK(now.ready.size() == 5);
  CHECK(now.not_ready == std::vector{refs[0], refs[2], refs[4], refs[6], refs[8]});
  CHECK(session.Wait(refs, 10, milliseconds(50)).ready.size() == 5);
  Append(head.File("gate"), "x");
  CHECK(session.Wait(refs, 10).ready == refs);
}

TEST_CASE("Wait counts errors as ready and refuses counts that cannot be met", "[wait]") {
  TestHead head;
  Session session = head.Connect();
  std::vector<Ref<int>> refs = {session.Submit(Fail, "no")};
  CHECK(session.Wait(refs, 1, kDeadline).ready.size() == 1);
  CHECK_THROWS_AS(session.Get(refs[0]), TaskError);
  CHECK_THROWS_AS(session.Wait(refs, 2), std::invalid_argument);
  CHECK_THROWS_AS(session.Wait(refs, 0), std::invalid_argument);
}

TEST_CASE("Wait for one of 10,000, again and again, handles each once", "[wait]") {
  TestHead head;
  Session session = head.Connect();
  std::vector<Ref<int>> pending;
  for (int i = 0; i < 10'000; ++i) pending.push_back(session.Submit(Identity, i));
  std::set<int> seen;
  while (!pending.empty()) {
    auto found = session.Wait(pending, std::min<size_t>(pending.size(), 100), kDeadline);
    REQUIRE_FALSE(found.ready.empty());
    for (int value : session.Get(found.ready)) CHECK(seen.insert(value).second);
    pending = std::move(found.not_ready);
  }
  CHECK(seen.size() == 10'000);
}

TEST_CASE("Get gives up when its time is over, and the object comes all the same", "[wait]") {
  TestHead head;
  Session session = head.Connect();
  auto ref = session.Submit(AfterGate, head.File("gate"), 7);
  CHECK_THROWS_AS(session.Get(ref, milliseconds(0)), GetTimeoutError);
  CHECK_THROWS_AS(session.Get(ref, milliseconds(30)), GetTimeoutError);
  CHECK_THROWS_AS(session.Get(std::vector{session.Put(1), ref}, milliseconds(30)), GetTimeoutError);
  Append(head.File("gate"), "x");
  CHECK(session.Get(ref, kDeadline) == 7);
  CHECK(session.Get(ref, milliseconds(0)) == 7);
}

TEST_CASE("Get of many gives values in order, the same ref twice too", "[wait]") {
  TestHead head;
  Session session = head.Connect();
  auto one = session.Submit(Identity, 1);
  auto two = session.Submit(Identity, 2);
  CHECK(session.Get(std::vector{two, one, two}) == std::vector<int>{2, 1, 2});
  CHECK(session.Get(std::vector<Ref<int>>{}).empty());
  std::vector<Ref<int>> mixed = {one, session.Submit(Fail, "first"),
                                 session.Submit(Fail, "second")};
  try {
    session.Get(mixed);
    FAIL("no error came");
  } catch (const TaskError& error) {
    CHECK(error.message() == "first");
  }
}

TEST_CASE("a released object is lost for who knows only its name", "[wait]") {
  TestHead head;
  Session session = head.Connect();
  std::string id = session.Put(5).id();
  CHECK(WaitUntil([&] { return head.Status().objects() == 0; }, kDeadline));
  CHECK_THROWS_AS(session.Get(session.FromId<int>(id), kDeadline), ObjectLostError);
  auto text = session.Put("text");
  CHECK_THROWS_AS(session.Get(session.FromId<int>(text.id())), TypeMismatchError);
}

TEST_CASE("two threads of a driver use one session", "[wait]") {
  TestHead head;
  Session session = head.Connect();
  std::atomic<int> wrong{0};
  auto shared = session.Submit(AfterGate, head.File("gate"), 11);
  auto work = [&](int base) {
    for (int i = 0; i < 300; ++i) {
      auto ref = session.Submit(Identity, base + i);
      auto big = session.Put(std::vector<int>(30'000, base));
      if (session.Get(ref) != base + i) ++wrong;
      if (session.Get(big).back() != base) ++wrong;
      if (session.Wait(std::vector{ref, shared}, 1).ready.empty()) ++wrong;
    }
    if (session.Get(shared) != 11) ++wrong;
  };
  std::thread first(work, 0), second(work, 1'000'000);
  Append(head.File("gate"), "x");
  first.join();
  second.join();
  CHECK(wrong == 0);
}

}  // namespace kiln::testing
