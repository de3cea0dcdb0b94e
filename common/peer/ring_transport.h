// Rings in shared memory as a transport: no thread between the head's frame and the one who waits.
//
// At most one thread leads: it reads the ring, first yielding, then parked on the bell, and
// delivers frames for everybody. Others that wait follow: they sleep until told, and the next one
// takes over when the leader has what it wanted. When nobody waits, a listening thread reads what
// the head sends a byte for; a worker's task thread comes back by itself, so there only urgent
// frames make it look.
//
// Thread: any.
// See:    docs/wire.md, "Rings"; D29 to D31 in docs/decisions.md.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/peer/transport.h"
#include "common/shm/bell.h"
#include "common/shm/rings.h"
#include "kiln/v1/session.pb.h"

namespace kiln::peer {

class RingTransport : public Transport {
 public:
  // Connects to a head's rings.sock.
  // Errors: Unavailable (nobody there), InvalidArgument (it speaks another version).
  static Result<std::unique_ptr<RingTransport>> Connect(const std::string& socket_path,
                                                        bool worker);
  ~RingTransport() override;

  Result<v1::Welcome> Greet(const v1::Hello& hello) override;
  void Start(Receiver* receiver, std::mutex* mutex) override;
  void Send(const v1::PeerFrame& frame, Urgency urgency, bool may_block) override;
  void Flush() override {}  // nothing is ever held back
  bool Wait(std::unique_lock<std::mutex>& lock, std::condition_variable& wake,
            const std::function<bool()>& done, Deadline deadline) override;
  void Wake() override;
  void Break() override;

  std::optional<PassedStore> TakeStore() override;

 private:
  RingTransport(int socket_fd, PassedStore store, std::unique_ptr<shm::Rings> rings, bool worker);

  // Each writes a whole frame, waiting for room. Requires: send_mutex_ is held.
  void WriteFrame(const v1::PeerFrame& frame, size_t size_bytes);
  void WriteParts(const std::string& frame);
  // Returns: null when the head has gone.
  std::byte* AwaitRoom(size_t size_bytes);
  void RingHead();
  bool HeadHasGone();

  // Delivers frames that are there. Returns: true if there were any. Requires: leading_ is ours.
  bool ReadFrames();
  void Lead(std::unique_lock<std::mutex>& lock, const std::function<bool()>& done,
            Deadline deadline);
  void Park(Deadline deadline);
  // Nobody leads any more: the next one is told, or the head that nobody waits.
  void PassOn(std::unique_lock<std::mutex>& lock);
  void Listen();
  void OnHangUp();

  std::atomic<uint32_t>& bell() { return rings_->header().peer_bell.state; }
  void SetBell(shm::Bell state) {
    bell().store(static_cast<uint32_t>(state), std::memory_order_relaxed);
  }

  const int socket_fd_;
  PassedStore store_;  // its descriptor is -1 once taken
  const std::unique_ptr<shm::Rings> rings_;
  const shm::Bell unattended_;  // the bell's state while nobody leads
  Receiver* receiver_ = nullptr;

  std::mutex send_mutex_;
  shm::RingWriter writer_;  // under send_mutex_
  uint64_t sent_quietly_ = 0;

  shm::RingReader reader_;  // the leader's, as the next two
  shm::Spin spin_;
  std::string incoming_;

  std::mutex* mutex_ = nullptr;  // Peer's
  bool leading_ = true;          // somebody reads; under mutex_, as all below
  std::vector<std::condition_variable*> followers_;
  std::condition_variable led_;  // the leader has gone, with hung_up_
  std::atomic<bool> hung_up_ = false;
  std::atomic<bool> woken_ = false;  // Wake was called since the leader last looked
  std::thread listener_;
};

}  // namespace kiln::peer
