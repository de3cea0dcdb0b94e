// The session directory: where a head lives on disk, and how everybody else finds it.
//
//   head.lock     locked by the head while it lives (an open file description lock, so that asking
//                 who holds it never gets in the way of taking it); content: its pid
//   head.json     what HeadInfo says; written when the head can serve, removed when it ends
//   head.sock     gRPC
//   store.sock    hands out the store segment
//   rings.sock    sessions over shared memory
//   token         secret for TCP peers; only with --listen
//   logs/         one file per process
//
// Thread: any; plain functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/status.h"

namespace kiln {

// `$XDG_RUNTIME_DIR/kiln` if $XDG_RUNTIME_DIR is a directory of ours, else `/tmp/kiln-$UID`.
std::string DefaultSessionDir();

// Paths inside a session directory; all absolute, also when `dir` is relative.
struct SessionPaths {
  explicit SessionPaths(std::string dir);
  std::string dir, lock, info, head_socket, store_socket, rings_socket, token, logs;
};

// What a running head tells about itself; numbers as in proto/kiln/v1/state.proto.
struct HeadInfo {
  int64_t pid = 0;
  std::string version;
  std::string address;      // "unix:/…/head.sock"
  std::string tcp_address;  // "127.0.0.1:4711", empty without --listen
  std::string session_dir;
  std::string log_dir;
  int num_workers = 0;
  double num_cpus = 0;
  uint64_t store_bytes = 0;
  int64_t started_ms = 0;
};

std::string ToJson(const HeadInfo& info);
// Errors: DataLoss (not what ToJson writes).
Result<HeadInfo> ParseHeadInfo(const std::string& json);

// True if a process holds the lock on this file; false also if there is no such file.
bool IsLocked(const std::string& lock_path);

// The head that lives in `dir`: reads head.json and checks that head.lock is held.
// Errors: NotFound (no head runs there; the message says how to start one), PermissionDenied
//         (directory of another user, or a symbolic link).
Result<HeadInfo> FindHead(const std::string& dir);

// Where a client shall connect.
struct Endpoint {
  std::string target;  // for gRPC: "unix:/…/head.sock" or "127.0.0.1:4711"
  std::string token;   // for TCP, else empty
};

// Resolves --address / --session-dir / KILN_ADDRESS / KILN_SESSION_DIR / the default, in this
// order; an argument beats the environment. TCP takes its token from KILN_TOKEN, else from the
// token file of the head in the session directory when that head has this address. Errors: NotFound
// (no head there), PermissionDenied (as FindHead), InvalidArgument (an address that
//         is neither unix:PATH nor HOST:PORT).
Result<Endpoint> ResolveEndpoint(const std::string& address, const std::string& session_dir);

}  // namespace kiln
