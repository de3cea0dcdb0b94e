// The head's end of one peer's transport.
#pragma once

#include "common/status.h"
#include "kiln/v1/session.pb.h"

namespace kiln::sessions {

class Session;

// Thread: head loop only.
// Owner:  the transport; alive until it has told its session of the end (Session::OnEnd).
class Channel {
 public:
  virtual ~Channel() = default;

  // True while a batch is on its way; Session::OnWritten follows.
  virtual bool busy() const = 0;
  // Sends a batch and leaves `batch` empty. Requires: !busy().
  virtual void Send(v1::HeadBatch* batch) = 0;
  // Ends the stream with this status, after what is being sent. OnEnd follows.
  virtual void Close(const Status& status) = 0;
  virtual const char* transport() const = 0;
};

}  // namespace kiln::sessions
