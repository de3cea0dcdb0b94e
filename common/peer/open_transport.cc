// Which transport a peer speaks.
#include <cstdlib>
#include <string>
#include <utility>

#include "common/peer/grpc_transport.h"
#include "common/peer/link.h"
#include "common/peer/ring_transport.h"

namespace kiln::peer {
namespace {

constexpr std::string_view kUnix = "unix:";

// The rings' socket lies beside gRPC's.
Result<std::unique_ptr<RingTransport>> ConnectRings(const Endpoint& endpoint, bool worker) {
  if (!endpoint.target.starts_with(kUnix)) {
    return Status(Code::kUnavailable, "shared memory needs a head of this machine, connected by " +
                                          std::string(kUnix) + "PATH, not by " + endpoint.target);
  }
  const std::string path = endpoint.target.substr(kUnix.size());
  return RingTransport::Connect(path.substr(0, path.rfind('/') + 1) + "rings.sock", worker);
}

}  // namespace

Result<std::unique_ptr<Transport>> OpenTransport(const Endpoint& endpoint, bool worker) {
  const char* asked = std::getenv("KILN_TRANSPORT");
  const std::string name = asked ? asked : "";
  if (name != "" && name != "grpc" && name != "shm") {
    return Status(Code::kInvalidArgument,
                  "KILN_TRANSPORT is \"" + name + "\"; it must be grpc or shm, or not set");
  }
  if (name != "grpc") {
    Result<std::unique_ptr<RingTransport>> rings = ConnectRings(endpoint, worker);
    if (rings.ok()) return std::unique_ptr<Transport>(std::move(*rings));
    if (name == "shm") {
      return Status(rings.status().code(), "KILN_TRANSPORT=shm: " + rings.status().message());
    }
  }
  Result<std::unique_ptr<Link>> link = OpenGrpcLink(endpoint);
  if (!link.ok()) return link.status();
  return std::unique_ptr<Transport>(
      std::make_unique<GrpcTransport>(std::move(*link), /*spins=*/!worker));
}

}  // namespace kiln::peer
