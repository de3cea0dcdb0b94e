// What all service adapters share: who may call, and how a call reaches the loop.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/grpcpp.h>

#include <string>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "common/status.h"
#include "daemon/services/context.h"

namespace kiln::services {

inline grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), status.message());
}

// Peers on the unix socket were checked when they connected; others must know the token.
// Errors: Unauthenticated.
Status Authorize(const Context& context, const grpc::CallbackServerContext& call);

// Errors: InvalidArgument (not a ref; names it).
Result<ObjectId> ReadRef(const std::string& text);
Result<std::vector<ObjectId>> ReadRefs(
    const google::protobuf::RepeatedPtrField<std::string>& texts);

// Longest time a request can name, in milliseconds: 34 years. More is as good as without end, and
// would overflow when added to a time.
inline constexpr int64_t kLongestMs = int64_t{1} << 40;
// Returns: `ms` milliseconds from now; kNever for a negative or too large one.
Time TimeIn(int64_t ms);

// Streams are read as bytes and parsed here, so that a message that cannot be parsed is told from
// the end of the stream. Returns: false if `bytes` is no such message.
bool Parse(grpc::ByteBuffer* bytes, google::protobuf::MessageLite* message);
grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message);

// Runs `begin` on the loop with the call's reactor, which it finishes: there or, where the answer
// takes something else than the loop's time, later and on any thread. Request and response are
// there until then.
template <typename Begin>
grpc::ServerUnaryReactor* BeginOnLoop(const Context& context, grpc::CallbackServerContext* call,
                                      Begin begin) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  if (Status status = Authorize(context, *call); !status.ok()) {
    reactor->Finish(ToGrpc(status));
    return reactor;
  }
  context.loop->Post([reactor, begin = std::move(begin)] { begin(reactor); });
  return reactor;
}

// Runs `handle`, a Status(), on the loop and finishes the call with what it returns. It may use the
// request and the response.
template <typename Handle>
grpc::ServerUnaryReactor* OnLoop(const Context& context, grpc::CallbackServerContext* call,
                                 Handle handle) {
  return BeginOnLoop(context, call,
                     [handle = std::move(handle)](grpc::ServerUnaryReactor* reactor) {
                       reactor->Finish(ToGrpc(handle()));
                     });
}

// A call that was refused before it reached the loop.
template <typename Reactor>
class Refused : public Reactor {
 public:
  explicit Refused(const Status& status) { this->Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

}  // namespace kiln::services
