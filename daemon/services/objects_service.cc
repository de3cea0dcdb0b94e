// Objects for clients without a session.
#include <algorithm>
#include <memory>
#include <unordered_set>
#include <utility>

#include "common/limits.h"
#include "common/value/error_value.h"
#include "daemon/services/call.h"
#include "daemon/services/object_text.h"
#include "kiln/v1/object.grpc.pb.h"

namespace kiln::services {
namespace {

// Collects a value; once it is whole, the loop stores it. gRPC's threads collect, one call at a
// time; after the last read the members belong to the loop.
class PutReactor : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  PutReactor(const Context* context, grpc::CallbackServerContext* call, grpc::ByteBuffer* response)
      : context_(context), call_(call), response_(response) {
    StartRead(&bytes_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      context_->loop->Post([this] { Finish(ToGrpc(Store())); });
    } else if (Status status = Collect(); !status.ok()) {
      Finish(ToGrpc(status));
    } else {
      StartRead(&bytes_);
    }
  }

  // A client that has gone never learns the ref, so nobody could release the object.
  void OnDone() override {
    bool unanswered = call_->IsCancelled();
    context_->loop->Post([this, unanswered] {
      if (unanswered && id_ != 0) {
        (void)context_->core->OnReleased(kHeadSession, std::span(&id_, 1), Clock::now());
      }
      delete this;
    });
  }

 private:
  Status Collect() {
    v1::PutRequest part;
    if (!Parse(&bytes_, &part)) {
      return Status(Code::kInvalidArgument, "a message of Put that is no PutRequest");
    }
    if (first_) {
      first_ = false;
      encoding_ = part.encoding();
      ttl_ms_ = part.ttl_ms();
      size_bytes_ = part.size_bytes();
    }
    const uint64_t capacity = context_->store->capacity_bytes();
    if (std::max<uint64_t>(data_.size() + part.data().size(), size_bytes_) > capacity) {
      return Status(Code::kResourceExhausted, "the value is larger than the object store (" +
                                                  std::to_string(capacity) + " bytes)");
    }
    data_.reserve(size_bytes_);
    data_ += part.data();
    return Status();
  }

  Status Store() {
    if (call_->IsCancelled()) return Status(Code::kCancelled, "the client went away");
    if (first_) return Status(Code::kInvalidArgument, "Put without a message");
    if (size_bytes_ != 0 && size_bytes_ != data_.size()) {
      return Status(Code::kInvalidArgument, "size_bytes said " + std::to_string(size_bytes_) +
                                                ", the data has " + std::to_string(data_.size()));
    }
    Result<ObjectId> id = StoreEncoded(*context_, encoding_, std::move(data_));
    if (!id.ok()) return id.status();
    id_ = *id;
    if (ttl_ms_ > 0) (void)context_->core->SetTimeToLive(id_, TimeIn(ttl_ms_));
    v1::PutResponse response;
    response.set_ref(FormatRef(id_));
    *response_ = Serialize(response);
    return Status();
  }

  const Context* const context_;
  grpc::CallbackServerContext* const call_;
  grpc::ByteBuffer* const response_;
  grpc::ByteBuffer bytes_;  // the message being read
  bool first_ = true;
  v1::Encoding encoding_ = v1::ENCODING_UNSPECIFIED;
  int64_t ttl_ms_ = 0;
  uint64_t size_bytes_ = 0;
  std::string data_;
  ObjectId id_ = 0;  // once stored
};

// Waits for an object, then streams it. Its members belong to the loop; gRPC's threads only post.
class GetReactor : public grpc::ServerWriteReactor<v1::GetResponse> {
 public:
  GetReactor(const Context* context, const v1::GetRequest* request)
      : context_(context), encoding_(request->encoding()) {
    context_->loop->Post([this, request] { Begin(*request); });
  }

  void OnWriteDone(bool ok) override {
    context_->loop->Post([this, ok] { ok ? WriteNext() : End(Status()); });
  }
  void OnCancel() override {
    context_->loop->Post([this] { End(Status(Code::kCancelled, "the client went away")); });
  }
  void OnDone() override {
    context_->loop->Post([this] { delete this; });
  }

