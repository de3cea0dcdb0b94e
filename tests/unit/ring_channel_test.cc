// The head's end of the rings, against peers that are played by the test, good ones and others.
#include "daemon/sessions/ring_channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <future>
#include <map>
#include <optional>
#include <thread>

#include "common/limits.h"
#include "common/shm/fd_passing.h"
#include "daemon/sessions/ring_server.h"
#include "tests/unit/session_host.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/wait_until.h"

namespace kiln::sessions {
namespace {

using shm::Bell;
using shm::RecordKind;
using Outcome = shm::RingReader::Outcome;

constexpr Duration kPatience = seconds(30);

bool Soon(const std::function<bool()>& holds) {
  return testing::WaitUntil(holds, kPatience);
}

// A head without processes, its loop on a thread of its own.
class Head {
 public:
  Head() : host_(&loop_, dir_.path()) {
    auto rings = RingServer::Open(&loop_, &host_.sessions(), &host_.store(), path());
    REQUIRE(rings.ok());
    rings_ = std::move(*rings);
    loop_.set_after_turn([this] { host_.AfterTurn(); });
    thread_ = std::thread([this] { loop_.Run(); });
  }
  ~Head() {
    loop_.Stop();
    thread_.join();
  }

  std::string path() const { return dir_ / "rings.sock"; }
  uint64_t ticket() { return host_.store().ticket(); }
  // Runs on the loop; at once, by this thread, if the loop sleeps.
  template <typename Function>
  auto Do(Function function) {
    std::promise<decltype(function(host_))> promise;
    loop_.Post([&] { promise.set_value(function(host_)); });
    return promise.get_future().get();
  }
  size_t CountSessions() {
    return Do([](testing::SessionHost& host) { return host.sessions().size(); });
  }

 private:
  testing::TempDir dir_;
  EventLoop loop_;
  testing::SessionHost host_;
  std::unique_ptr<RingServer> rings_;
  std::thread thread_;
};

v1::PeerFrame Hello() {
  v1::PeerFrame frame;
  frame.mutable_hello()->set_protocol_version(limits::kProtocolVersion);
  frame.mutable_hello()->set_kind(v1::Hello::KIND_DRIVER);
  return frame;
}

class Peer {
 public:
  explicit Peer(Head& head) {
    auto socket = shm::ConnectUnix(head.path());
    REQUIRE(socket.ok());
    socket_fd_ = *socket;
    uint64_t ticket = 0;
    auto fds = shm::ReceiveFds(socket_fd_, &ticket, 2);
    if (!fds.ok()) return;
    CHECK(ticket == head.ticket());
    close((*fds)[1]);
    auto rings = shm::Rings::Attach((*fds)[0]);
    REQUIRE(rings.ok());
    rings_ = std::move(*rings);
    writer_.emplace(rings_->to_head(), &header().to_head_tail, &header().to_head_head);
    reader_.emplace(rings_->to_peer(), &header().to_peer_tail, &header().to_peer_head);
  }
  Peer(Peer&&) = delete;
  ~Peer() { Close(); }
  void Close() {
    if (socket_fd_ >= 0) close(std::exchange(socket_fd_, -1));
  }

  bool refused() const { return rings_ == nullptr; }
  shm::RingsHeader& header() { return rings_->header(); }

  // --- as docs/wire.md says ----------------------------------------------------------------------
  SessionNumber Greet() {
    Send(Hello());
    number_ = Read().welcome().session_number();
    return number_;
  }
  ObjectId NewId() { return MakeObjectId(number_, ++sequence_); }
  bool Write(std::string_view bytes, RecordKind kind = RecordKind::kLast) {
    std::byte* room = writer_->Reserve(bytes.size());
    if (room == nullptr) return false;
    std::memcpy(room, bytes.data(), bytes.size());
    writer_->Commit(bytes.size(), kind);
    return true;
  }
  void Publish() {
    writer_->Publish();
    Ring();
  }
  void Send(const v1::PeerFrame& frame) {
    const std::string bytes = frame.SerializeAsString();
    REQUIRE(Soon([&] { return Write(bytes); }));
    Publish();
  }
  void Ring() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (header().head_bell.state.exchange(0) != 0) (void)!send(socket_fd_, "x", 1, MSG_NOSIGNAL);
  }
  bool HeadSleeps() { return static_cast<Bell>(header().head_bell.state.load()) == Bell::kParked; }

