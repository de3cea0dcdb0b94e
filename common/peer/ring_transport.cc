#include "common/peer/ring_transport.h"

#include <google/protobuf/arena.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/limits.h"
#include "common/shm/fd_passing.h"

namespace kiln::peer {
namespace {

using shm::Bell;
using Outcome = shm::RingReader::Outcome;

// How long to sleep for room in a full ring, once yielding did not help: the head takes about 100
// us for what a ring holds.
constexpr microseconds kRoomPause{100};
// Bytes that may lie unseen in the ring of a sleeping head before it is woken for them.
constexpr uint64_t kMostQuietBytes = shm::kRingBytes / 4;

}  // namespace

Result<std::unique_ptr<RingTransport>> RingTransport::Connect(const std::string& socket_path,
                                                              bool worker) {
  Result<int> socket = shm::ConnectUnix(socket_path);
  if (!socket.ok()) return socket.status();
  uint64_t ticket = 0;
  Result<std::vector<int>> fds = shm::ReceiveFds(*socket, &ticket, 2);
  if (!fds.ok()) {
    close(*socket);
    return fds.status();
  }
  Result<std::unique_ptr<shm::Rings>> rings = shm::Rings::Attach((*fds)[0]);
  if (!rings.ok()) {
    close(*socket);
    close((*fds)[1]);
    return rings.status();
  }
  return std::unique_ptr<RingTransport>(
      new RingTransport(*socket, {(*fds)[1], ticket}, std::move(*rings), worker));
}

RingTransport::RingTransport(int socket_fd, PassedStore store, std::unique_ptr<shm::Rings> rings,
                             bool worker)
    : socket_fd_(socket_fd),
      store_(store),
      rings_(std::move(rings)),
      unattended_(worker ? Bell::kAwake : Bell::kUnattended),
      writer_(rings_->to_head(), &rings_->header().to_head_tail, &rings_->header().to_head_head),
      reader_(rings_->to_peer(), &rings_->header().to_peer_tail, &rings_->header().to_peer_head) {}

// What was sent lies in the ring; the head reads it when it finds the socket closed.
RingTransport::~RingTransport() {
  shutdown(socket_fd_, SHUT_RDWR);
  if (listener_.joinable()) listener_.join();
  close(socket_fd_);
  if (store_.fd >= 0) close(store_.fd);
}

std::optional<PassedStore> RingTransport::TakeStore() {
  return std::exchange(store_, {-1, 0});
}

// Who leads may sleep in the futex, where no condition variable reaches it.
void RingTransport::Wake() {
  woken_ = true;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  auto parked = static_cast<uint32_t>(Bell::kParked);
  if (bell().compare_exchange_strong(parked, static_cast<uint32_t>(Bell::kAwake))) {
    shm::FutexWake(&bell());
  }
}

void RingTransport::Break() {
  shutdown(socket_fd_, SHUT_RDWR);
}

// --- out -----------------------------------------------------------------------------------------

void RingTransport::Send(const v1::PeerFrame& frame, Urgency urgency, bool) {
  const size_t size_bytes = frame.ByteSizeLong();
  std::lock_guard lock(send_mutex_);
  WriteFrame(frame, size_bytes);
  if (!writer_.Publish()) return;
  // What nobody waits for wakes nobody, unless it has become much.
  sent_quietly_ = urgency == Urgency::kLazy ? sent_quietly_ + size_bytes : 0;
  if (urgency == Urgency::kLazy && sent_quietly_ < kMostQuietBytes) return;
  sent_quietly_ = 0;
  RingHead();
}

void RingTransport::WriteFrame(const v1::PeerFrame& frame, size_t size_bytes) {
  if (size_bytes > shm::kMaxRecordBytes) return WriteParts(frame.SerializeAsString());
  std::byte* room = AwaitRoom(size_bytes);
  if (!room) return;
  frame.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(room));
  writer_.Commit(size_bytes, shm::RecordKind::kLast);
}

