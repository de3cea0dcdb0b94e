#include "daemon/services/object_text.h"

#include <utility>

#include "common/limits.h"
#include "common/value/bytes.h"
#include "common/value/json.h"
#include "common/value/value.h"

namespace kiln::services {
namespace {

struct Encoded {
  std::string value;
  std::vector<ObjectId> contained;
};

Result<Encoded> Encode(v1::Encoding encoding, std::string data) {
  switch (encoding) {
    case v1::ENCODING_BYTES: {
      Result<std::string> bytes = value::EncodeBytes(data);
      if (!bytes.ok()) return bytes.status();
      return Encoded{std::move(*bytes), {}};
    }
    case v1::ENCODING_VALUE: {
      if (Result<value::View> view = value::ParseValue(data); !view.ok()) {
        return Status(Code::kInvalidArgument, view.status().message());
      }
      return Encoded{std::move(data), {}};
    }
    default: {
      Result<value::JsonArgument> json = value::ParseJson(data);
      if (!json.ok()) return json.status();
      if (json->ref) {
        return Status(Code::kInvalidArgument, "a ref alone is no value to put; it names one");
      }
      return Encoded{std::move(json->value), std::move(json->contained)};
    }
  }
}

}  // namespace

Result<ObjectId> StoreEncoded(const Context& context, v1::Encoding encoding, std::string data) {
  Result<Encoded> encoded = Encode(encoding, std::move(data));
  if (!encoded.ok()) return encoded.status();
  ObjectId id = context.head_session->NextIds(1);
  Time now = Clock::now();
  if (encoded->value.size() <= limits::kInlineLimitBytes) {
    Status status = context.core->OnObjectPut(kHeadSession, id, std::move(encoded->value),
                                              std::move(encoded->contained), now);
    if (!status.ok()) return status;
    return id;
  }
  Result<core::Slice> slice = context.store->Allocate(encoded->value.size());
  if (!slice.ok()) {
    return Status(slice.status().code(),
                  slice.status().message() + context.sessions->DescribeHolders());
  }
  Status status = context.store->Write(*slice, encoded->value);
  if (status.ok()) status = context.core->OnObjectCreated(kHeadSession, id, *slice);
  if (!status.ok()) {
    context.store->Free(*slice);
    return status;
  }
  status = context.core->OnObjectSealed(kHeadSession, id, std::move(encoded->contained), now);
  if (!status.ok()) return status;
  return id;
}

Result<std::string_view> RenderObject(const Context& context, const core::ObjectView& object,
                                      v1::Encoding encoding, std::string* rendered) {
  std::string_view bytes = object.value->index() == 0
                               ? std::string_view(std::get<0>(*object.value))
                               : context.store->Read(std::get<1>(*object.value));
  if (encoding == v1::ENCODING_VALUE) return bytes;
  if (encoding == v1::ENCODING_BYTES) return value::DecodeBytes(bytes);
  Result<std::string> json = value::ToJson(bytes);
  if (!json.ok()) return json.status();
  *rendered = std::move(*json);
  return std::string_view(*rendered);
}

void FillFailure(const ErrorInfo& error, v1::TaskFailure* failure) {
  failure->set_kind(std::string(ErrorKindName(error.kind)));
  failure->set_type(error.type);
  failure->set_message(error.message);
  failure->set_task(error.task);
  failure->set_worker_pid(error.worker_pid);
  for (const std::string& name : error.chain) failure->add_chain(name);
  failure->set_traceback(error.traceback);
}

}  // namespace kiln::services
