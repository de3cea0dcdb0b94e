#include "daemon/sessions/batch_outbox.h"

#include <catch2/catch.hpp>
#include <string>

#include "common/limits.h"

namespace kiln::sessions {
namespace {

v1::HeadFrame Frame(uint64_t id, size_t bytes = 0) {
  v1::HeadFrame frame;
  frame.mutable_object()->set_id(id);
  frame.mutable_object()->set_value(std::string(bytes, 'x'));
  return frame;
}

TEST_CASE("frames leave in the order they were added, many to a batch") {
  BatchOutbox outbox;
  v1::HeadBatch batch;
  CHECK_FALSE(outbox.Take(&batch));
  for (uint64_t id = 1; id <= 3; ++id) outbox.Add(Frame(id));
  REQUIRE(outbox.Take(&batch));
  REQUIRE(batch.frames_size() == 3);
  for (int i = 0; i < 3; ++i) CHECK(batch.frames(i).object().id() == static_cast<uint64_t>(i + 1));
  CHECK(outbox.size_bytes() == 0);
  CHECK_FALSE(outbox.Take(&batch));
}

TEST_CASE("a batch is cut at its bounds, and a longer frame goes alone") {
  BatchOutbox outbox;
  for (uint64_t id = 0; id < limits::kBatchFrames + 1; ++id) outbox.Add(Frame(id));
  outbox.Add(Frame(7, limits::kBatchBytes + 1));
  outbox.Add(Frame(8));
  v1::HeadBatch batch;
  REQUIRE(outbox.Take(&batch));
  CHECK(static_cast<size_t>(batch.frames_size()) == limits::kBatchFrames);
  REQUIRE(outbox.Take(&batch));
  CHECK(batch.frames_size() == 1);
  REQUIRE(outbox.Take(&batch));
  CHECK(batch.frames(0).object().id() == 7);
  REQUIRE(outbox.Take(&batch));
  CHECK(batch.frames(0).object().id() == 8);
  CHECK(outbox.size_bytes() == 0);
}

TEST_CASE("what waits is counted until it is taken or dropped") {
  BatchOutbox outbox;
  outbox.Add(Frame(1, 1000));
  CHECK(outbox.size_bytes() >= 1000);
  outbox.Clear();
  CHECK(outbox.size_bytes() == 0);
  v1::HeadBatch batch;
  CHECK_FALSE(outbox.Take(&batch));
}

}  // namespace
}  // namespace kiln::sessions
