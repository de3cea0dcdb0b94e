// The head's end of one peer's transport: takes frames one by one and sends them in its own way.
#pragma once

#include <cstddef>

#include "common/status.h"
#include "kiln/v1/session.pb.h"

namespace kiln::sessions {

// Thread: head loop only.
// Owner:  the transport; alive until it has told its session of the end (Session::OnEnd).
class Channel {
 public:
  virtual ~Channel() = default;

  // Takes a frame; it leaves with the next Flush at the latest. `urgent`: the peer shall look at it
  // even while it runs a task.
  // Returns: bytes that wait for the peer to read.
  virtual size_t Send(const v1::HeadFrame& frame, bool urgent) = 0;
  // Sends what was taken, as far as the peer reads; the rest follows by itself.
  virtual void Flush() = 0;
  // Ends the connection with this status, after what has been sent. OnEnd follows.
  virtual void Close(const Status& status) = 0;
  virtual const char* transport() const = 0;
};

}  // namespace kiln::sessions