 private:
  void Begin(const v1::GetRequest& request) {
    Result<ObjectId> id = ReadRef(request.ref());
    if (!id.ok()) return End(id.status());
    if (const std::optional<core::ActorView> actor = context_->core->FindActor(*id)) {
      return End(Status(Code::kInvalidArgument, request.ref() + " is no object but an actor (" +
                                                    actor->label + "), which has no value"));
    }
    id_ = *id;
    timeout_ms_ = request.timeout_ms();
    Result<sessions::HeadSession::WaitId> wait = context_->head_session->Wait(
        {id_}, 1, TimeIn(timeout_ms_), [this](bool in_time) { OnSealed(in_time); });
    if (!wait.ok()) return End(wait.status());
    wait_ = *wait;
  }

  void OnSealed(bool in_time) {
    if (ended_) return;
    if (!in_time) {
      return End(Status(Code::kDeadlineExceeded, "object " + FormatRef(id_) +
                                                     " was not ready within " +
                                                     std::to_string(timeout_ms_) + " ms"));
    }
    std::optional<core::ObjectView> object = context_->core->FindObject(id_);
    if (!object || !object->value) return End(Status(Code::kNotFound, "the object was released"));
    held_ = true;  // while its bytes are being sent
    context_->core->OnRetained(kHeadSession, std::span(&id_, 1));
    if (object->is_error) {
      FillFailure(DecodeError(std::get<std::string>(*object->value)), response_.mutable_error());
      left_ = {};
    } else {
      Result<std::string_view> bytes = RenderObject(*context_, *object, encoding_, &rendered_);
      if (!bytes.ok()) return End(bytes.status());
      left_ = *bytes;
      response_.set_size_bytes(left_.size());
    }
    WriteNext(/*first=*/true);
  }

  void WriteNext(bool first = false) {
    if (ended_) return;
    if (!first && left_.empty()) return End(Status());
    std::string_view chunk = left_.substr(0, limits::kChunkBytes);
    left_.remove_prefix(chunk.size());
    if (!response_.has_error()) response_.set_data(chunk.data(), chunk.size());
    StartWrite(&response_);
  }

  void End(const Status& status) {
    if (ended_) return;
    ended_ = true;
    context_->head_session->CancelWait(wait_);
    if (held_) {
      (void)context_->core->OnReleased(kHeadSession, std::span(&id_, 1), Clock::now());
    }
    Finish(ToGrpc(status));
  }

  const Context* const context_;
  const v1::Encoding encoding_;
  ObjectId id_ = 0;
  int64_t timeout_ms_ = 0;
  sessions::HeadSession::WaitId wait_ = 0;
  bool held_ = false;
  bool ended_ = false;
  std::string rendered_;   // the bytes, when they are not the object's own
  std::string_view left_;  // still to be sent
  v1::GetResponse response_;
};

class WaitReactor : public grpc::ServerUnaryReactor {
 public:
  WaitReactor(const Context* context, const v1::WaitRequest* request, v1::WaitResponse* response)
      : context_(context), request_(request), response_(response) {
    context_->loop->Post([this] { Begin(); });
  }
  void OnCancel() override {
    context_->loop->Post([this] {
      if (!ended_) context_->head_session->CancelWait(wait_);
      End(Status(Code::kCancelled, "the client went away"));
    });
  }
  void OnDone() override {
    context_->loop->Post([this] { delete this; });
  }

 private:
  void Begin() {
    Result<std::vector<ObjectId>> ids = ReadRefs(request_->refs());
    if (!ids.ok()) return End(ids.status());
    size_t needed = std::max<uint32_t>(request_->num_returns(), 1);
    if (needed > ids->size()) {
      return End(Status(Code::kInvalidArgument, "num_returns is " + std::to_string(needed) +
                                                    ", but there are " +
                                                    std::to_string(ids->size()) + " refs"));
    }
    if (std::unordered_set<ObjectId>(ids->begin(), ids->end()).size() < ids->size()) {
      return End(Status(Code::kInvalidArgument, "a ref is named twice"));
    }
    Result<sessions::HeadSession::WaitId> wait = context_->head_session->Wait(
        *ids, needed, TimeIn(request_->timeout_ms()), [this, ids = *ids, needed](bool) {
          if (!ended_) Answer(ids, needed);
        });
    if (!wait.ok()) return End(wait.status());
    wait_ = *wait;
  }

