// Streaming tasks from end to end: items come while the task runs, whoever dies or waits.
//
// The C++ API has no generators: tasks hand items over, and tests take them, by libkiln's inside.
#include "worker/stream.h"

#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <optional>
#include <vector>

#include "tests/cluster/files.h"
#include "tests/cluster/tasks.h"
#include "tests/cluster/test_head.h"
#include "worker/peer_runtime.h"

namespace kiln::testing {
namespace {

template <typename T>
void Yield(const T& value) {
  const Status status =
      worker::CurrentStream()->Yield(detail::ValueCodec<T>::EncodeOwned(T(value)));
  if (status.code() == Code::kCancelled) throw TaskCancelledError(status.message());
  if (!status.ok()) throw std::runtime_error(status.message());
}

// --- tasks that stream ---------------------------------------------------------------------------

// 0, 1, .. below `count`; notes each in `made`, unless that is empty.
void StreamUp(int64_t count, const std::string& made) {
  for (int64_t i = 0; i < count; ++i) {
    if (!made.empty()) Append(made, "x");
    Yield(i);
  }
}
KILN_TASK(StreamUp);

// 0, and 1 when the file `gate` is there.
void StreamBehindGate(const std::string& gate) {
  Yield(int64_t{0});
  WaitUntil([&] { return Exists(gate) || Cancelled(); }, kDeadline);
  Yield(int64_t{1});
}
KILN_TASK(StreamBehindGate);

// 0, 1, 2, then throws.
void StreamAndThrow() {
  for (int64_t i = 0; i < 3; ++i) Yield(i);
  throw std::runtime_error("no more numbers");
}
KILN_TASK(StreamAndThrow);

// As StreamUp; each attempt notes its process in `begun` and stops for ever after `each` items more
// than the last one.
void StreamOneMore(int64_t count, const std::string& begun) {
  Append(begun, "x");
  const auto attempt = static_cast<int64_t>(SizeOf(begun));
  for (int64_t i = 0; i < count; ++i) {
    Yield(i);
    if (i + 1 == attempt) Append(begun + "-" + std::to_string(attempt), std::to_string(getpid()));
    while (i + 1 == attempt) ThrowIfCancelled();
  }
}
KILN_TASK(StreamOneMore);

void StreamForEver(const std::string& begun) {
  Append(begun, "x");
  for (int64_t i = 0;; ++i) Yield(i);
}
KILN_TASK(StreamForEver);

// StreamArrays of this many numbers, which are too long for a frame.
void StreamArrays(int64_t count, size_t size) {
  for (int64_t i = 0; i < count; ++i) Yield(std::vector<int64_t>(size, i));
}
KILN_TASK(StreamArrays);

// --- who consumes --------------------------------------------------------------------------------

struct StreamOptions {
  uint32_t window = 0;
  int max_retries = 0;
};

// A stream that this process has submitted.
class Stream {
 public:
  template <typename... P, typename... A>
  Stream(const Session& session, StreamOptions options, void (*function)(P...), A&&... arguments)
      : session_(session), peer_(worker::PeerOf(*session.runtime())) {
    const detail::FunctionName& name = detail::NameOf(reinterpret_cast<void*>(function));
    v1::TaskClass task_class;
    task_class.set_library(name.library);
    task_class.set_function(name.function);
    task_class.set_name(name.function);
    task_class.set_num_returns(1);
    task_class.set_max_retries(options.max_retries);
    task_class.set_streaming(true);
    task_class.set_stream_window(options.window);
    std::vector<peer::Argument> list;
    (list.push_back({0, detail::ValueCodec<std::decay_t<P>>::EncodeOwned(
                            std::decay_t<P>(std::forward<A>(arguments)))}),
     ...);
    id_ = peer_.Submit(peer_.Define(task_class).value(), 1, std::move(list), {}).value();
  }
  ~Stream() {
    if (id_ == 0) return;
    peer_.DropStream(id_);
    peer_.Release(id_);
  }

  // Returns: nothing at the end.
  template <typename T = int64_t>
  std::optional<T> Next() {
    Result<std::optional<ObjectId>> item = peer_.NextItem(id_, Clock::now() + kDeadline);
    if (!item.ok()) throw std::runtime_error(item.status().message());
    if (!*item) return std::nullopt;
    return Value<T>(**item, /*own=*/true);
  }
  // The value of the end. Throws: what the task ended with.
  int64_t End() { return Value<int64_t>(id_, /*own=*/false); }
  std::vector<int64_t> All() {
    std::vector<int64_t> all;
    while (std::optional<int64_t> item = Next()) all.push_back(*item);
    return all;
  }
  ObjectId id() const { return id_; }
  peer::Peer& peer() { return peer_; }

 private:
  template <typename T>
  T Value(ObjectId id, bool own) {
    auto handle = Ref<T>(std::make_shared<const detail::RefHandle>(session_.runtime(), id));
    if (!own) peer_.Retain(id);  // the handle gives one back
    return session_.Get(handle, kDeadline);
  }

