// Hands descriptors from process to process over unix sockets, and checks who is at the other end.
//
// Thread: any; plain functions.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/status.h"

namespace kiln::shm {

// Who connected a unix socket (SO_PEERCRED).
struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
};
Result<PeerCredentials> CredentialsOf(int socket_fd);

// True if the peer is this user or root.
bool IsTrusted(const PeerCredentials& peer);

// Descriptors in one message at most.
inline constexpr size_t kMaxFds = 4;
// Sends one message of 8 bytes with descriptors. Requires: at most kMaxFds of them.
// Errors: Unavailable (the peer is gone).
Status SendFds(int socket_fd, uint64_t number, std::span<const int> fds);
// Blocks: until the message is here, at most 10 s. Returns: as many descriptors as asked for,
// close-on-exec. Errors: Unavailable (the peer is gone or late, or sent another number of them).
Result<std::vector<int>> ReceiveFds(int socket_fd, uint64_t* number, size_t count);

// A listening unix stream socket at `path`, mode 0600, non-blocking.
// Errors: Unavailable (cannot bind), InvalidArgument (path too long).
Result<int> ListenUnix(const std::string& path);
// Errors: Unavailable (nobody listens), InvalidArgument (path too long).
Result<int> ConnectUnix(const std::string& path);

}  // namespace kiln::shm
