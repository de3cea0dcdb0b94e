#include "common/peer/outbox.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/unit/wait_until.h"

namespace kiln::peer {
namespace {

// Remembers what is written; can be told to hold writes, or to fail them.
class FakeLink : public Link {
 public:
  bool Read(v1::HeadBatch*) override { return false; }
  bool Write(const v1::PeerBatch& batch) override {
    std::unique_lock lock(mutex_);
    writing_ = true;
    change_.notify_all();
    change_.wait(lock, [&] { return !held_; });
    if (broken_) return false;
    batches_.push_back(batch);
    writing_ = false;
    return true;
  }
  void WritesDone() override {}
  void Close() override {}
  Status Finish() override { return Status(); }

  void Hold(bool held) {
    std::lock_guard lock(mutex_);
    held_ = held;
    change_.notify_all();
  }
  void AwaitWrite() {
    std::unique_lock lock(mutex_);
    change_.wait(lock, [&] { return writing_; });
  }
  void Break() {
    std::lock_guard lock(mutex_);
    broken_ = true;
  }
  std::vector<v1::PeerBatch> batches() {
    std::lock_guard lock(mutex_);
    return batches_;
  }
  // Ids of all cancels written, in order.
  std::vector<uint64_t> ids() {
    std::vector<uint64_t> ids;
    for (const v1::PeerBatch& batch : batches()) {
      for (const v1::PeerFrame& frame : batch.frames()) ids.push_back(frame.cancel().id());
    }
    return ids;
  }

 private:
  std::mutex mutex_;
  std::condition_variable change_;
  std::vector<v1::PeerBatch> batches_;
  bool held_ = false, writing_ = false, broken_ = false;
};

v1::PeerFrame Frame(uint64_t id) {
  v1::PeerFrame frame;
  frame.mutable_cancel()->set_id(id);
  return frame;
}

bool Soon(const std::function<bool()>& predicate) {
  return testing::WaitUntil(predicate, seconds(10));
}

TEST_CASE("a frame that is waited for takes along all that was queued, in order") {
  FakeLink link;
  Outbox outbox(&link);
  link.Hold(true);
  std::thread first([&] { outbox.Append(Frame(1), Urgency::kNow); });
  link.AwaitWrite();
  outbox.Append(Frame(2), Urgency::kLazy);
  outbox.Append(Frame(3), Urgency::kNow);  // not blocked by the write under way
  link.Hold(false);
  first.join();
  CHECK(Soon([&] { return link.ids() == std::vector<uint64_t>{1, 2, 3}; }));
}

TEST_CASE("a frame nobody waits for is sent all the same") {
  FakeLink link;
  Outbox outbox(&link);
  outbox.Append(Frame(1), Urgency::kLazy);
  CHECK(Soon([&] { return link.ids().size() == 1; }));
  outbox.Append(Frame(2), Urgency::kSoon);
  CHECK(Soon([&] { return link.ids().size() == 2; }));
}

TEST_CASE("a full batch is sent without waiting, and never grows beyond its bound") {
  FakeLink link;
  Outbox outbox(&link);
  for (uint64_t id = 1; id <= 10'000; ++id) outbox.Append(Frame(id), Urgency::kLazy);
  outbox.Flush();
  CHECK(Soon([&] { return link.ids().size() == 10'000; }));
  std::vector<uint64_t> ids = link.ids();
  CHECK(std::is_sorted(ids.begin(), ids.end()));
}

TEST_CASE("an outbox that ends writes what is left") {
  FakeLink link;
  {
    Outbox outbox(&link);
    outbox.Append(Frame(1), Urgency::kLazy);
  }
  CHECK(link.ids() == std::vector<uint64_t>{1});
}

TEST_CASE("a broken link swallows frames and blocks nobody") {
  FakeLink link;
  Outbox outbox(&link);
  link.Break();
  outbox.Append(Frame(1), Urgency::kNow);
  for (int i = 0; i < 5'000; ++i) outbox.Append(Frame(2), Urgency::kSoon);
  CHECK(link.batches().empty());
}

}  // namespace
}  // namespace kiln::peer