  void Answer(const std::vector<ObjectId>& ids, size_t needed) {
    for (ObjectId id : ids) {
      std::optional<core::ObjectView> object = context_->core->FindObject(id);
      bool ready = object && object->state == core::ObjectView::State::kSealed &&
                   static_cast<size_t>(response_->ready_size()) < needed;
      *(ready ? response_->add_ready() : response_->add_not_ready()) = FormatRef(id);
    }
    End(Status());
  }

  void End(const Status& status) {
    if (ended_) return;
    ended_ = true;
    Finish(ToGrpc(status));
  }

  const Context* const context_;
  const v1::WaitRequest* const request_;
  v1::WaitResponse* const response_;
  sessions::HeadSession::WaitId wait_ = 0;
  bool ended_ = false;
};

// Put is read as bytes, see Parse.
using ObjectsBase = v1::Objects::WithRawCallbackMethod_Put<v1::Objects::WithCallbackMethod_Get<
    v1::Objects::WithCallbackMethod_Wait<v1::Objects::WithCallbackMethod_Release<
        v1::Objects::WithCallbackMethod_Contains<v1::Objects::Service>>>>>;

class ObjectsService : public ObjectsBase {
 public:
  explicit ObjectsService(const Context* context) : context_(context) {}

  grpc::ServerReadReactor<grpc::ByteBuffer>* Put(grpc::CallbackServerContext* call,
                                                 grpc::ByteBuffer* response) override {
    Status status = Authorize(*context_, *call);
    if (status.ok()) return new PutReactor(context_, call, response);
    return new Refused<grpc::ServerReadReactor<grpc::ByteBuffer>>(status);
  }

  grpc::ServerWriteReactor<v1::GetResponse>* Get(grpc::CallbackServerContext* call,
                                                 const v1::GetRequest* request) override {
    Status status = Authorize(*context_, *call);
    if (status.ok()) return new GetReactor(context_, request);
    return new Refused<grpc::ServerWriteReactor<v1::GetResponse>>(status);
  }

  grpc::ServerUnaryReactor* Wait(grpc::CallbackServerContext* call, const v1::WaitRequest* request,
                                 v1::WaitResponse* response) override {
    Status status = Authorize(*context_, *call);
    if (status.ok()) return new WaitReactor(context_, request, response);
    return new Refused<grpc::ServerUnaryReactor>(status);
  }

  grpc::ServerUnaryReactor* Release(grpc::CallbackServerContext* call,
                                    const v1::ReleaseRequest* request,
                                    v1::ReleaseResponse*) override {
    return OnLoop(*context_, call, [this, request] {
      Result<std::vector<ObjectId>> ids = ReadRefs(request->refs());
      if (!ids.ok()) return ids.status();
      for (ObjectId id : *ids) {
        if (!context_->core->FindObject(id)) {
          return Status(Code::kNotFound, "no object has the ref " + FormatRef(id) +
                                             "; it was released, or belongs to another head");
        }
        if (context_->core->FindActor(id)) {
          return Status(Code::kInvalidArgument,
                        FormatRef(id) + " is an actor and no object; to end it: kiln actor kill " +
                            FormatRef(id));
        }
      }
      return context_->core->OnReleased(kHeadSession, *ids, Clock::now());
    });
  }

  grpc::ServerUnaryReactor* Contains(grpc::CallbackServerContext* call,
                                     const v1::ContainsRequest* request,
                                     v1::ContainsResponse* response) override {
    return OnLoop(*context_, call, [this, request, response] {
      Result<std::vector<ObjectId>> ids = ReadRefs(request->refs());
      if (!ids.ok()) return ids.status();
      for (ObjectId id : *ids) {
        std::optional<core::ObjectView> object = context_->core->FindObject(id);
        if (!object) continue;
        response->add_known(FormatRef(id));
        if (object->state == core::ObjectView::State::kSealed) response->add_sealed(FormatRef(id));
      }
      return Status();
    });
  }

 private:
  const Context* const context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeObjectsService(const Context* context) {
  return std::make_unique<ObjectsService>(context);
}

}  // namespace kiln::services
