#include "common/event_loop.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/wait_until.h"

namespace kiln {
namespace {

struct Pipe {
  Pipe() { REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0); }
  ~Pipe() {
    close(ends[0]);
    if (ends[1] >= 0) close(ends[1]);
  }
  void Write() { REQUIRE(write(ends[1], "x", 1) == 1); }
  void CloseWriter() {
    close(ends[1]);
    ends[1] = -1;
  }
  int reader() const { return ends[0]; }
  int ends[2];
};

TEST_CASE("posts run in the order posted, those of a post in the next turn") {
  EventLoop loop;
  std::string order;
  loop.set_after_turn([&] { order += '|'; });
  loop.Post([&] {
    order += 'a';
    loop.Post([&] {
      order += 'c';
      loop.Stop();
    });
  });
  loop.Post([&] { order += 'b'; });
  loop.Run();
  CHECK(order == "ab|c|");
}

TEST_CASE("posts of many threads all run, each thread's in its order") {
  constexpr int kThreads = 4;
  constexpr int kPosts = 20'000;
  EventLoop loop;
  std::vector<int> next(kThreads, 0);
  bool ordered = true;
  int ran = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        loop.Post([&, t, i] {
          ordered = ordered && next[t]++ == i;
          if (++ran == kThreads * kPosts) loop.Stop();
        });
      }
    });
  }
  loop.Run();
  for (std::thread& thread : threads) thread.join();
  CHECK(ordered);
  CHECK(ran == kThreads * kPosts);
}

TEST_CASE("a post wakes a loop that sleeps") {
  EventLoop loop;
  std::atomic<bool> ran = false;
  std::thread thread([&] { loop.Run(); });
  for (int i = 0; i < 100; ++i) {
    ran = false;
    loop.Post([&] { ran = true; });
    CHECK(testing::WaitUntil([&] { return ran.load(); }, seconds(5)));
  }
  loop.Stop();
  thread.join();
}

TEST_CASE("a stop before the run ends it after one turn, and the loop can run again") {
  EventLoop loop;
  int ran = 0;
  for (int i = 1; i <= 2; ++i) {
    loop.Post([&] { ++ran; });
    loop.Stop();
    loop.Run();
    CHECK(ran == i);
  }
}

TEST_CASE("a watched descriptor is called while it is readable and when it hangs up") {
  EventLoop loop;
  Pipe pipe;
  int calls = 0;
  loop.Watch(pipe.reader(), [&] {
    if (++calls < 3) return;  // level-triggered: nothing was read, so it comes again
    char bytes[8];
    const ssize_t count = read(pipe.reader(), bytes, sizeof bytes);
    if (count == 1) pipe.CloseWriter();
    if (count == 0) loop.Stop();
  });
  pipe.Write();
  loop.Run();
  CHECK(calls == 4);
}

TEST_CASE("a callback may unwatch itself and others, whose events are then dropped") {
  EventLoop loop;
  Pipe first;
  Pipe second;
  int calls = 0;
  const auto token = std::make_shared<int>(7);
  const auto both = [&, token] {
    ++calls;
    loop.Unwatch(first.reader());
    loop.Unwatch(second.reader());
    CHECK(*token == 7);  // the callback outlives its own removal
    loop.Stop();
  };
  loop.Watch(first.reader(), both);
  loop.Watch(second.reader(), both);
  loop.Unwatch(12'345);
  first.Write();
  second.Write();
  loop.Run();
  CHECK(calls == 1);
}

TEST_CASE("an event of a closed descriptor is not taken for one of its number's next owner") {
  EventLoop loop;
  Pipe first;
  Pipe second;
  Pipe quiet;  // nothing to read
  bool stale = false;
  const auto reopen = [&](int fd) {
    loop.Unwatch(fd);
    REQUIRE(dup2(quiet.reader(), fd) == fd);
    loop.Watch(fd, [&] { stale = true; });
    loop.Stop();
  };
  loop.Watch(first.reader(), [&] { reopen(second.reader()); });
  loop.Watch(second.reader(), [&] { reopen(first.reader()); });
  first.Write();
  second.Write();
  loop.Run();
  CHECK_FALSE(stale);
}

TEST_CASE("timers run by time, equal ones by age, none before its time") {
  EventLoop loop;
  std::string order;
  const Time start = Clock::now();
  const Time soon = start + milliseconds(5);
  loop.At(soon + milliseconds(5), [&] {
    CHECK(Clock::now() >= start + milliseconds(10));
    order += 'd';
    loop.Stop();
  });
  loop.At(soon, [&] {
    CHECK(Clock::now() >= soon);
    order += 'b';
  });
  loop.At(soon, [&] { order += 'c'; });
  loop.At(start, [&] { order += 'a'; });
  loop.At(kNever, [&] { order += '!'; });
  loop.Run();
  CHECK(order == "abcd");
}

TEST_CASE("a cancelled timer does not run, also when cancelled by one of the same moment") {
  EventLoop loop;
  const Time now = Clock::now();
  std::string order;
  EventLoop::TimerId second = 0;
  const EventLoop::TimerId first = loop.At(now, [&] {
    order += 'a';
    loop.CancelTimer(second);
  });
  second = loop.At(now, [&] { order += 'b'; });
  loop.At(now, [&] {
    order += 'c';
    loop.CancelTimer(first);  // has fired
    loop.Stop();
  });
  loop.Run();
  CHECK(order == "ac");
}

TEST_CASE("a timer that sets itself again does not starve posts") {
  EventLoop loop;
  int fired = 0;
  std::function<void()> again = [&] {
    ++fired;
    loop.At(Clock::now(), again);
  };
  again();
  loop.Post([&] { loop.Post([&] { loop.Stop(); }); });
  loop.Run();
  CHECK(fired <= 4);
}

TEST_CASE("threads that post without end do not keep timers waiting") {
  // Each waits for its own post, as a stream does, so that the loop is never flooded.
  constexpr int kTimers = 400;  // fewer than 20 a second ran when posters took every turn
  EventLoop loop;
  std::atomic<bool> done{false};
  int fired = 0;
  std::function<void()> again = [&] {
    if (++fired == kTimers) return loop.Stop();
    loop.At(Clock::now() + milliseconds(1), again);
  };
  again();
  EventLoop::TimerId late = loop.At(Clock::now() + seconds(15), [&] { loop.Stop(); });
  std::vector<std::thread> posters;
  for (int i = 0; i < 2; ++i) {
    posters.emplace_back([&] {
      while (!done) {
        std::atomic<bool> ran{false};
        loop.Post([&] {
          for (Time end = Clock::now() + microseconds(20); Clock::now() < end;) {
          }
          ran = true;
          ran.notify_one();
        });
        while (!ran && !done) std::this_thread::yield();
      }
    });
  }
  loop.Run();
  CHECK(fired == kTimers);
  loop.CancelTimer(late);
  done = true;
  // What was posted after the end is still there and refers to the posters' stacks: it is not run.
  for (std::thread& poster : posters) poster.join();
}

TEST_CASE("what a post holds is let go as soon as it has run") {
  EventLoop loop;
  auto held = std::make_shared<int>(1);
  loop.Post([held] { CHECK(held.use_count() == 2); });
  loop.Post([&] {
    CHECK(held.use_count() == 1);
    loop.Stop();
  });
  loop.Run();
}

}  // namespace
}  // namespace kiln
