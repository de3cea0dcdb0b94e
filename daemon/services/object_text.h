// Objects as plain clients send and read them: JSON, bytes, or the encoded value.
//
// Thread: head loop only.
#pragma once

#include <string>
#include <string_view>

#include "common/status.h"
#include "common/value/error_value.h"
#include "daemon/core/core.h"
#include "daemon/services/context.h"
#include "kiln/v1/object.pb.h"

namespace kiln::services {

// Encodes what a client sent and stores it, held by the head.
// Errors: InvalidArgument (not what the encoding says), ResourceExhausted (the store is full).
Result<ObjectId> StoreEncoded(const Context& context, v1::Encoding encoding, std::string data);

// Returns: the object's bytes in this encoding, in `rendered` or in the object itself.
// Requires: object is sealed and no error.
// Errors: InvalidArgument (bytes asked of a value that is none), ResourceExhausted (too long as
//         JSON).
Result<std::string_view> RenderObject(const Context& context, const core::ObjectView& object,
                                      v1::Encoding encoding, std::string* rendered);

void FillFailure(const ErrorInfo& error, v1::TaskFailure* failure);

}  // namespace kiln::services
