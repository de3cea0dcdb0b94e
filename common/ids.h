// Names of things: plain integers, distinct types where they could be mixed up.
//
// An object's id is session number (24 bits) and a counter of that session (40 bits), so that a
// peer names its tasks and objects without asking. A task has the id of its first result; the
// results of one task are consecutive. See docs/wire.md, "Ids".
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace kiln {

using ObjectId = uint64_t;  // 0 is no object
using TaskId = uint64_t;    // id of its first result; 0 is no task
using SessionNumber = uint32_t;
using WorkerId = uint64_t;  // given by the head when it starts a worker; 0 is no worker
using ActorId = ObjectId;   // of the task that makes it; named like an object
using GroupId = ObjectId;   // a placement group; named like an object
using JobId = uint64_t;

inline constexpr int kSequenceBits = 40;
inline constexpr uint64_t kMaxSequence = (uint64_t{1} << kSequenceBits) - 1;
inline constexpr SessionNumber kMaxSessionNumber = (1u << 24) - 1;

// The head itself: holder of all that unary clients and detached tasks make.
inline constexpr SessionNumber kHeadSession = 0;

inline constexpr ObjectId MakeObjectId(SessionNumber session, uint64_t sequence) {
  return (uint64_t{session} << kSequenceBits) | sequence;
}
inline constexpr SessionNumber SessionOf(ObjectId id) {
  return static_cast<SessionNumber>(id >> kSequenceBits);
}

// A ref in text: the id in 16 hexadecimal digits.
inline std::string FormatRef(ObjectId id) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(id));
  return text;
}

// Returns: nothing unless `text` is exactly 16 hexadecimal digits that are not all 0.
inline std::optional<ObjectId> ParseRef(std::string_view text) {
  if (text.size() != 16) return std::nullopt;
  ObjectId id = 0;
  for (char c : text) {
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) return std::nullopt;
    id = id << 4 | static_cast<ObjectId>(digit);
  }
  if (id == 0) return std::nullopt;
  return id;
}

}  // namespace kiln
