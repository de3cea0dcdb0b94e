// Streaming tasks: items, retries, windows, and what happens when one side goes.
#include <catch2/catch.hpp>

#include "tests/unit/core_harness.h"

namespace kiln::core {
namespace {

using H = CoreHarness;

std::vector<uint64_t> IndicesOf(const H& h) {
  std::vector<uint64_t> indices;
  for (const HandItem& item : h.items) indices.push_back(item.index);
  return indices;
}

// The items of a stream as the driver was told of them.
std::vector<std::string> ValuesOf(const H& h) {
  std::vector<std::string> values;
  for (const HandItem& item : h.items) values.push_back(h.ValueOf(item.object));
  return values;
}

Code YieldCode(H& h, WorkerId worker, TaskId task, uint64_t index, ObjectId id,
               std::variant<std::string, ObjectId> value = "item") {
  const Status status = h.core.OnYielded(worker, task, index, id, {std::move(value), {}}, h.now);
  h.Pump();
  return status.code();
}

TEST_CASE("items are handed over one by one while the task runs, then comes the end") {
  H h(1);
  const TaskId stream = h.Submit(H::Streaming());
  h.Want({stream});
  h.Yield(stream, 0, "a");
  h.Yield(stream, 1, "b");
  CHECK(h.StateOf(stream) == "ASSIGNED");
  CHECK(h.delivered.empty());
  CHECK(ValuesOf(h) == std::vector<std::string>{"a", "b"});
  CHECK(IndicesOf(h) == std::vector<uint64_t>{0, 1});
  CHECK(h.items.front().session == H::kDriver);
  CHECK(h.items.front().task == stream);
  h.Finish(stream, "2");
  CHECK(h.ValueOf(stream) == "2");
  CHECK(h.delivered.size() == 1);
}

TEST_CASE("an item lives as long as its consumer holds it, whatever becomes of the task") {
  H h(1);
  const TaskId stream = h.Submit(H::Streaming());
  const ObjectId inner = h.Put("inner", h.workers.at(h.WorkerOf(stream)).session);
  const ObjectId item = h.Yield(stream, 0, "names inner", {inner});
  REQUIRE(h.Release({inner}, h.workers.at(h.WorkerOf(stream)).session).ok());
  h.Finish(stream);
  h.Lose(1);
  REQUIRE(h.Release({stream}).ok());
  CHECK(h.ValueOf(inner) == "inner");
  REQUIRE(h.Release({item}).ok());
  CHECK(h.core.GetTotals().objects == 0);
}

TEST_CASE("an item may be an object that the worker has written into the store") {
  H h(1);
  const TaskId stream = h.Submit(H::Streaming());
  const WorkerId worker = h.WorkerOf(stream);
  const ObjectId created = h.Create(4096, 70'000, h.workers.at(worker).session);
  CHECK(YieldCode(h, worker, stream, 0, 0, created) == Code::kOk);
  REQUIRE(h.items.size() == 1);
  CHECK(h.items.front().object == created);
  CHECK(h.Sealed(created));
  REQUIRE(h.Release({created}).ok());
  CHECK(h.freed == std::vector<Slice>{{4096, 70'000}});
}

TEST_CASE("a stream may end with an error after its items") {
  H h(1);
  const TaskId stream = h.Submit(H::Streaming());
  h.Yield(stream, 0);
  h.Fail(stream, true, "no more");
  CHECK(h.ErrorOf(stream).message == "no more");
  CHECK(h.items.size() == 1);
}

TEST_CASE("the consumer sees each item once, however often the task is run") {
  H h(1);
  const TaskId stream = h.Submit(H::Streaming());
  h.Yield(stream, 0, "a");
  h.Yield(stream, 1, "b");
  h.Lose(h.WorkerOf(stream));
  REQUIRE(h.Running(stream));
  const WorkerId worker = h.WorkerOf(stream);
  h.Yield(stream, 0, "a again");
  const ObjectId created = h.Create(4096, 70'000, h.workers.at(worker).session);
  CHECK(YieldCode(h, worker, stream, 1, 0, created) == Code::kOk);
  CHECK(h.freed.size() == 1);
  CHECK(h.core.GetTotals().objects == 3);  // two items and the end
  h.Yield(stream, 2, "c");
  h.Finish(stream, "3");
  CHECK(ValuesOf(h) == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("a task that threw and is run again begins its stream anew") {
  H h(1);
  TaskClass task_class = H::Streaming();
  task_class.retry_exceptions = true;
  const TaskId stream = h.Submit(task_class);
  h.Yield(stream, 0);
  h.Fail(stream);
  REQUIRE(h.Running(stream));
  h.Yield(stream, 0);
  h.Yield(stream, 1);
  CHECK(IndicesOf(h) == std::vector<uint64_t>{0, 1});
}

TEST_CASE("a stream whose worker dies for the last time ends with that error") {
  H h(1);
  const TaskId stream = h.Submit(H::Streaming(0, /*max_retries=*/0));
  const ObjectId item = h.Yield(stream, 0);
  h.Lose(h.WorkerOf(stream));
  CHECK(h.ErrorOf(stream).kind == ErrorKind::kWorkerCrashed);
  CHECK(h.ValueOf(item) == "item");
}

TEST_CASE("a stream nobody refers to is cancelled, and its further items freed") {
  H h(1);
  const TaskId stream = h.Submit(H::Streaming());
  const ObjectId item = h.Yield(stream, 0);
  REQUIRE(h.Release({stream}).ok());
  REQUIRE(h.cancels.size() == 1);
  CHECK(h.cancels.front().task == stream);
  h.Yield(stream, 1);
  CHECK(h.items.size() == 1);
  h.Finish(stream);
  REQUIRE(h.Release({item}).ok());
  CHECK(h.core.GetTotals().objects == 0);
}

TEST_CASE("a queued stream nobody refers to is dropped with what it waits for") {
  H h(1);
  h.Submit(H::Library("other"));
  const TaskId stream = h.Submit(H::Streaming());
  REQUIRE(h.Release({stream}).ok());
  CHECK(h.StateOf(stream) == "CANCELLED");
}

TEST_CASE("items for a session that has ended are freed") {
  H h(1);
  const SessionNumber driver = h.OpenDriver(H::kProgram);
  const TaskId stream = h.Submit(H::Streaming(), {.session = driver});
  h.Yield(stream, 0);
  h.CloseSession(driver);
  h.Yield(stream, 1);
  CHECK(h.items.size() == 1);
  h.Finish(stream);
  CHECK(h.core.GetTotals().objects == 0);
}

TEST_CASE("a dropped stream goes on without a reader while its end is awaited") {
  H h(1);
  const TaskId stream = h.Submit(H::Streaming(1));
  h.Yield(stream, 0);
  CHECK(h.StateOf(stream) == "BLOCKED");
  h.Consume(stream, 0, /*dropped=*/true);
  CHECK(h.StateOf(stream) == "ASSIGNED");
  REQUIRE(h.advances.size() == 1);
  CHECK(h.advances.front().count == kNoWindow);
  h.Yield(stream, 1);
  CHECK(h.items.size() == 1);
  h.Finish(stream, "2");
  CHECK(h.ValueOf(stream) == "2");
}

TEST_CASE("a full window blocks the task and gives its CPU to others") {
  H h(1);
  const TaskId stream = h.Submit(H::Streaming(2));
  const TaskId other = h.Submit(H::Library("other"));
  h.Yield(stream, 0);
  CHECK(h.StateOf(stream) == "ASSIGNED");
  h.Yield(stream, 1);
  CHECK(h.StateOf(stream) == "BLOCKED");
  CHECK(h.Running(other));
  CHECK(h.WorkerOf(other) != h.WorkerOf(stream));
  CHECK(h.UsedCpus() == 1);
  h.Consume(stream, 1);
  CHECK(h.StateOf(stream) == "ASSIGNED");
  CHECK(h.UsedCpus() == 2);
  REQUIRE(h.advances.size() == 1);
  CHECK(h.advances.front().count == 1);
  h.Yield(stream, 2);
  CHECK(h.StateOf(stream) == "BLOCKED");
  h.Consume(stream, 1);  // no news
  CHECK(h.StateOf(stream) == "BLOCKED");
  h.core.OnUnblocked(h.workers.at(h.WorkerOf(stream)).session, stream, h.now);  // cancelled
  h.Pump();
  CHECK(h.StateOf(stream) == "ASSIGNED");
}

TEST_CASE("a worker learns at the start of an attempt what the consumer has taken") {
  H h(1);
  const TaskId stream = h.Submit(H::Streaming(2));
  h.Yield(stream, 0);
  h.Yield(stream, 1);
  h.Consume(stream, 1);
  h.Lose(h.WorkerOf(stream));
  REQUIRE(h.Running(stream));
  CHECK(h.core.FindTask(stream)->stream_consumed == 1);
  h.Yield(stream, 0);
  h.Yield(stream, 1);
  CHECK(h.StateOf(stream) == "ASSIGNED");
  h.Yield(stream, 2);
  CHECK(h.StateOf(stream) == "BLOCKED");
}

TEST_CASE("a task that waits for an item gives its CPU back until the item is there") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId stream = h.SubmitFrom(parent, H::Streaming());
  h.AwaitItem(parent, stream, 1);
  CHECK(h.StateOf(parent) == "BLOCKED");
  REQUIRE(h.Running(stream));
  // On its consumer's stack it would hold up the very items it hands over.
  CHECK(h.WorkerOf(stream) != h.WorkerOf(parent));
  h.Yield(stream, 0);
  CHECK(h.StateOf(parent) == "ASSIGNED");
  h.AwaitItem(parent, stream, 1);  // it is on its way
  CHECK(h.StateOf(parent) == "ASSIGNED");
  h.AwaitItem(parent, stream, 2);
  CHECK(h.StateOf(parent) == "BLOCKED");
  h.Finish(stream, "1");
  CHECK(h.StateOf(parent) == "ASSIGNED");
  h.AwaitItem(parent, stream, 2);  // has ended
  CHECK(h.StateOf(parent) == "ASSIGNED");
}

TEST_CASE("on one CPU producer and consumer take turns, whichever has to wait") {
  H h(1);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId stream = h.SubmitFrom(parent, H::Streaming(1));
  const SessionNumber consumer = h.workers.at(h.WorkerOf(parent)).session;
  for (uint64_t i = 0; i < 5; ++i) {
    h.AwaitItem(parent, stream, i + 1);
    REQUIRE(h.StateOf(parent) == "BLOCKED");
    REQUIRE(h.StateOf(stream) == "ASSIGNED");
    h.Yield(stream, i);
    REQUIRE(h.StateOf(parent) == "ASSIGNED");
    REQUIRE(h.StateOf(stream) == "BLOCKED");
    CHECK(h.UsedCpus() == 1);
    h.Consume(stream, i + 1, false, consumer);
  }
  h.Finish(stream);
  h.Finish(parent);
}

TEST_CASE("with no process to spare a stream runs on its consumer's stack, without a window") {
  CoreOptions options = H::Options(1);
  options.max_workers = 1;
  H h(options);
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId stream = h.SubmitFrom(parent, H::Streaming(1));
  h.AwaitItem(parent, stream, 1);
  REQUIRE(h.WorkerOf(stream) == h.WorkerOf(parent));
  CHECK(h.runs.back().nested);
  for (uint64_t i = 0; i < 4; ++i) h.Yield(stream, i);
  CHECK(h.StateOf(stream) == "ASSIGNED");
  CHECK(h.StateOf(parent) == "BLOCKED");  // the stream is above it
  h.Finish(stream, "4");
  CHECK(h.StateOf(parent) == "ASSIGNED");
}

TEST_CASE("workers that wait for a driver to take items are not stuck") {
  CoreOptions options = H::Options(1);
  options.max_workers = 2;
  H h(options);
  const TaskId stream = h.Submit(H::Streaming(1));
  h.Yield(stream, 0);
  // Waits for a task of another program, for which there is no process but the stream's.
  const TaskId parent = h.Submit(H::Library("parent"));
  const TaskId child = h.SubmitFrom(parent, H::Own("child"));
  h.Block(parent, {child});
  CHECK(h.StateOf(child) == "READY");
  h.Consume(stream, 1);
  h.Finish(stream);
  CHECK(h.Running(child));
}

TEST_CASE("what a worker says of a stream is believed only if it can be") {
  H h(2);
  const TaskId stream = h.Submit(H::Streaming());
  const TaskId plain = h.Submit(H::Library("plain"));
  const WorkerId worker = h.WorkerOf(stream), other = h.WorkerOf(plain);
  const SessionNumber session = h.workers.at(worker).session;
  CHECK(YieldCode(h, other, plain, 0, h.NextId(h.workers.at(other).session)) ==
        Code::kInvalidArgument);
  CHECK(YieldCode(h, worker, stream, 1, h.NextId(session)) == Code::kInvalidArgument);
  CHECK(YieldCode(h, worker, stream, 0, 0) == Code::kInvalidArgument);
  CHECK(YieldCode(h, worker, stream, 0, stream) == Code::kInvalidArgument);
  CHECK(YieldCode(h, worker, stream, 0, 0, ObjectId{77}) == Code::kInvalidArgument);
  const ObjectId foreign = h.Create(0, 1);
  CHECK(YieldCode(h, worker, stream, 0, 0, foreign) == Code::kInvalidArgument);
  CHECK(YieldCode(h, worker, stream, limits::kMaxStreamItems, h.NextId(session)) ==
        Code::kInvalidArgument);
  CHECK(h.items.empty());
  // Of a task that another worker has, or nobody: it was given up meanwhile.
  const ObjectId mine = h.Create(4096, 1, h.workers.at(other).session);
  CHECK(YieldCode(h, other, stream, 0, 0, mine) == Code::kOk);
  CHECK(h.freed.size() == 1);
  CHECK(YieldCode(h, worker, 12345, 0, h.NextId(session)) == Code::kOk);
  CHECK(YieldCode(h, 999, stream, 0, h.NextId(session)) == Code::kOk);
  CHECK(h.items.empty());
  CHECK(YieldCode(h, worker, stream, 0, h.NextId(session)) == Code::kOk);
}

TEST_CASE("what a session says of a stream is believed only if it can be") {
  H h(2);
  const SessionNumber other = h.OpenDriver(H::kProgram);
  const TaskId stream = h.Submit(H::Streaming(1));
  const TaskId plain = h.Submit(H::Library("plain"));
  h.Yield(stream, 0);
  const auto code = [&](SessionNumber session, TaskId task, uint64_t count) {
    const Status status = h.core.OnStreamConsumed(session, task, count, false, h.now);
    h.Pump();
    return status.code();
  };
  CHECK(code(H::kDriver, plain, 0) == Code::kInvalidArgument);
  CHECK(code(other, stream, 1) == Code::kInvalidArgument);
  CHECK(code(H::kDriver, stream, 2) == Code::kInvalidArgument);
  CHECK(code(H::kDriver, stream, kNoWindow) == Code::kInvalidArgument);
  CHECK(code(H::kDriver, 12345, 1) == Code::kOk);
  CHECK(h.StateOf(stream) == "BLOCKED");
  // Nobody else's stream is awaited, nor one that is none.
  const WorkerId worker = h.WorkerOf(plain);
  h.core.OnItemAwaited(h.workers.at(worker).session, plain, stream, 5, h.now);
  h.core.OnItemAwaited(h.workers.at(worker).session, plain, plain, 5, h.now);
  h.core.OnItemAwaited(h.workers.at(worker).session, stream, stream, 5, h.now);
  h.core.OnItemAwaited(H::kDriver, stream, stream, 5, h.now);
  h.Pump();
  CHECK(h.StateOf(plain) == "ASSIGNED");
}

TEST_CASE("a streaming class has one result and ends with its consumer") {
  H h;
  TaskClass several = H::Streaming();
  several.num_returns = 2;
  CHECK(h.core.InternClass(several).status().code() == Code::kInvalidArgument);
  TaskClass detached = H::Streaming();
  detached.detached = true;
  CHECK(h.core.InternClass(detached).status().code() == Code::kInvalidArgument);
  CHECK(h.Class(H::Streaming(1)) != h.Class(H::Streaming(2)));
}

TEST_CASE("a stream whose consumer's process is gone goes on without a window") {
  CoreHarness h(2);
  const TaskId parent = h.Submit(CoreHarness::Own());
  const WorkerId consumer = h.WorkerOf(parent);
  const TaskId stream = h.SubmitFrom(parent, CoreHarness::Streaming(1));
  h.core.OnRetained(CoreHarness::kDriver, std::vector<ObjectId>{stream});
  h.Finish(parent);  // its process keeps the stream, and a reference
  h.Yield(stream, 0);
  REQUIRE(h.StateOf(stream) == "BLOCKED");
  h.Lose(consumer);
  CHECK(h.StateOf(stream) == "ASSIGNED");
  REQUIRE(h.advances.size() == 1);
  CHECK(h.advances[0].count == kNoWindow);
}

}  // namespace
}  // namespace kiln::core
