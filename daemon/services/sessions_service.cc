// The session stream: gRPC's threads read and write, the loop does everything else.
#include <grpc/grpc.h>

#include <memory>
#include <utility>

#include "common/limits.h"
#include "daemon/services/call.h"
#include "daemon/sessions/batch_outbox.h"
#include "daemon/sessions/channel.h"
#include "daemon/sessions/session.h"
#include "kiln/v1/session.grpc.pb.h"

namespace kiln::services {
namespace {

// One stream. Its callbacks come from gRPC's threads and only post; the members below belong to the
// loop. Deleted by the loop after OnDone, the last callback.
class StreamChannel : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                      public sessions::Channel {
 public:
  StreamChannel(const Context* context, grpc::CallbackServerContext* call)
      : loop_(context->loop), call_(call->c_call()) {
    grpc_call_ref(call_);
    loop_->Post([this, context] {
      session_ = context->sessions->Open(this);
      StartRead(&incoming_bytes_);
    });
  }

  ~StreamChannel() override { grpc_call_unref(call_); }

  void OnReadDone(bool ok) override {
    bool parsed = ok && Parse(&incoming_bytes_, &incoming_);
    loop_->Post([this, ok, parsed] {
      if (parsed) {
        OnBatch();
      } else {
        Close(ok ? Status(Code::kInvalidArgument, "a message that is no PeerBatch") : Status());
      }
    });
  }
  void OnWriteDone(bool) override {
    loop_->Post([this] { OnWritten(); });
  }
  void OnDone() override {
    loop_->Post([this] {
      loop_->CancelTimer(close_timer_);
      session_->OnEnd();
      delete this;
    });
  }

  size_t Send(const v1::HeadFrame& frame, bool) override {
    outbox_.Add(frame);
    return outbox_.size_bytes();
  }

  // Once closed nothing more may be written: Finish was called, or is the next thing to be.
  void Flush() override {
    v1::HeadBatch batch;
    if (writing_ || closed_ || !outbox_.Take(&batch)) return;
    outgoing_bytes_ = Serialize(batch);
    writing_ = true;
    StartWrite(&outgoing_bytes_);
  }

  void Close(const Status& status) override {
    if (closed_) return;
    closed_ = true;
    outbox_.Clear();
    status_ = ToGrpc(status);
    if (!writing_) Finish(status_);
    close_timer_ = loop_->At(Clock::now() + limits::kCloseGrace, [this] {
      grpc_call_cancel_with_status(call_, GRPC_STATUS_CANCELLED, "does not read", nullptr);
    });
  }

  const char* transport() const override { return "grpc"; }

 private:
  // The next batch is parsed by gRPC's threads while this one is carried out; so at most two are
  // here, and a peer that sends faster than the loop works is slowed down by the stream.
  void OnBatch() {
    if (closed_) return;
    current_.Swap(&incoming_);
    StartRead(&incoming_bytes_);
    session_->BeginBatch();
    for (v1::PeerFrame& frame : *current_.mutable_frames()) session_->OnFrame(frame);
    current_.Clear();
  }

  void OnWritten() {
    writing_ = false;
    if (closed_) {
      Finish(status_);
    } else {
      Flush();
    }
  }

  EventLoop* const loop_;
  grpc_call* const call_;  // referenced: gRPC's own objects end with OnDone, this one does not
  sessions::Session* session_ = nullptr;
  grpc::ByteBuffer incoming_bytes_;  // gRPC's while a read is under way, as the next
  v1::PeerBatch incoming_;
  v1::PeerBatch current_;
  sessions::BatchOutbox outbox_;
  grpc::ByteBuffer outgoing_bytes_;  // gRPC's while writing_
  bool writing_ = false;
  bool closed_ = false;
  EventLoop::TimerId close_timer_ = 0;  // once closed: cuts off a peer that does not read
  grpc::Status status_;
};

class SessionsService : public v1::Sessions::WithRawCallbackMethod_Connect<v1::Sessions::Service> {
 public:
  explicit SessionsService(const Context* context) : context_(context) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Connect(
      grpc::CallbackServerContext* call) override {
    Status status = Authorize(*context_, *call);
    if (status.ok()) return new StreamChannel(context_, call);
    return new Refused<grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>>(status);
  }

 private:
  const Context* const context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeSessionsService(const Context* context) {
  return std::make_unique<SessionsService>(context);
}

}  // namespace kiln::services
