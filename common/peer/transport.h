// A peer's connection to the head: frames both ways, in order, and the waiting for them.
//
// Two carry the same frames: gRPC's stream, from anywhere, and rings in shared memory on the head's
// machine. They differ in who reads: over gRPC a thread of the transport's own; over rings whoever
// waits, so that no thread has to be woken between the head's answer and the one who asked.
//
// Thread: any.
// Owner:  Peer.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "common/clock.h"
#include "common/session_dir.h"
#include "common/status.h"

namespace kiln::v1 {
class HeadFrame;
class Hello;
class PeerFrame;
class Welcome;
}  // namespace kiln::v1

namespace kiln::peer {

using Deadline = std::optional<Time>;  // nothing: without end

// Of an end without a Goodbye.
inline constexpr const char* kGoneWithoutAWord =
    "the head went away without a word, as when it is killed; its log may say more, and a new "
    "session finds or starts another head";

// How long a frame may wait for company.
enum class Urgency {
  kNow,   // somebody waits for the answer
  kSoon,  // starts work elsewhere
  kLazy,  // gives something back
};

// The store segment as it is passed to peers: see shm::Segment::Attach.
struct PassedStore {
  int fd;
  uint64_t ticket;
};

class Transport {
 public:
  // Where frames go. Calls come from one thread at a time, without the mutex of Start.
  class Receiver {
   public:
    virtual ~Receiver() = default;
    virtual void OnFrame(v1::HeadFrame& frame) = 0;
    // The connection has ended; nothing more comes. Whoever waits is to be told.
    virtual void OnEnd(const Status& reason) = 0;
  };

  // Ends the connection after all that was sent.
  virtual ~Transport() = default;

  // Says hello. Requires: nothing was sent before.
  // Errors: Unavailable (no head there), or the head's refusal.
  virtual Result<v1::Welcome> Greet(const v1::Hello& hello) = 0;
  // Frames are delivered from now on. `mutex` is what Wait is called under; both outlive the
  // transport.
  virtual void Start(Receiver* receiver, std::mutex* mutex) = 0;

  // Blocks: while the head does not read and too much is queued, unless `may_block` is false.
  virtual void Send(const v1::PeerFrame& frame, Urgency urgency, bool may_block = true) = 0;
  // Sends all that was queued.
  virtual void Flush() = 0;

  // Waits until done(), which is looked at under `lock` whenever a frame may have changed it or
  // `wake` was notified. It must become true when the connection has ended.
  // Requires: `lock` holds Start's mutex.
  // Returns:  done(), which is false only when the deadline is over.
  virtual bool Wait(std::unique_lock<std::mutex>& lock, std::condition_variable& wake,
                    const std::function<bool()>& done, Deadline deadline) = 0;

  // Has whoever waits look at done() again: something else than a frame has changed it.
  virtual void Wake() {}

  // The store segment, if it came with the connection, once; nothing: it is to be fetched from
  // Welcome.store_socket.
  virtual std::optional<PassedStore> TakeStore() { return std::nullopt; }

  // Breaks the connection: the head sent what cannot be. OnEnd follows.
  virtual void Break() = 0;
};

// The transport that KILN_TRANSPORT (grpc or shm) names; else shared memory if the endpoint is a
// head of this machine that offers it, else gRPC. `worker`: the peer runs tasks.
// Errors: InvalidArgument (no such transport), Unavailable (shm is asked for and cannot be had).
Result<std::unique_ptr<Transport>> OpenTransport(const Endpoint& endpoint, bool worker);

}  // namespace kiln::peer
