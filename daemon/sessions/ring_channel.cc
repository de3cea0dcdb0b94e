#include "daemon/sessions/ring_channel.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "daemon/sessions/session.h"
#include "daemon/sessions/session_table.h"

namespace kiln::sessions {

using shm::Bell;

RingChannel::RingChannel(EventLoop* loop, SessionTable* sessions, google::protobuf::Arena* arena,
                         int socket_fd, pid_t pid, std::unique_ptr<shm::Rings> rings)
    : loop_(loop),
      arena_(arena),
      socket_fd_(socket_fd),
      pid_fd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))),
      rings_(std::move(rings)),
      writer_(rings_->to_peer(), &rings_->header().to_peer_tail, &rings_->header().to_peer_head),
      reader_(rings_->to_head(), &rings_->header().to_head_tail, &rings_->header().to_head_head),
      session_(sessions->Open(this)) {
  loop_->Watch(socket_fd_, [this] { OnSocket(); });
  if (pid_fd_ >= 0) loop_->Watch(pid_fd_, [this] { End(); });
}

RingChannel::~RingChannel() {
  End();
  close(socket_fd_);
  if (pid_fd_ >= 0) close(pid_fd_);
}

bool RingChannel::greeted() const {
  return session_ == nullptr || session_->number() != 0;
}

// --- in ------------------------------------------------------------------------------------------

bool RingChannel::Poll() {
  if (ended()) return false;
  bool any = !backlog_.empty() && FlushBacklog();
  if (any) Flush();
  if (!closed_ && !reader_.empty()) any |= ReadFrames();
  return any;
}

bool RingChannel::ReadFrames() {
  session_->BeginBatch();
  for (size_t i = 0; i < limits::kBatchFrames && !closed_; ++i) {
    shm::RingReader::Outcome outcome = reader_.Read(&incoming_, limits::kMaxMessageBytes);
    if (outcome == shm::RingReader::Outcome::kEmpty) break;
    if (outcome == shm::RingReader::Outcome::kBroken) {
      session_->Refuse(Status(Code::kInvalidArgument, "broken ring: its lengths make no sense"));
      break;
    }
    auto* frame = google::protobuf::Arena::CreateMessage<v1::PeerFrame>(arena_);
    if (!frame->ParseFromString(incoming_)) {
      session_->Refuse(Status(Code::kInvalidArgument, "broken frame: it is no PeerFrame"));
      break;
    }
    session_->OnFrame(*frame);
  }
  arena_->Reset();
  reader_.Release();
  return true;
}

void RingChannel::OnSocket() {
  char bytes[64];
  const ssize_t got = recv(socket_fd_, bytes, sizeof bytes, MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) End();
}

// What was published before the end counts; one ring's content at most, however fast the peer may
// go on writing.
void RingChannel::End() {
  if (ended()) return;
  loop_->Unwatch(socket_fd_);
  if (pid_fd_ >= 0) loop_->Unwatch(pid_fd_);
  constexpr size_t kMostFrames = shm::kRingBytes / sizeof(shm::RecordHeader);
  for (size_t read = 0; read < kMostFrames && !closed_ && !reader_.empty();
       read += limits::kBatchFrames) {
    ReadFrames();
  }
  closed_ = true;
  loop_->CancelTimer(close_timer_);
  shutdown(socket_fd_, SHUT_RDWR);
  std::exchange(session_, nullptr)->OnEnd();
}

// --- out -----------------------------------------------------------------------------------------

size_t RingChannel::Send(const v1::HeadFrame& frame, bool urgent) {
  if (closed_) return 0;
  urgent_ |= urgent;
  const size_t size_bytes = frame.ByteSizeLong();
  if (backlog_.empty() && size_bytes <= shm::kMaxRecordBytes) {
    if (std::byte* room = writer_.Reserve(size_bytes)) {
      frame.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(room));
      writer_.Commit(size_bytes, shm::RecordKind::kLast);
      return 0;
    }
  }
  backlog_.push_back(frame.SerializeAsString());
  backlog_bytes_ += size_bytes;
  return backlog_bytes_;
}

