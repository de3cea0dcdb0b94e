// Actors that die, are killed and started anew, and what their callers learn. The effects of calls
// are counted in files.
#include <signal.h>

#include <catch2/catch.hpp>

#include "tests/cluster/actors.h"
#include "tests/cluster/files.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

std::string WhatOf(const Session& session, const Ref<int>& ref) {
  try {
    session.Get(ref, kDeadline);
  } catch (const ActorError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a call whose actor dies has run once at most", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto counter = session.Create<Counter>(0);
  auto lost = counter.Call(&Counter::AddAndDie, head.File("lost"), SIGSEGV);
  auto behind = counter.Call(&Counter::AddAndDie, head.File("behind"), 0);
  CHECK_THROWS_AS(session.Get(lost, kDeadline), ActorDiedError);
  CHECK_THROWS_AS(session.Get(behind, kDeadline), ActorDiedError);
  CHECK_THAT(WhatOf(session, lost), Catch::Contains("SIGSEGV"));
  CHECK_THAT(WhatOf(session, counter.Call(&Counter::Value)), Catch::Contains("SIGSEGV"));
  CHECK(SizeOf(head.File("lost")) == 1);
  CHECK(SizeOf(head.File("behind")) == 0);
}

TEST_CASE("an actor that died is started anew by its constructor, max_restarts times", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto counter = session.With(ActorOptions{.max_restarts = 2}).Create<Counter>(10);
  CHECK(session.Get(counter.Call(&Counter::Add, 1), kDeadline) == 11);
  for (uint32_t restarts : {1u, 2u}) {
    auto lost = counter.Call(&Counter::AddAndDie, head.File("lost"), SIGKILL);
    CHECK_THROWS_AS(session.Get(lost, kDeadline), ActorUnavailableError);
    CHECK(session.Get(counter.Call(&Counter::Restarts), kDeadline) == restarts);
    CHECK(session.Get(counter.Call(&Counter::Add, 1), kDeadline) == 11);
  }
  CHECK_THROWS_AS(
      session.Get(counter.Call(&Counter::AddAndDie, head.File("lost"), SIGKILL), kDeadline),
      ActorDiedError);
  CHECK(SizeOf(head.File("lost")) == 3);
  CHECK_THROWS_AS(session.Get(counter.Call(&Counter::Value), kDeadline), ActorDiedError);
}

TEST_CASE("calls with max_task_retries run again after a restart, in their order", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto counter =
      session.With(ActorOptions{.max_restarts = -1, .max_task_retries = 5}).Create<Counter>(0);
  auto dies = counter.Call(&Counter::AddInAttempt, head.File("dies"), 3);
  std::vector<Ref<int>> behind;
  for (int i = 0; i < 50; ++i) behind.push_back(counter.Call(&Counter::Add, 1));
  CHECK(session.Get(dies, kDeadline) == 1);
  const std::vector<int> counts = session.Get(behind, kDeadline);
  for (int i = 0; i < 50; ++i) CHECK(counts[static_cast<size_t>(i)] == i + 2);
  CHECK(SizeOf(head.File("dies")) == 3);
  CHECK(session.Get(counter.Call(&Counter::Restarts), kDeadline) == 2);
  // A call may have fewer than its actor gives.
  auto once =
      counter.With({.max_task_retries = 0}).Call(&Counter::AddAndDie, head.File("once"), SIGKILL);
  CHECK_THROWS_AS(session.Get(once, kDeadline), ActorUnavailableError);
  CHECK(SizeOf(head.File("once")) == 1);
}

TEST_CASE("a call that throws runs again if it asks for that", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto counter = session.Create<Counter>(0);
  auto enough = counter.With({.max_task_retries = 3, .retry_exceptions = true})
                    .Call(&Counter::AddIfAttempt, head.File("enough"), 4);
  CHECK(session.Get(enough, kDeadline) == 1);
  auto never = counter.Call(&Counter::AddIfAttempt, head.File("never"), 2);
  CHECK_THROWS_AS(session.Get(never, kDeadline), TaskError);
  CHECK(SizeOf(head.File("never")) == 1);
}

TEST_CASE("kill ends an actor, or starts it anew", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto counter = session.With(ActorOptions{.max_restarts = 1}).Create<Counter>(0);
  auto running = counter.Call(&Counter::Gate, head.File("begun"), head.File("gate"));
  REQUIRE(AwaitFile(head.File("begun")));
  session.Kill(counter, /*no_restart=*/false);
  CHECK_THROWS_AS(session.Get(running, kDeadline), ActorUnavailableError);
  CHECK(session.Get(counter.Call(&Counter::Restarts), kDeadline) == 1);
  auto again = counter.Call(&Counter::Gate, head.File("again"), head.File("gate"));
  REQUIRE(AwaitFile(head.File("again")));
  session.Kill(counter);
  CHECK_THROWS_AS(session.Get(again, kDeadline), ActorDiedError);
  CHECK_THROWS_AS(session.Get(counter.Call(&Counter::Value), kDeadline), ActorDiedError);
}

TEST_CASE("an actor exits by itself, and is not started anew", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto counter = session.With(ActorOptions{.max_restarts = -1})
                     .Create<Counter>(head.File("begun"), head.File("ended"));
  auto before = counter.Call(&Counter::Add, 1);
  auto exits = counter.Call(&Counter::Exit);
  auto after = counter.Call(&Counter::AddAndDie, head.File("after"), 0);
  CHECK(session.Get(before, kDeadline) == 1);
  CHECK_THROWS_AS(session.Get(exits, kDeadline), ActorDiedError);
  CHECK_THROWS_AS(session.Get(after, kDeadline), ActorDiedError);
  CHECK(AwaitFile(head.File("ended")));
  CHECK(SizeOf(head.File("begun")) == 1);
  CHECK(SizeOf(head.File("after")) == 0);
}

TEST_CASE("no call runs twice while its actor is killed again and again", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  const std::string effects = head.File("effects");
  auto counter = session.With(ActorOptions{.max_restarts = -1}).Create<Counter>(0);
  size_t done = 0, unknown = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<Ref<int>> calls;
    for (int i = 0; i < 20; ++i) {
      calls.push_back(counter.Call(&Counter::AddAndDie, effects, 0));
    }
    if (round % 4 == 0) session.Kill(counter, /*no_restart=*/false);
    for (const Ref<int>& call : calls) {
      try {
        session.Get(call, kDeadline);
        ++done;
      } catch (const ActorUnavailableError&) {
        ++unknown;
      }
    }
  }
  CHECK(done + unknown == 400);
  CHECK(SizeOf(effects) >= done);
  CHECK(SizeOf(effects) <= done + unknown);
}

}  // namespace kiln::testing
