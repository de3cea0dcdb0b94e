// The peer's end of the rings, against a head that is played by the test.
#include "common/peer/ring_transport.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <future>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include "common/limits.h"
#include "common/shm/fd_passing.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/wait_until.h"

namespace kiln::peer {
namespace {

using shm::Bell;
using shm::RecordKind;

constexpr Duration kPatience = seconds(30);

bool Soon(const std::function<bool()>& holds) {
  return testing::WaitUntil(holds, kPatience);
}

v1::HeadFrame Ready(uint64_t id) {
  v1::HeadFrame frame;
  frame.mutable_ready()->add_ids(id);
  return frame;
}

v1::PeerFrame Put(size_t size_bytes) {
  v1::PeerFrame frame;
  frame.mutable_put()->set_value(std::string(size_bytes, 'v'));
  return frame;
}

// The head's end of one connection. Does nothing by itself.
class PlayedHead {
 public:
  PlayedHead() {
    auto listening = shm::ListenUnix(path());
    REQUIRE(listening.ok());
    listening_fd_ = *listening;
  }
  ~PlayedHead() {
    HangUp();
    close(listening_fd_);
  }

  std::string path() const { return dir_ / "rings.sock"; }

  // Hands out rings. Requires: a peer is connecting, or connects soon.
  void Accept() {
    pollfd waiting{.fd = listening_fd_, .events = POLLIN, .revents = 0};
    REQUIRE(poll(&waiting, 1, 30'000) == 1);
    socket_fd_ = accept4(listening_fd_, nullptr, nullptr, SOCK_CLOEXEC);
    REQUIRE(socket_fd_ >= 0);
    auto rings = shm::Rings::Create();
    REQUIRE(rings.ok());
    rings_ = std::move(*rings);
    const int store_fd = memfd_create("kiln-test-store", MFD_CLOEXEC);
    const std::array fds = {rings_->fd(), store_fd};
    REQUIRE(shm::SendFds(socket_fd_, shm::kRingsVersion, fds).ok());
    close(store_fd);
    writer_.emplace(rings_->to_peer(), &header().to_peer_tail, &header().to_peer_head);
    reader_.emplace(rings_->to_head(), &header().to_head_tail, &header().to_head_head);
  }

  shm::RingsHeader& header() { return rings_->header(); }
  Bell peer_bell() { return static_cast<Bell>(header().peer_bell.state.load()); }

  // Writes one record; nobody sees it yet. Returns: false if there is no room.
  bool Write(std::string_view bytes, RecordKind kind = RecordKind::kLast) {
    std::byte* room = writer_->Reserve(bytes.size());
    if (room == nullptr) return false;
    std::memcpy(room, bytes.data(), bytes.size());
    writer_->Commit(bytes.size(), kind);
    return true;
  }
  void Publish() { writer_->Publish(); }
  // Rings as docs/wire.md says; `urgent`: a byte goes to a peer that is awake too.
  void Ring(bool urgent = false) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const auto was = static_cast<Bell>(header().peer_bell.state.exchange(0));
    if (was == Bell::kParked) shm::FutexWake(&header().peer_bell.state);
    if (was == Bell::kUnattended || (urgent && was == Bell::kAwake)) SendByte();
  }
  void Send(const v1::HeadFrame& frame, bool urgent = false) {
    REQUIRE(Write(frame.SerializeAsString()));
    Publish();
    Ring(urgent);
  }
  void SendByte() { REQUIRE(send(socket_fd_, "x", 1, MSG_NOSIGNAL) == 1); }
  // True once the peer has taken every byte off the socket.
  bool BytesAreTaken() {
    int queued = -1;
    REQUIRE(ioctl(socket_fd_, SIOCOUTQ, &queued) == 0);
    return queued == 0;
  }
  // The peer has sent a byte, which is taken.
  bool AwaitByte() {
    pollfd socket{.fd = socket_fd_, .events = POLLIN, .revents = 0};
    char byte;
    return poll(&socket, 1, 30'000) == 1 && recv(socket_fd_, &byte, 1, 0) == 1;
  }

  // Reads the next frame. Blocks: until it is there.
  v1::PeerFrame Read() {
    std::string bytes;
    shm::RingReader::Outcome outcome;
    REQUIRE(Soon([&] {
      outcome = reader_->Read(&bytes, limits::kMaxMessageBytes);
      reader_->Release();
      return outcome != shm::RingReader::Outcome::kEmpty;
    }));
    v1::PeerFrame frame;
    REQUIRE(outcome == shm::RingReader::Outcome::kFrame);
    REQUIRE(frame.ParseFromString(bytes));
    return frame;
  }

  void HangUp() {
    if (socket_fd_ >= 0) close(std::exchange(socket_fd_, -1));
  }

 private:
  testing::TempDir dir_;
  int listening_fd_;
  int socket_fd_ = -1;
  std::unique_ptr<shm::Rings> rings_;
  std::optional<shm::RingWriter> writer_;
  std::optional<shm::RingReader> reader_;
};

// A connected transport, and what came out of it.
class Client : public Transport::Receiver {
 public:
  explicit Client(PlayedHead& head, bool worker = false,
                  const std::function<void()>& before_start = {}) {
    auto connecting =
        std::async(std::launch::async, [&] { return RingTransport::Connect(head.path(), worker); });
    head.Accept();
    auto connected = connecting.get();
    REQUIRE(connected.ok());
    transport_ = std::move(*connected);
    if (before_start) before_start();
    transport_->Start(this, &mutex_);
  }

  void OnFrame(v1::HeadFrame& frame) override {
    if (on_frame) on_frame(frame);
    std::lock_guard lock(mutex_);
    for (uint64_t id : frame.ready().ids()) ready_.insert(id);
    if (frame.has_log_lines()) lines_.push_back(frame.log_lines().lines(0));
    for (auto& [id, wake] : waiting_) {
      if (ready_.contains(id)) wake->notify_all();
    }
  }
  void OnEnd(const Status&) override {
    std::lock_guard lock(mutex_);
    ended_ = true;
    for (auto& [id, wake] : waiting_) wake->notify_all();
  }

  // Waits for this id, or the end. Returns: false when the deadline is over.
  bool Await(uint64_t id, Deadline deadline, std::condition_variable* shared = nullptr) {
    std::condition_variable own;
    std::condition_variable& wake = shared ? *shared : own;
    std::unique_lock lock(mutex_);
    auto registered = waiting_.emplace(id, &wake);
    const bool done = transport_->Wait(
        lock, wake, [&] { return ready_.contains(id) || ended_; }, deadline);
    waiting_.erase(registered);
    return done;
  }
  bool Await(uint64_t id) { return Await(id, Clock::now() + kPatience); }
  // True once so many threads wait in Await; those that come first have the lower number.
  bool AwaitWaiting(size_t count) {
    return Soon([&] {
      std::lock_guard lock(mutex_);
      return waiting_.size() == count;
    });
  }

  bool Has(uint64_t id) {
    std::lock_guard lock(mutex_);
    return ready_.contains(id);
  }
  bool ended() {
    std::lock_guard lock(mutex_);
    return ended_;
  }
  std::vector<std::string> lines() {
    std::lock_guard lock(mutex_);
    return lines_;
  }
  std::mutex& mutex() { return mutex_; }
  RingTransport& transport() { return *transport_; }
  void Disconnect() { transport_.reset(); }

  // Called with each frame before it is noted, without the mutex; set before frames come.
  std::function<void(const v1::HeadFrame&)> on_frame;

 private:
  std::mutex mutex_;
  std::set<uint64_t> ready_;
  std::vector<std::string> lines_;
  std::multimap<uint64_t, std::condition_variable*> waiting_;
  bool ended_ = false;
  std::unique_ptr<RingTransport> transport_;
};

// --- one who waits -------------------------------------------------------------------------------

TEST_CASE("a thread that waits reads the ring itself, awake or parked") {
  PlayedHead head;
  Client client(head);
  for (uint64_t id = 1; id <= 200; ++id) {
    auto waiting = std::async(std::launch::async, [&] { return client.Await(id); });
    if (id % 2 == 0) REQUIRE(Soon([&] { return head.peer_bell() == Bell::kParked; }));
    head.Send(Ready(id));
    REQUIRE(waiting.get());
  }
}

TEST_CASE("frames that nobody waits for are read all the same") {
  PlayedHead head;
  Client client(head);
  for (uint64_t id = 1; id <= 50; ++id) {
    REQUIRE(Soon([&] { return head.peer_bell() == Bell::kUnattended; }));
    head.Send(Ready(id));
    REQUIRE(Soon([&] { return client.Has(id); }));
  }
}

TEST_CASE("a wait ends with its deadline, and what comes later is read") {
  PlayedHead head;
  Client client(head);
  CHECK_FALSE(client.Await(1, Clock::now() + milliseconds(5)));
  CHECK_FALSE(client.Await(1, Clock::now() - seconds(1)));
  REQUIRE(Soon([&] { return head.peer_bell() == Bell::kUnattended; }));
  head.Send(Ready(1));
  CHECK(client.Await(1));
}

TEST_CASE("a worker whose task thread is busy looks at urgent frames only") {
  PlayedHead head;
  Client client(head, /*worker=*/true);
  REQUIRE(head.peer_bell() == Bell::kAwake);
  head.Send(Ready(1));
  head.Send(Ready(2), /*urgent=*/true);
  REQUIRE(Soon([&] { return client.Has(2); }));
  CHECK(client.Has(1));
}

TEST_CASE(
    "what came before the start is a driver's at once, and waits for a worker's task thread") {
  PlayedHead head;
  const bool worker = GENERATE(false, true);
  Client client(head, worker, [&] {
    REQUIRE(head.Write(Ready(1).SerializeAsString()));
    head.Publish();
  });
  CHECK(client.Has(1) == !worker);
  CHECK(client.Await(1));
}

// --- several who wait ----------------------------------------------------------------------------

TEST_CASE("threads that wait at once each get theirs, whoever leads") {
  PlayedHead head;
  const bool worker = GENERATE(false, true);
  Client client(head, worker);
  constexpr uint64_t kThreads = 6, kRounds = 300;
  std::vector<std::future<bool>> threads;
  for (uint64_t t = 0; t < kThreads; ++t) {
    threads.push_back(std::async(std::launch::async, [&, t] {
      bool all = true;
      for (uint64_t round = 0; round < kRounds; ++round) {
        all = all && client.Await(1 + round * kThreads + t);
      }
      return all;
    }));
  }
  std::mt19937 random(7);
  for (uint64_t round = 0; round < kRounds; ++round) {
    std::vector<uint64_t> ids;
    for (uint64_t t = 0; t < kThreads; ++t) ids.push_back(1 + round * kThreads + t);
    std::shuffle(ids.begin(), ids.end(), random);
    for (uint64_t id : ids) {
      while (!head.Write(Ready(id).SerializeAsString())) std::this_thread::yield();
      head.Publish();
      head.Ring();
      if (random() % 4 == 0) std::this_thread::yield();
    }
  }
  for (auto& thread : threads) CHECK(thread.get());
}

TEST_CASE("the next one leads when the leader has what it wanted") {
  PlayedHead head;
  const bool worker = GENERATE(false, true);
  Client client(head, worker);
  auto leader = std::async(std::launch::async, [&] { return client.Await(1); });
  REQUIRE(client.AwaitWaiting(1));
  // Two that share a condition variable, as those do that wait for room or credit.
  std::condition_variable shared;
  std::vector<std::future<bool>> followers;
  for (uint64_t id : {2, 3}) {
    followers.push_back(std::async(std::launch::async, [&, id] {
      return client.Await(id, Clock::now() + kPatience, &shared);
    }));
    REQUIRE(client.AwaitWaiting(id));
  }
  head.Send(Ready(1));
  CHECK(leader.get());
  head.Send(Ready(2));
  REQUIRE(Soon([&] { return client.Has(2); }));
  head.Send(Ready(3));
  for (auto& follower : followers) CHECK(follower.get());
}

TEST_CASE("a follower whose deadline is over leaves the others undisturbed") {
  PlayedHead head;
  Client client(head);
  auto leader = std::async(std::launch::async, [&] { return client.Await(1); });
  REQUIRE(client.AwaitWaiting(1));
  CHECK_FALSE(client.Await(2, Clock::now() + milliseconds(5)));
  head.Send(Ready(1));
  CHECK(leader.get());
}

TEST_CASE("a leader whose deadline is over hands its place on") {
  PlayedHead head;
  Client client(head);
  auto leader = std::async(std::launch::async,
                           [&] { return client.Await(1, Clock::now() + milliseconds(50)); });
  REQUIRE(client.AwaitWaiting(1));
  auto follower = std::async(std::launch::async, [&] { return client.Await(2); });
  CHECK_FALSE(leader.get());
  head.Send(Ready(2));
  CHECK(follower.get());
}

TEST_CASE("an urgent frame behind what a worker's leader wanted is not left lying") {
  // The listening thread takes the byte while somebody leads, and trusts that one to look.
  PlayedHead head;
  Client client(head, /*worker=*/true);
  constexpr uint64_t kUrgent = limits::kBatchFrames + 1;
  client.on_frame = [&](const v1::HeadFrame& frame) {
    // In the leader, at the last frame it reads at once.
    if (frame.ready().ids(0) != limits::kBatchFrames) return;
    head.Send(Ready(kUrgent), /*urgent=*/true);
    REQUIRE(Soon([&] { return head.BytesAreTaken(); }));
    head.SendByte();  // when this is taken too, the first one was dealt with
    REQUIRE(Soon([&] { return head.BytesAreTaken(); }));
  };
  for (uint64_t id = 1; id <= limits::kBatchFrames; ++id) {
    REQUIRE(head.Write(Ready(id).SerializeAsString()));
  }
  head.Publish();
  REQUIRE(client.Await(limits::kBatchFrames));
  CHECK(Soon([&] { return client.Has(kUrgent); }));
}

// --- large frames --------------------------------------------------------------------------------

TEST_CASE("a frame larger than the ring gets through to the head") {
  PlayedHead head;
  Client client(head);
  for (size_t size_bytes : {size_t{shm::kMaxRecordBytes}, size_t{3 * shm::kRingBytes + 5}}) {
    auto sending = std::async(
        std::launch::async, [&] { client.transport().Send(Put(size_bytes), Urgency::kNow, true); });
    CHECK(head.Read().put().value() == std::string(size_bytes, 'v'));
    sending.get();
  }
}

TEST_CASE("a frame larger than the ring gets through to the peer, and room is rung for") {
  PlayedHead head;
  Client client(head);
  v1::HeadFrame frame;
  frame.mutable_log_lines()->add_lines(std::string(2 * shm::kRingBytes, 'l'));
  const std::string bytes = frame.SerializeAsString();
  // As the head does before it sleeps with more to send.
  head.header().head_wants_room.state = 1;
  for (size_t at = 0; at < bytes.size();) {
    const std::string_view part = std::string_view(bytes).substr(at, shm::kMaxRecordBytes);
    const bool last = at + part.size() == bytes.size();
    if (head.Write(part, last ? RecordKind::kLast : RecordKind::kPart)) {
      at += part.size();
      continue;
    }
    head.header().head_bell.state = static_cast<uint32_t>(Bell::kParked);
    head.Publish();
    head.Ring();
    REQUIRE(head.AwaitByte());
  }
  head.Publish();
  head.Ring();
  REQUIRE(Soon([&] { return client.lines().size() == 1; }));
  CHECK(client.lines().front() == frame.log_lines().lines(0));
}

TEST_CASE("senders of many threads never mix their frames") {
  PlayedHead head;
  Client client(head);
  constexpr int kThreads = 4, kFrames = 2'000;
  std::vector<std::thread> senders;
  for (int t = 0; t < kThreads; ++t) {
    senders.emplace_back([&, t] {
      std::mt19937 random(static_cast<uint32_t>(t));
      for (uint64_t i = 0; i < kFrames; ++i) {
        v1::PeerFrame frame = Put(random() % 100 == 0 ? random() % shm::kRingBytes : random() % 99);
        frame.mutable_put()->set_id(static_cast<uint64_t>(t) << 32 | i);
        client.transport().Send(std::move(frame), Urgency::kSoon, true);
      }
    });
  }
  std::array<uint64_t, kThreads> next{};
  bool ordered = true;
  for (int i = 0; i < kThreads * kFrames; ++i) {
    const uint64_t id = head.Read().put().id();
    ordered = ordered && next[id >> 32]++ == (id & 0xffffffff);
  }
  CHECK(ordered);
  for (std::thread& sender : senders) sender.join();
}

// --- the end -------------------------------------------------------------------------------------

TEST_CASE("whoever waits when the head hangs up is told") {
  PlayedHead head;
  Client client(head);
  std::vector<std::future<bool>> threads;
  for (uint64_t id = 1; id <= 4; ++id) {
    threads.push_back(std::async(std::launch::async, [&, id] { return client.Await(id); }));
  }
  REQUIRE(client.AwaitWaiting(4));
  REQUIRE(Soon([&] { return head.peer_bell() == Bell::kParked; }));
  head.HangUp();
  for (auto& thread : threads) CHECK(thread.get());
  CHECK(client.ended());
  CHECK(client.Await(99));  // who comes later does not wait
}

TEST_CASE("what the head sent before it hung up is delivered first") {
  PlayedHead head;
  Client client(head, /*worker=*/true);  // nobody reads by itself
  for (uint64_t id = 1; id <= 3 * limits::kBatchFrames; ++id) {
    REQUIRE(head.Write(Ready(id).SerializeAsString()));
  }
  head.Publish();
  head.HangUp();
  REQUIRE(Soon([&] { return client.ended(); }));
  CHECK(client.Has(1));
  CHECK(client.Has(3 * limits::kBatchFrames));
}

TEST_CASE("a sender in front of a full ring goes on when the head goes") {
  PlayedHead head;
  Client client(head);
  auto sending = std::async(std::launch::async, [&] {
    for (int i = 0; i < 20; ++i) client.transport().Send(Put(shm::kRingBytes), Urgency::kNow, true);
  });
  REQUIRE(Soon([&] { return head.header().to_head_tail.bytes > shm::kRingBytes / 2; }));
  head.HangUp();
  CHECK(sending.wait_for(kPatience) == std::future_status::ready);
}

TEST_CASE("a sender that holds the mutex goes on when the head goes, bytes unread or not") {
  PlayedHead head;
  Client client(head);
  REQUIRE(Soon([&] { return head.peer_bell() == Bell::kUnattended; }));
  auto sending = std::async(std::launch::async, [&] {
    std::lock_guard lock(client.mutex());  // the listening thread cannot go on meanwhile
    for (int i = 0; i < 20; ++i) client.transport().Send(Put(shm::kRingBytes), Urgency::kNow, true);
  });
  REQUIRE(Soon([&] { return head.header().to_head_tail.bytes > shm::kRingBytes / 2; }));
  head.SendByte();
  REQUIRE(Soon([&] { return head.BytesAreTaken(); }));  // by the listening thread
  head.SendByte();                                      // taken by nobody
  head.HangUp();
  CHECK(sending.wait_for(kPatience) == std::future_status::ready);
}

TEST_CASE("a head that writes nonsense loses the peer, not the process") {
  PlayedHead head;
  Client client(head);
  SECTION("a broken ring") {
    head.header().to_peer_tail.bytes = 12'345;
    head.SendByte();
  }
  SECTION("a record that is no frame") {
    REQUIRE(head.Write("\xff\xff\xff"));
    head.Publish();
    head.Ring();
  }
  CHECK(Soon([&] { return client.ended(); }));
}

TEST_CASE("what was sent before a disconnect lies in the ring") {
  PlayedHead head;
  Client client(head);
  for (int i = 0; i < 10; ++i) client.transport().Send(Put(100), Urgency::kLazy, true);
  client.Disconnect();
  for (int i = 0; i < 10; ++i) CHECK(head.Read().put().value().size() == 100);
}

}  // namespace
}  // namespace kiln::peer