size_t RingChannel::WriteParts(std::string_view frame) {
  size_t written = 0;
  while (true) {
    const size_t size_bytes = std::min(frame.size() - written, size_t{shm::kMaxRecordBytes});
    std::byte* room = writer_.Reserve(size_bytes);
    if (!room) return written;
    std::copy_n(frame.data() + written, size_bytes, reinterpret_cast<char*>(room));
    written += size_bytes;
    const bool last = written == frame.size();
    writer_.Commit(size_bytes, last ? shm::RecordKind::kLast : shm::RecordKind::kPart);
    if (last) return written;
  }
}

bool RingChannel::FlushBacklog() {
  bool any = false;
  while (!backlog_.empty()) {
    const std::string& frame = backlog_.front();
    const size_t written = WriteParts(std::string_view(frame).substr(backlog_written_));
    backlog_written_ += written;
    any |= written > 0;
    if (backlog_written_ < frame.size()) break;
    backlog_bytes_ -= frame.size();
    backlog_written_ = 0;
    backlog_.pop_front();
    any = true;
  }
  return any;
}

void RingChannel::Flush() {
  if (ended()) return;
  FlushBacklog();
  if (writer_.Publish() || urgent_) RingPeer();
  if (!backlog_.empty()) {
    // Not only before the head sleeps: this turn may be another thread's, while the loop's sleeps.
    rings_->header().head_wants_room.state.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (FlushBacklog() && writer_.Publish()) RingPeer();
  }
  // A peer that finds the end makes no more room.
  if (closed_ && backlog_.empty()) shutdown(socket_fd_, SHUT_WR);
}

void RingChannel::RingPeer() {
  std::atomic<uint32_t>& bell = rings_->header().peer_bell.state;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  uint32_t state = bell.load(std::memory_order_relaxed);
  if (state != static_cast<uint32_t>(Bell::kAwake)) {
    state = bell.exchange(static_cast<uint32_t>(Bell::kAwake));
    if (state == static_cast<uint32_t>(Bell::kParked)) shm::FutexWake(&bell);
    if (state == static_cast<uint32_t>(Bell::kUnattended)) SendByte();
  }
  if (!urgent_) return;
  // A peer that is awake may be busy with a task for long.
  if (state == static_cast<uint32_t>(Bell::kAwake)) SendByte();
  urgent_ = !backlog_.empty();
}

// A full socket is full of bytes that say the same.
void RingChannel::SendByte() {
  const char byte = 1;
  (void)!send(socket_fd_, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// The reason goes as a frame; then the peer finds the socket closed, reads the rest and leaves.
void RingChannel::Close(const Status& status) {
  if (closed_) return;
  if (!status.ok()) {
    v1::HeadFrame frame;
    frame.mutable_goodbye()->set_reason(status.message());
    frame.mutable_goodbye()->set_code(static_cast<int32_t>(status.code()));
    Send(frame, /*urgent=*/true);
  }
  closed_ = true;
  Flush();
  close_timer_ = loop_->At(Clock::now() + limits::kCloseGrace, [this] { End(); });
}

// --- sleeping ------------------------------------------------------------------------------------

void RingChannel::Park() {
  shm::RingsHeader& header = rings_->header();
  header.head_wants_room.state.store(backlog_.empty() ? 0 : 1, std::memory_order_relaxed);
  header.head_bell.state.store(static_cast<uint32_t>(Bell::kParked), std::memory_order_relaxed);
}

bool RingChannel::HasWork() {
  if (ended()) return false;
  if (!closed_ && !reader_.empty()) return true;
  if (backlog_.empty() || !FlushBacklog()) return false;
  Flush();
  return true;
}

void RingChannel::Unpark() {
  rings_->header().head_bell.state.store(static_cast<uint32_t>(Bell::kAwake),
                                         std::memory_order_relaxed);
}

}  // namespace kiln::sessions