  // Returns: nothing if there is no frame within `patience`.
  std::optional<v1::HeadFrame> TryRead(Duration patience = kPatience) {
    std::string bytes;
    Outcome outcome = Outcome::kEmpty;
    testing::WaitUntil(
        [&] {
          outcome = reader_->Read(&bytes, limits::kMaxMessageBytes);
          if (reader_->Release()) {
            std::atomic_thread_fence(std::memory_order_seq_cst);
            if (header().head_wants_room.state.load() != 0) Ring();
          }
          return outcome != Outcome::kEmpty;
        },
        patience);
    if (outcome != Outcome::kFrame) return std::nullopt;
    v1::HeadFrame frame;
    REQUIRE(frame.ParseFromString(bytes));
    return frame;
  }
  v1::HeadFrame Read() {
    std::optional<v1::HeadFrame> frame = TryRead();
    REQUIRE(frame.has_value());
    return *frame;
  }
  // True once the head has shut its side down. Takes bytes that come before.
  bool AwaitEnd() {
    pollfd socket{.fd = socket_fd_, .events = POLLIN, .revents = 0};
    char byte;
    while (poll(&socket, 1, 30'000) == 1) {
      if (recv(socket_fd_, &byte, 1, 0) <= 0) return true;
    }
    return false;
  }
  bool HasEnded() {
    pollfd socket{.fd = socket_fd_, .events = POLLRDHUP, .revents = 0};
    return poll(&socket, 1, 0) > 0;
  }
  int socket_fd() const { return socket_fd_; }

  // A value of its own, and back: this session works.
  void CheckWorks() {
    const ObjectId id = NewId();
    v1::PeerFrame put, want;
    put.mutable_put()->set_id(id);
    put.mutable_put()->set_value("value");
    want.mutable_want()->add_ids(id);
    want.mutable_want()->set_values(true);
    Send(put);
    Send(want);
    const v1::HeadFrame answer = Read();
    CHECK(answer.object().id() == id);
    CHECK(answer.object().value() == "value");
  }

 private:
  int socket_fd_ = -1;
  std::unique_ptr<shm::Rings> rings_;
  std::optional<shm::RingWriter> writer_;
  std::optional<shm::RingReader> reader_;
  SessionNumber number_ = 0;
  uint64_t sequence_ = 0;
};

v1::PeerFrame Put(ObjectId id, size_t size_bytes) {
  v1::PeerFrame frame;
  frame.mutable_put()->set_id(id);
  frame.mutable_put()->set_value(std::string(size_bytes, 'v'));
  return frame;
}

// --- an honest peer ------------------------------------------------------------------------------

TEST_CASE("a session over rings works, whether the head sleeps or not") {
  Head head;
  Peer peer(head);
  peer.Greet();
  for (int i = 0; i < 200; ++i) {
    if (i % 4 == 0) REQUIRE(Soon([&] { return peer.HeadSleeps(); }));
    peer.CheckWorks();
  }
}

TEST_CASE("a session ends with its socket, and is forgotten") {
  Head head;
  Peer stays(head);
  stays.Greet();
  {
    Peer peer(head);
    peer.Greet();
    CHECK(head.CountSessions() == 2);
  }
  CHECK(Soon([&] { return head.CountSessions() == 1; }));
  stays.CheckWorks();
}

TEST_CASE("a peer that reads nothing gets all later, in order") {
  Head head;
  Peer peer(head);
  peer.Greet();
  constexpr int kObjects = 60;  // of 30 KB: seven rings
  std::vector<ObjectId> ids;
  v1::PeerFrame want;
  want.mutable_want()->set_values(true);
  for (int i = 0; i < kObjects; ++i) {
    ids.push_back(peer.NewId());
    peer.Send(Put(ids.back(), 30'000));
    want.mutable_want()->add_ids(ids.back());
  }
  peer.Send(want);
  REQUIRE(Soon([&] { return peer.HeadSleeps(); }));  // with most of it
  for (ObjectId id : ids) {
    const v1::HeadFrame frame = peer.Read();
    REQUIRE(frame.object().id() == id);
    REQUIRE(frame.object().value().size() == 30'000);
  }
}

TEST_CASE("what another thread's turn sends while the head sleeps arrives whole") {
  Head head;
  Peer peer(head);
  const SessionNumber number = peer.Greet();
  REQUIRE(Soon([&] { return peer.HeadSleeps(); }));
  const std::string line(3 * shm::kRingBytes, 'l');
  head.Do([&](testing::SessionHost& host) {
    host.sessions().Find(number)->SendLogLines("task", 1, {line});
    return true;
  });
  // Less than kHelloTimeout, whose timer would wake the head.
  std::optional<v1::HeadFrame> frame = peer.TryRead(seconds(5));
  REQUIRE(frame.has_value());
  CHECK(frame->log_lines().lines(0) == line);
}

TEST_CASE("a head that says goodbye lets a peer have first what waits for it") {
  Head head;
  Peer peer(head);
  const SessionNumber number = peer.Greet();
  const std::string line(3 * shm::kRingBytes, 'l');
  head.Do([&](testing::SessionHost& host) {
    host.sessions().Find(number)->SendLogLines("task", 1, {line});
    host.sessions().CloseAll("closing time");
    return true;
  });
  CHECK_FALSE(peer.HasEnded());  // a peer that finds the end looks for no more room
  CHECK(peer.Read().log_lines().lines(0) == line);
  const v1::HeadFrame last = peer.Read();
  CHECK(last.goodbye().reason() == "closing time");
  CHECK(last.goodbye().code() == static_cast<int32_t>(Code::kUnavailable));
  CHECK(peer.AwaitEnd());
}

TEST_CASE("a peer that takes nothing of a goodbye is cut off all the same") {
  Head head;
  Peer peer(head);
  const SessionNumber number = peer.Greet();
  head.Do([&](testing::SessionHost& host) {
    host.sessions().Find(number)->SendLogLines("task", 1, {std::string(shm::kRingBytes, 'l')});
    host.sessions().CloseAll("closing time");
    return true;
  });
  CHECK(peer.AwaitEnd());
  CHECK(Soon([&] { return head.CountSessions() == 0; }));
}

// --- others --------------------------------------------------------------------------------------

TEST_CASE("a peer that breaks the rules loses its own session, and is told why") {
  Head head;
  Peer honest(head);
  honest.Greet();
  Peer peer(head);
  SECTION("the first frame is no Hello") {
    peer.Send(Put(1, 10));
  }
  SECTION("no frame at all") {
    REQUIRE(peer.Write("\xff\xff\xff\xff"));
    peer.Publish();
  }
  SECTION("a tail beyond the ring") {
    peer.header().to_head_tail.bytes = ~uint64_t{7};
    peer.Ring();
  }
  SECTION("a second Hello") {
    peer.Greet();
    peer.Send(Hello());
  }
  SECTION("an id of another session") {
    peer.Greet();
    peer.Send(Put(honest.NewId(), 10));
  }
  SECTION("a reference it does not hold") {
    peer.Greet();
    const ObjectId id = honest.NewId();
    honest.Send(Put(id, 10));
    honest.CheckWorks();  // it is carried out
    v1::PeerFrame frame;
    frame.mutable_release()->add_ids(id);
    peer.Send(frame);
  }
  SECTION("a tail that goes back") {
    peer.Greet();
    peer.header().to_head_tail.bytes = 0;
    peer.Ring();
  }
  std::optional<v1::HeadFrame> answer = peer.TryRead();
  REQUIRE(answer.has_value());
  CHECK(answer->goodbye().code() == static_cast<int32_t>(Code::kInvalidArgument));
  CHECK(answer->goodbye().reason().starts_with("broken "));
  CHECK(peer.AwaitEnd());
  CHECK(Soon([&] { return head.CountSessions() == 1; }));
  honest.CheckWorks();
}

TEST_CASE("peers that never say hello make room for those that do") {
  Head head;
  Peer honest(head);
  honest.Greet();
  std::vector<std::unique_ptr<Peer>> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(std::make_unique<Peer>(head));
    REQUIRE_FALSE(silent.back()->refused());
  }
  Peer late(head);
  late.Greet();
  late.CheckWorks();
  honest.CheckWorks();
  CHECK(silent.front()->HasEnded());  // the oldest went first
  CHECK_FALSE(silent.back()->HasEnded());
  CHECK(head.CountSessions() <= limits::kMaxUngreeted + 2);
}

TEST_CASE("a driver that submits beyond its credit is cut off") {
  Head head;
  Peer peer(head);
  peer.Greet();
  v1::PeerFrame task_class, submit;
  task_class.mutable_task_class()->set_class_id(1);
  task_class.mutable_task_class()->set_library("/lib/none.so");
  task_class.mutable_task_class()->set_function("F");
  task_class.mutable_task_class()->set_num_returns(1);
  peer.Send(task_class);
  submit.mutable_submit()->set_class_id(1);
  std::optional<v1::HeadFrame> frame;
  for (uint64_t i = 0; i < 3 * limits::kSessionCreditTasks; ++i) {
    submit.mutable_submit()->set_task_id(peer.NewId());
    const std::string bytes = submit.SerializeAsString();
    if (!testing::WaitUntil([&] { return peer.Write(bytes) || peer.HasEnded(); }, kPatience)) break;
    if (peer.HasEnded()) break;
    if (i % 64 == 0) peer.Publish();
  }
  peer.Publish();
  while ((frame = peer.TryRead()) && frame->has_credit()) {
  }
  REQUIRE(frame.has_value());
  CHECK(frame->goodbye().code() == static_cast<int32_t>(Code::kInvalidArgument));
  CHECK(frame->goodbye().reason().find("credit") != std::string::npos);
}

TEST_CASE("a peer that rings without end keeps nobody else waiting") {
  Head head;
  Peer honest(head);
  honest.Greet();
  Peer peer(head);
  peer.Greet();
  std::jthread ringing([&](std::stop_token stop) {
    const std::string bytes(4096, 'x');
    while (!stop.stop_requested()) {
      (void)!send(peer.socket_fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
  });
  for (int i = 0; i < 100; ++i) honest.CheckWorks();
}

TEST_CASE("bells of garbage delay nobody but their owner") {
  Head head;
  Peer honest(head);
  honest.Greet();
  Peer peer(head);
  peer.Greet();
  for (uint32_t garbage : {3u, 77u, ~0u}) {
    peer.header().peer_bell.state = garbage;
    peer.header().head_bell.state = garbage;
    peer.header().head_wants_room.state = garbage;
    peer.CheckWorks();  // it looks by itself
    honest.CheckWorks();
  }
}

TEST_CASE("a peer that goes on writing after its end holds nobody up") {
  Head head;
  Peer honest(head);
  honest.Greet();
  Peer peer(head);
  peer.Greet();
  const std::string put = Put(peer.NewId(), 60'000).SerializeAsString();
  std::jthread writing([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      if (peer.Write(put)) peer.Publish();
    }
  });
  shutdown(peer.socket_fd(), SHUT_RDWR);
  CHECK(Soon([&] { return head.CountSessions() == 1; }));
  honest.CheckWorks();
}

TEST_CASE("peers come and go by hundreds, and none is left") {
  Head head;
  Peer honest(head);
  honest.Greet();
  for (int i = 0; i < 300; ++i) {
    Peer peer(head);
    if (i % 3 != 0) peer.Greet();
    if (i % 3 == 1) peer.CheckWorks();
  }
  CHECK(Soon([&] { return head.CountSessions() == 1; }));
  honest.CheckWorks();
}

}  // namespace
}  // namespace kiln::sessions
