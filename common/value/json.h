// Values as JSON text, for the CLI and plain gRPC clients.
//
// JSON has no bytes, no refs and no arrays of numbers, so
//   bytes    are {"$bytes": "<base64>"}
//   a ref    is  {"$ref": "<16 hexadecimal digits>"}
//   ndarray  is  nested lists
//   an error is  {"error": {"kind": .., "type": .., "message": .., "task": .., "pid": .., "chain":
//   [..]}}
// in both directions, except that text is never read as an ndarray or an error. NaN and infinities
// are written as null.
//
// Thread: any; plain functions.
// See:    docs/wire.md, "JSON".
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/ids.h"
#include "common/status.h"

namespace kiln::value {

// Nesting of lists and maps; readers recurse, about 200 bytes of stack a level. Beyond it
// InvalidArgument.
inline constexpr size_t kMaxJsonDepth = 256;
// Text read or written in one piece, bytes: JSON is built in memory, several times its size. Beyond
// it ResourceExhausted.
inline constexpr size_t kMaxJsonBytes = size_t{256} << 20;

// What a JSON text stands for as an argument or as a value to put.
struct JsonArgument {
  std::optional<ObjectId> ref;      // the text is a {"$ref": ..} alone; then `value` is empty
  std::string value;                // encoded: kMsgpack, or kNull for null
  std::vector<ObjectId> contained;  // refs inside `value`, in the order of the text
};

// Errors: InvalidArgument (not JSON: the message has line and column; a bad $ref or $bytes; too
//         deep), ResourceExhausted (too long).
Result<JsonArgument> ParseJson(std::string_view text);

// Returns: the value on one line. Keys of maps that are not text are written as text.
// Errors:  DataLoss (not a value), InvalidArgument (a Python object, or too deep),
//          ResourceExhausted (longer than kMaxJsonBytes as text; get it as bytes).
Result<std::string> ToJson(std::string_view value);

}  // namespace kiln::value
