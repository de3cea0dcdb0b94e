// The gRPC stream of a session: the one file of a peer that includes gRPC's headers, in a library
// of its own.
#include <grpcpp/grpcpp.h>

#include "common/limits.h"
#include "common/peer/link.h"
#include "common/peer/transport.h"
#include "kiln/v1/session.grpc.pb.h"

namespace kiln::peer {
namespace {

class GrpcLink : public Link {
 public:
  explicit GrpcLink(const Endpoint& endpoint) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(limits::kMaxMessageBytes);
    arguments.SetMaxSendMessageSize(limits::kMaxMessageBytes);
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    // A session's stream is the session: it gets a connection of its own.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ =
        grpc::CreateCustomChannel(endpoint.target, grpc::InsecureChannelCredentials(), arguments);
    if (!endpoint.token.empty()) context_.AddMetadata("authorization", "Bearer " + endpoint.token);
    stream_ = v1::Sessions::NewStub(channel_)->Connect(&context_);
  }

  // A stream that was not read to its end is torn down first; gRPC requires it.
  ~GrpcLink() override {
    context_.TryCancel();
    if (!finished_) (void)Finish();
  }

  bool Read(v1::HeadBatch* batch) override { return stream_->Read(batch); }
  bool Write(const v1::PeerBatch& batch) override { return stream_->Write(batch); }
  void WritesDone() override { stream_->WritesDone(); }
  void Close() override { context_.TryCancel(); }

  Status Finish() override {
    finished_ = true;
    grpc::Status status = stream_->Finish();
    return Status(status.ok() ? Code::kUnavailable : static_cast<Code>(status.error_code()),
                  status.ok() ? kGoneWithoutAWord : status.error_message());
  }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::PeerBatch, v1::HeadBatch>> stream_;
  bool finished_ = false;
};

}  // namespace

}  // namespace kiln::peer

// See grpc_library.cc.
extern "C" kiln::peer::Link* kiln_make_grpc_link(const kiln::Endpoint* endpoint) {
  return new kiln::peer::GrpcLink(*endpoint);
}
