// The head's end of a session over shared memory.
//
// The socket on which the rings were passed is the life line, and the bell of a side that sleeps in
// the kernel: a byte on it means "look", its end is the end of the session. What a dying peer has
// published is carried out first.
//
// Nothing the peer writes is believed: a broken ring or frame ends this session and touches no
// other.
//
// Thread: head loop only.
// Owner:  RingServer.
// See:    docs/wire.md, "Rings"
#pragma once

#include <google/protobuf/arena.h>

#include <deque>
#include <memory>
#include <string>

#include "common/event_loop.h"
#include "common/shm/rings.h"
#include "daemon/sessions/channel.h"

namespace kiln::sessions {

class Session;
class SessionTable;

class RingChannel : public Channel {
 public:
  // Takes over `socket_fd`, which has passed the rings to the peer `pid`. `arena`: where frames are
  // decoded; emptied after each batch.
  RingChannel(EventLoop* loop, SessionTable* sessions, google::protobuf::Arena* arena,
              int socket_fd, pid_t pid, std::unique_ptr<shm::Rings> rings);
  ~RingChannel() override;

  // Carries out frames that are there, a bounded number, and sends what the peer has made room for.
  // Returns: true if there was anything.
  bool Poll();
  // The head is about to sleep: the peer is to send a byte from now on.
  void Park();
  // With Park called: true if there is something to be done now.
  bool HasWork();
  void Unpark();

  size_t Send(const v1::HeadFrame& frame, bool urgent) override;
  void Flush() override;
  void Close(const Status& status) override;
  const char* transport() const override { return "shm"; }

  // The session has been told of the end; the channel is to be deleted.
  bool ended() const { return session_ == nullptr; }
  bool greeted() const;

 private:
  void OnSocket();
  void End();
  bool ReadFrames();
  // Writes one frame as records; as far as there is room. Returns: bytes written of it.
  size_t WriteParts(std::string_view frame);
  bool FlushBacklog();
  void RingPeer();
  void SendByte();

  EventLoop* const loop_;
  google::protobuf::Arena* const arena_;
  const int socket_fd_;
  const int pid_fd_;  // -1 where the kernel has none; a fork of the peer keeps its socket open
  const std::unique_ptr<shm::Rings> rings_;
  shm::RingWriter writer_;
  shm::RingReader reader_;
  Session* session_;
  std::string incoming_;             // one frame, its memory kept
  std::deque<std::string> backlog_;  // frames that found no room, oldest first
  size_t backlog_written_ = 0;       // of the first one
  size_t backlog_bytes_ = 0;
  bool urgent_ = false;  // among what is not published yet, or in the backlog
  bool closed_ = false;  // nothing more is read or taken
  EventLoop::TimerId close_timer_ = 0;
};

}  // namespace kiln::sessions
