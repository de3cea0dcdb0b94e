// The session stream: gRPC's threads read and write, the loop does everything else.
#include <memory>
#include <utility>

#include "daemon/services/call.h"
#include "daemon/sessions/channel.h"
#include "daemon/sessions/session.h"
#include "kiln/v1/session.grpc.pb.h"

namespace kiln::services {
namespace {

// One stream. Its callbacks come from gRPC's threads and only post; the members below belong to the
// loop. Deleted by the loop after OnDone, the last callback.
class StreamChannel : public grpc::ServerBidiReactor<v1::PeerBatch, v1::HeadBatch>,
                      public sessions::Channel {
 public:
  explicit StreamChannel(const Context* context) : loop_(context->loop) {
    loop_->Post([this, context] {
      session_ = context->sessions->Open(this);
      StartRead(&incoming_);
    });
  }

  void OnReadDone(bool ok) override {
    loop_->Post([this, ok] { ok ? OnBatch() : Close(Status()); });
  }
  void OnWriteDone(bool) override {
    loop_->Post([this] { OnWritten(); });
  }
  void OnDone() override {
    loop_->Post([this] {
      session_->OnEnd();
      delete this;
    });
  }

  bool busy() const override { return writing_; }

  void Send(v1::HeadBatch* batch) override {
    outgoing_.Swap(batch);
    writing_ = true;
    StartWrite(&outgoing_);
  }

  void Close(const Status& status) override {
    if (closed_) return;
    closed_ = true;
    status_ = ToGrpc(status);
    if (!writing_) Finish(status_);
  }

  const char* transport() const override { return "grpc"; }

 private:
  // The next batch is parsed by gRPC's threads while this one is carried out; so at most two are
  // here, and a peer that sends faster than the loop works is slowed down by the stream.
  void OnBatch() {
    if (closed_) return;
    current_.Swap(&incoming_);
    StartRead(&incoming_);
    session_->OnBatch(current_);
    current_.Clear();
  }

  void OnWritten() {
    writing_ = false;
    if (closed_) {
      Finish(status_);
    } else {
      session_->OnWritten();
    }
  }

  EventLoop* const loop_;
  sessions::Session* session_ = nullptr;
  v1::PeerBatch incoming_;  // gRPC's while a read is under way
  v1::PeerBatch current_;
  v1::HeadBatch outgoing_;  // gRPC's while writing_
  bool writing_ = false;
  bool closed_ = false;
  grpc::Status status_;
};

class SessionsService : public v1::Sessions::CallbackService {
 public:
  explicit SessionsService(const Context* context) : context_(context) {}

  grpc::ServerBidiReactor<v1::PeerBatch, v1::HeadBatch>* Connect(
      grpc::CallbackServerContext* call) override {
    Status status = Authorize(*context_, *call);
    if (status.ok()) return new StreamChannel(context_);
    return new Refused<grpc::ServerBidiReactor<v1::PeerBatch, v1::HeadBatch>>(status);
  }

 private:
  const Context* const context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSessionsService(const Context* context) {
  return std::make_unique<SessionsService>(context);
}

}  // namespace kiln::services
