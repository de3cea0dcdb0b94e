// The gRPC stream as a transport: a thread reads it, an outbox writes it in batches.
//
// Thread: any.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "common/peer/link.h"
#include "common/peer/outbox.h"
#include "common/peer/transport.h"
#include "common/shm/bell.h"

namespace kiln::peer {

class GrpcTransport : public Transport {
 public:
  // `spins`: who waits yields for a while before it sleeps. See D20 in docs/decisions.md.
  GrpcTransport(std::unique_ptr<Link> link, bool spins);
  ~GrpcTransport() override;

  Result<v1::Welcome> Greet(const v1::Hello& hello) override;
  void Start(Receiver* receiver, std::mutex* mutex) override;
  void Send(const v1::PeerFrame& frame, Urgency urgency, bool may_block) override;
  void Flush() override;
  bool Wait(std::unique_lock<std::mutex>& lock, std::condition_variable& wake,
            const std::function<bool()>& done, Deadline deadline) override;
  void Break() override { link_->Close(); }

 private:
  void ReadLoop();

  const std::unique_ptr<Link> link_;
  const bool spins_;
  Receiver* receiver_ = nullptr;
  std::mutex* mutex_ = nullptr;
  v1::HeadBatch first_batch_;     // with the welcome; the reading thread's once it runs
  std::optional<Outbox> outbox_;  // once started
  shm::Spin spin_;                // of the one that set spinning_; under mutex_, as all below
  bool spinning_ = false;
  bool ended_ = false;
  std::condition_variable end_;
  std::thread reader_;
};

}  // namespace kiln::peer
