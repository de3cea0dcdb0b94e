// What a loop does with shared memory that no descriptor tells of.
#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <thread>

#include "common/event_loop.h"
#include "tests/unit/wait_until.h"

namespace kiln {
namespace {

// Shared memory as a counter of things to do.
class Work : public EventLoop::Polled {
 public:
  bool Poll() override {
    ++polls;
    if (todo == 0) return false;
    --todo;
    if (on_work) on_work();
    return true;
  }
  bool Park() override {
    ++parks;
    return todo == 0;
  }
  void Unpark() override { ++unparks; }

  std::atomic<int> todo = 0, polls = 0, parks = 0, unparks = 0;
  std::function<void()> on_work;
};

TEST_CASE("what is polled is carried out in turns of its own, each with its end") {
  EventLoop loop;
  Work work;
  loop.set_polled(&work);
  int turns = 0;
  loop.set_after_turn([&] {
    if (++turns == 3) loop.Stop();
  });
  work.todo = 3;
  loop.Run();
  CHECK(work.todo == 0);
  CHECK(turns == 3);
  loop.set_polled(nullptr);
}

TEST_CASE("a loop that is about to sleep looks once more") {
  EventLoop loop;
  // Comes when nobody yields any more: Park finds it, and nothing else would wake the loop.
  struct Late : Work {
    bool Park() override {
      if (parks == 0) todo = 1;
      return Work::Park();
    }
  } late;
  loop.set_polled(&late);
  late.on_work = [&] { loop.Stop(); };
  loop.Run();
  CHECK(late.todo == 0);
  CHECK(late.parks == late.unparks);
  loop.set_polled(nullptr);
}

TEST_CASE("a post to a sleeping loop finds what came before it carried out") {
  EventLoop loop;
  Work work;
  loop.set_polled(&work);
  std::string order;
  work.on_work = [&] { order += "work "; };
  std::thread runner([&] { loop.Run(); });
  REQUIRE(testing::WaitUntil([&] { return work.parks > work.unparks; }, seconds(10)));
  work.todo = 1;  // no bell: it may wait until somebody looks
  loop.Post([&] { order += "post"; });
  REQUIRE(testing::WaitUntil([&] { return work.todo == 0; }, seconds(10)));
  loop.Post([&] { loop.Stop(); });
  runner.join();
  CHECK(order == "work post");
  loop.set_polled(nullptr);
}

TEST_CASE("descriptors and timers are served while polled work never ends") {
  EventLoop loop;
  Work work;
  loop.set_polled(&work);
  work.on_work = [&] { ++work.todo; };
  work.todo = 1;
  bool fired = false;
  loop.At(Clock::now() + milliseconds(5), [&] {
    fired = true;
    loop.Stop();
  });
  loop.Run();
  CHECK(fired);
  loop.set_polled(nullptr);
}

}  // namespace
}  // namespace kiln