void RingTransport::WriteParts(const std::string& frame) {
  for (size_t at = 0; at < frame.size();) {
    const size_t size_bytes = std::min<size_t>(frame.size() - at, shm::kMaxRecordBytes);
    std::byte* room = AwaitRoom(size_bytes);
    if (!room) return;
    std::memcpy(room, frame.data() + at, size_bytes);
    at += size_bytes;
    writer_.Commit(size_bytes,
                   at == frame.size() ? shm::RecordKind::kLast : shm::RecordKind::kPart);
  }
}

// The head reads its rings whatever else happens, so the wait is short, or the head has gone.
std::byte* RingTransport::AwaitRoom(size_t size_bytes) {
  if (std::byte* room = writer_.Reserve(size_bytes)) return room;
  writer_.Publish();
  RingHead();
  shm::Spin spin;
  while (true) {
    if (std::byte* room = writer_.Reserve(size_bytes)) return room;
    if (spin.Yield()) continue;
    if (hung_up_ || HeadHasGone()) return nullptr;
    std::this_thread::sleep_for(kRoomPause);
  }
}

// Whatever bytes lie before the socket's end.
bool RingTransport::HeadHasGone() {
  pollfd socket{.fd = socket_fd_, .events = POLLRDHUP, .revents = 0};
  return poll(&socket, 1, 0) > 0;
}