  const Session session_;
  peer::Peer& peer_;
  TaskId id_ = 0;
};

std::vector<int64_t> UpTo(int64_t count) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < count; ++i) numbers.push_back(i);
  return numbers;
}

// Sums a stream that a child of this task makes.
int64_t SumOfChild(int64_t count, int window) {
  Stream stream(CurrentSession(), {.window = static_cast<uint32_t>(window)}, StreamUp, count, "");
  int64_t sum = 0;
  while (std::optional<int64_t> item = stream.Next()) sum += *item;
  return sum + stream.End();
}
KILN_TASK(SumOfChild);

// Takes five of an endless stream that a child of this task makes.
int64_t FiveOfEndless(const std::string& begun) {
  Stream stream(CurrentSession(), {.window = 2}, StreamForEver, begun);
  int64_t sum = 0;
  for (int i = 0; i < 5; ++i) sum += *stream.Next();
  return sum;
}
KILN_TASK(FiveOfEndless);

// Hands over what a child like it hands over, and one number more; the last one makes ten.
void StreamChain(int length) {
  if (length == 0) {
    for (int64_t i = 0; i < 10; ++i) Yield(i);
    return;
  }
  Stream stream(CurrentSession(), {.window = 1}, StreamChain, length - 1);
  int64_t count = 0;
  for (; std::optional<int64_t> item = stream.Next(); ++count) Yield(*item);
  Yield(count);
}
KILN_TASK(StreamChain);

// Takes some, notes it, and does no more.
const DriverProgram kConsumer("consumer", [](const Session& session, const auto& arguments) {
  Stream stream(session, {.window = 4}, StreamForEver, arguments[0]);
  for (int i = 0; i < 10; ++i) stream.Next();
  Append(arguments[1], "x");
  WaitUntil([] { return false; }, kDeadline);
  return 0;
});

}  // namespace

TEST_CASE("items come while their task runs, then the end says how many", "[stream]") {
  TestHead head;
  Session session = head.Connect();
  Stream stream(session, {}, StreamBehindGate, head.File("gate"));
  CHECK(stream.Next() == 0);
  CHECK_FALSE(stream.peer().HasItem(stream.id()));
  CHECK(stream.peer().NextItem(stream.id(), Clock::now() + milliseconds(1)).status().code() ==
        Code::kDeadlineExceeded);
  Append(head.File("gate"), "x");
  CHECK(WaitUntil([&] { return stream.peer().HasItem(stream.id()); }, kDeadline));
  CHECK(stream.Next() == 1);
  CHECK(stream.Next() == std::nullopt);
  CHECK(stream.peer().HasItem(stream.id()));
  CHECK(stream.Next() == std::nullopt);
  CHECK(stream.End() == 2);
}

TEST_CASE("whoever waits for an item can be interrupted", "[stream]") {
  TestHead head;
  Session session = head.Connect();
  Stream stream(session, {}, StreamBehindGate, head.File("gate"));
  CHECK(stream.Next() == 0);
  int asked = 0;
  const std::function<bool()> interrupted = [&] { return ++asked == 3; };
  CHECK(stream.peer().NextItem(stream.id(), std::nullopt, &interrupted).status().code() ==
        Code::kCancelled);
  CHECK(asked == 3);
  Append(head.File("gate"), "x");
  CHECK(stream.Next() == 1);
}

TEST_CASE("a stream that ends with an error has given its items before", "[stream]") {
  TestHead head;
  Session session = head.Connect();
  Stream stream(session, {}, StreamAndThrow);
  CHECK(stream.All() == UpTo(3));
  CHECK_THROWS_WITH(stream.End(), Catch::Contains("no more numbers"));
}

TEST_CASE("a producer is never ahead of its consumer by more than the window", "[stream]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  const std::string made = head.File("made");
  Stream stream(session, {.window = 4}, StreamUp, int64_t{100}, made);
  for (size_t i = 0; i < 100; ++i) {
    REQUIRE(stream.Next() == static_cast<int64_t>(i));
    REQUIRE(SizeOf(made) <= i + 1 + 4);
  }
  CHECK(stream.All().empty());
  CHECK(stream.End() == 100);
}

TEST_CASE("a producer that waits for its consumer lends its CPU", "[stream]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  Stream stream(session, {.window = 1}, StreamForEver, head.File("begun"));
  CHECK(stream.Next() == 0);
  CHECK(session.Get(session.Submit(Add, 1, 2), kDeadline) == 3);
  CHECK(stream.Next() == 1);
}

TEST_CASE("a killed producer runs again and no item comes twice", "[stream]") {
  TestHead head;
  Session session = head.Connect();
  const std::string begun = head.File("begun");
  Stream stream(session, {.window = 2, .max_retries = -1}, StreamOneMore, int64_t{5}, begun);
  for (int attempt = 1; attempt < 5; ++attempt) {
    CHECK(stream.Next() == attempt - 1);
    const std::string stopped = begun + "-" + std::to_string(attempt);
    REQUIRE(WaitUntil([&] { return SizeOf(stopped) > 0; }, kDeadline));
    REQUIRE(kill(static_cast<pid_t>(std::stol(ReadFile(stopped))), SIGKILL) == 0);
  }
  CHECK(stream.Next() == 4);
}

