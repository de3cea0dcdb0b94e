// A peer's connection to the head: batches of frames, both ways, in order.
//
// Thread: Read from one thread, Write from one thread at a time, Close from any.
// Owner:  Peer.
#pragma once

#include <memory>

#include "common/session_dir.h"
#include "common/status.h"

namespace kiln::v1 {
class HeadBatch;
class PeerBatch;
}  // namespace kiln::v1

namespace kiln::peer {

class Link {
 public:
  virtual ~Link() = default;

  // Blocks: until a batch is here. Returns: false when the connection has ended.
  virtual bool Read(v1::HeadBatch* batch) = 0;
  // Blocks: while the head does not take what was written before. Returns: false as above.
  virtual bool Write(const v1::PeerBatch& batch) = 0;
  // Says that no more frames come: the head carries out what it has and ends the connection.
  virtual void WritesDone() = 0;
  // Makes Read and Write return false soon.
  virtual void Close() = 0;
  // Why the connection ended. Requires: Read has returned false.
  virtual Status Finish() = 0;
};

// Connects the session stream over gRPC, whose library is loaded now. The connection is made
// lazily: a head that is not there shows as an ended stream. Errors: Unavailable (libkiln_grpc.so
// is not beside libkiln.so).
Result<std::unique_ptr<Link>> OpenGrpcLink(const Endpoint& endpoint);

}  // namespace kiln::peer