// A full socket is full of bytes that say the same.
void RingTransport::RingHead() {
  std::atomic<uint32_t>& bell = rings_->header().head_bell.state;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (bell.load(std::memory_order_relaxed) == static_cast<uint32_t>(Bell::kAwake)) return;
  if (bell.exchange(static_cast<uint32_t>(Bell::kAwake)) == static_cast<uint32_t>(Bell::kAwake)) {
    return;
  }
  const char byte = 1;
  (void)!send(socket_fd_, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// --- in ------------------------------------------------------------------------------------------

Result<v1::Welcome> RingTransport::Greet(const v1::Hello& hello) {
  v1::PeerFrame frame;
  *frame.mutable_hello() = hello;
  Send(frame, Urgency::kNow, true);
  const Time deadline = Clock::now() + limits::kHelloTimeout;
  v1::HeadFrame answer;
  while (true) {
    const bool gone = HeadHasGone();  // before the ring is read: it may hold the reason
    const Outcome outcome = reader_.Read(&incoming_, limits::kMaxMessageBytes);
    reader_.Release();
    if (outcome == Outcome::kFrame && answer.ParseFromString(incoming_)) {
      if (answer.has_welcome()) return answer.welcome();
      if (answer.has_goodbye()) {
        const v1::Goodbye& goodbye = answer.goodbye();
        return Status(goodbye.code() == 0 ? Code::kUnavailable : static_cast<Code>(goodbye.code()),
                      goodbye.reason());
      }
    }
    if (outcome != Outcome::kEmpty) return Status(Code::kInternal, "the head did not say welcome");
    if (gone) return Status(Code::kUnavailable, "the head closed the connection");
    if (Clock::now() > deadline) return Status(Code::kUnavailable, "the head does not answer");
    if (!spin_.Yield()) {
      SetBell(Bell::kUnattended);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      pollfd socket{.fd = socket_fd_, .events = POLLIN, .revents = 0};
      char byte;
      if (reader_.empty() && poll(&socket, 1, 100) > 0) {
        (void)!recv(socket_fd_, &byte, 1, MSG_DONTWAIT);
      }
    }
  }
}

void RingTransport::Start(Receiver* receiver, std::mutex* mutex) {
  receiver_ = receiver;
  mutex_ = mutex;
  std::unique_lock lock(*mutex_);
  listener_ = std::thread([this] { Listen(); });
  leading_ = false;
  // A worker's frames wait for its task thread: who carries them out is not ready before.
  if (unattended_ == Bell::kAwake) return SetBell(unattended_);
  PassOn(lock);
}

bool RingTransport::ReadFrames() {
  google::protobuf::Arena arena;
  for (size_t i = 0; i < limits::kBatchFrames; ++i) {
    const Outcome outcome = reader_.Read(&incoming_, limits::kMaxMessageBytes);
    if (outcome == Outcome::kEmpty) break;
    auto* frame = google::protobuf::Arena::CreateMessage<v1::HeadFrame>(&arena);
    if (outcome == Outcome::kBroken || !frame->ParseFromString(incoming_)) {
      Break();
      break;
    }
    receiver_->OnFrame(*frame);
  }
  if (!reader_.Release()) return false;
  // The head says that it wants room, then looks for it, then sleeps.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (rings_->header().head_wants_room.state.load(std::memory_order_relaxed) != 0) RingHead();
  return true;
}

bool RingTransport::Wait(std::unique_lock<std::mutex>& lock, std::condition_variable& wake,
                         const std::function<bool()>& done, Deadline deadline) {
  bool in_time = true;
  while (!done() && in_time) {
    if (!leading_ && !hung_up_) {
      leading_ = true;
      Lead(lock, done, deadline);
      leading_ = false;
      if (hung_up_) led_.notify_all();
    } else {
      followers_.push_back(&wake);
      if (deadline) {
        wake.wait_until(lock, *deadline);
      } else {
        wake.wait(lock);
      }
      followers_.erase(
          std::find(followers_.begin(), followers_.end(), &wake));  // others may share it
    }
    in_time = !deadline || Clock::now() < *deadline;
  }
  if (!leading_) PassOn(lock);
  return in_time || done();
}

void RingTransport::Lead(std::unique_lock<std::mutex>& lock, const std::function<bool()>& done,
                         Deadline deadline) {
  SetBell(Bell::kAwake);
  spin_.Restart();
  while (!done() && !hung_up_ && (!deadline || Clock::now() < *deadline)) {
    lock.unlock();
    if (ReadFrames()) {
      spin_.Restart();
    } else if (!spin_.Yield()) {
      Park(deadline);
    }
    lock.lock();
  }
}

void RingTransport::Park(Deadline deadline) {
  SetBell(Bell::kParked);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (reader_.empty() && !hung_up_ && !woken_.exchange(false)) {
    shm::FutexWait(&bell(), static_cast<uint32_t>(Bell::kParked), deadline.value_or(kNever));
  }
  SetBell(Bell::kAwake);
}

void RingTransport::PassOn(std::unique_lock<std::mutex>& lock) {
  while (followers_.empty() && !hung_up_) {
    SetBell(unattended_);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (reader_.empty()) return;
    // Came between the last look and the bell. A worker's task thread comes back by itself, but
    // what came may be urgent, and its byte was taken while somebody led.
    leading_ = true;
    SetBell(Bell::kAwake);
    lock.unlock();
    ReadFrames();
    lock.lock();
    leading_ = false;
  }
  if (hung_up_) led_.notify_all();
  if (!followers_.empty()) followers_.front()->notify_one();
}

// --- the listening thread ------------------------------------------------------------------------

void RingTransport::Listen() {
  while (true) {
    char bytes[64];
    const ssize_t got = recv(socket_fd_, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return OnHangUp();
    std::unique_lock lock(*mutex_);
    if (leading_) continue;  // who leads looks by itself
    leading_ = true;
    lock.unlock();
    while (ReadFrames()) {
    }
    lock.lock();
    leading_ = false;
    PassOn(lock);
  }
}

// What the head published before it closed counts.
void RingTransport::OnHangUp() {
  hung_up_ = true;
  bell().store(static_cast<uint32_t>(Bell::kAwake));
  shm::FutexWake(&bell());
  {
    std::unique_lock lock(*mutex_);
    led_.wait(lock, [&] { return !leading_; });
    leading_ = true;  // for ever
  }
  while (ReadFrames()) {
  }
  receiver_->OnEnd(Status(Code::kUnavailable, kGoneWithoutAWord));
}

}  // namespace kiln::peer
