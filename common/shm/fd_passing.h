// Hands descriptors from process to process over unix sockets, and checks who is at the other end.
//
// Thread: any; plain functions.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

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

// Sends one message of 8 bytes with a descriptor. Errors: Unavailable (the peer is gone).
Status SendFd(int socket_fd, uint64_t number, int fd);
// Blocks: until the message is here, at most 10 s. Returns: the descriptor, close-on-exec.
// Errors: Unavailable (the peer is gone or late, or sent no descriptor).
Result<int> ReceiveFd(int socket_fd, uint64_t* number);

// A listening unix stream socket at `path`, mode 0600, non-blocking.
// Errors: Unavailable (cannot bind), InvalidArgument (path too long).
Result<int> ListenUnix(const std::string& path);
// Errors: Unavailable (nobody listens), InvalidArgument (path too long).
Result<int> ConnectUnix(const std::string& path);

}  // namespace kiln::shm