TEST_CASE("a producer killed for the last time ends its stream with that error", "[stream]") {
  TestHead head;
  Session session = head.Connect();
  Stream stream(session, {}, StreamOneMore, int64_t{5}, head.File("begun"));
  CHECK(stream.Next() == 0);
  const std::string stopped = head.File("begun") + "-1";
  REQUIRE(WaitUntil([&] { return SizeOf(stopped) > 0; }, kDeadline));
  REQUIRE(kill(static_cast<pid_t>(std::stol(ReadFile(stopped))), SIGKILL) == 0);
  CHECK(stream.Next() == std::nullopt);
  CHECK_THROWS_AS(stream.End(), WorkerCrashedError);
}

TEST_CASE("a killed consumer takes its endless stream along", "[stream][kill]") {
  TestHead head;
  Child driver = head.Drive("consumer", {head.File("begun"), head.File("taken")});
  REQUIRE(AwaitFile(head.File("taken")));
  driver.Kill(SIGKILL);
  CHECK(driver.AwaitExitCode() == -SIGKILL);
  CHECK(WaitUntil([&] { return head.IsIdle(); }, kDeadline));
}

TEST_CASE("an endless stream ends when its consumer drops it", "[stream]") {
  const uint32_t window = GENERATE(0u, 3u);
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  {
    Stream stream(session, {.window = window}, StreamForEver, head.File("begun"));
    CHECK(stream.Next() == 0);
    CHECK(stream.Next() == 1);
  }
  CHECK(session.Get(session.Submit(Add, 1, 2), kDeadline) == 3);
}

TEST_CASE("a session may end while items of a stream it dropped are on their way", "[stream]") {
  TestHead head;
  for (int i = 0; i < 50; ++i) {
    Session session = head.Connect();
    Stream stream(session, {}, StreamForEver, head.File("begun"));
    CHECK(stream.Next() == 0);
  }
}

TEST_CASE("a cancelled producer stops, also while it waits for its consumer", "[stream]") {
  TestHead head;
  Session session = head.Connect();
  Stream stream(session, {.window = 2}, StreamForEver, head.File("begun"));
  CHECK(stream.Next() == 0);
  REQUIRE(stream.peer().Cancel(stream.id(), /*force=*/false).ok());
  while (stream.Next()) {
  }
  CHECK_THROWS_AS(stream.End(), TaskCancelledError);
}

TEST_CASE("a task consumes what its child makes, on one CPU", "[stream]") {
  const int window = GENERATE(0, 1, 7);
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  CHECK(session.Get(session.Submit(SumOfChild, int64_t{200}, window), kDeadline) ==
        200 * 199 / 2 + 200);
  CHECK(session.Get(session.Submit(FiveOfEndless, head.File("begun")), kDeadline) == 10);
}

TEST_CASE("streams of streams end, with more tasks that wait than there may be processes",
          "[stream]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  Stream stream(session, {.window = 1}, StreamChain, 20);
  CHECK(stream.All() == UpTo(30));
  CHECK(head.WorkerPids().size() <= 9);
}

TEST_CASE("large items lie in the store and leave it as they are taken", "[stream]") {
  TestHead head({.store = "8MiB"});
  Session session = head.Connect();
  constexpr size_t kNumbers = 100'000;
  // Together four times the store.
  Stream stream(session, {.window = 2}, StreamArrays, int64_t{40}, kNumbers);
  for (int64_t i = 0; i < 40; ++i) {
    std::optional<std::vector<int64_t>> item = stream.Next<std::vector<int64_t>>();
    REQUIRE(item);
    REQUIRE(item->size() == kNumbers);
    REQUIRE((item->front() == i && item->back() == i));
  }
  CHECK(stream.Next() == std::nullopt);
}

TEST_CASE("a hundred thousand items come in order", "[stream]") {
  const uint32_t window = GENERATE(0u, 1'000u);
  TestHead head;
  Session session = head.Connect();
  constexpr int64_t kCount = 100'000;
  Stream stream(session, {.window = window}, StreamUp, kCount, "");
  peer::Peer& peer = stream.peer();
  int64_t count = 0;
  while (true) {
    Result<std::optional<ObjectId>> item = peer.NextItem(stream.id(), Clock::now() + kDeadline);
    REQUIRE(item.ok());
    if (!*item) break;
    if (count % 1'000 == 0) {
      auto ref = Ref<int64_t>(std::make_shared<const detail::RefHandle>(session.runtime(), **item));
      REQUIRE(session.Get(ref, kDeadline) == count);
    } else {
      peer.Release(**item);
    }
    ++count;
  }
  CHECK(count == kCount);
  CHECK(stream.End() == kCount);
}

}  // namespace kiln::testing
