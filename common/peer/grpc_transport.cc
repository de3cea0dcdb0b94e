#include "common/peer/grpc_transport.h"

#include <utility>

namespace kiln::peer {
namespace {

// A head takes well under a millisecond to end a session.
constexpr Duration kGoodbyeWait = seconds(2);
// A round trip to a worker takes about 200 us over gRPC; beyond that the caller is better asleep.
constexpr Duration kSpinTime = microseconds(400);

}  // namespace

GrpcTransport::GrpcTransport(std::unique_ptr<Link> link, bool spins)
    : link_(std::move(link)), spins_(spins), spin_(kSpinTime) {}

GrpcTransport::~GrpcTransport() {
  outbox_.reset();  // what was queued is written first
  if (!reader_.joinable()) return;
  link_->WritesDone();
  {
    // The head reads all there is and ends the stream; one that hangs is left.
    std::unique_lock lock(*mutex_);
    end_.wait_for(lock, kGoodbyeWait, [&] { return ended_; });
  }
  link_->Close();
  reader_.join();
}

Result<v1::Welcome> GrpcTransport::Greet(const v1::Hello& hello) {
  v1::PeerBatch batch;
  *batch.add_frames()->mutable_hello() = hello;
  if (!link_->Write(batch) || !link_->Read(&first_batch_)) return link_->Finish();
  if (first_batch_.frames_size() == 0 || !first_batch_.frames(0).has_welcome()) {
    return Status(Code::kInternal, "the head did not say welcome");
  }
  return first_batch_.frames(0).welcome();
}

void GrpcTransport::Start(Receiver* receiver, std::mutex* mutex) {
  receiver_ = receiver;
  mutex_ = mutex;
  outbox_.emplace(link_.get());
  reader_ = std::thread([this] { ReadLoop(); });
}

void GrpcTransport::Send(const v1::PeerFrame& frame, Urgency urgency, bool may_block) {
  outbox_->Append(frame, urgency, may_block);
}

void GrpcTransport::Flush() {
  outbox_->Flush();
}

void GrpcTransport::ReadLoop() {
  v1::HeadBatch batch;
  batch.Swap(&first_batch_);  // what came along with the welcome
  do {
    for (v1::HeadFrame& frame : *batch.mutable_frames()) receiver_->OnFrame(frame);
  } while (link_->Read(&batch));
  receiver_->OnEnd(link_->Finish());
  std::lock_guard lock(*mutex_);
  ended_ = true;
  end_.notify_all();
}

// An answer often comes within a fraction of a millisecond. A thread that yields meanwhile instead
// of sleeping keeps its core awake, which makes every wake-up on the answer's way cheaper: waking a
// parked core takes 24 us, and gRPC's way to a worker and back has eight of them. One thread of the
// process is enough for that.
bool GrpcTransport::Wait(std::unique_lock<std::mutex>& lock, std::condition_variable& wake,
                         const std::function<bool()>& done, Deadline deadline) {
  if (spins_ && !spinning_) {
    spinning_ = true;
    spin_.Restart();
    bool yielded = true;
    while (yielded && !done()) {
      lock.unlock();
      yielded = spin_.Yield();
      lock.lock();
    }
    spinning_ = false;
  }
  if (deadline) return wake.wait_until(lock, *deadline, done);
  wake.wait(lock, done);
  return true;
}

}  // namespace kiln::peer
