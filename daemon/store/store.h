// The object store: the segment, who gets which bytes of it, and the socket that hands it out.
//
// A peer connects to the store socket, sends the cookie of its session and receives the segment's
// descriptor. gRPC cannot pass descriptors.
//
// Thread: head loop only.
// Owner:  Head.
// See:    docs/object-store.md
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "common/event_loop.h"
#include "common/shm/segment.h"
#include "common/status.h"
#include "daemon/core/value.h"
#include "daemon/store/arena.h"
#include "daemon/store/prefaulter.h"
#include "daemon/store/store_options.h"

namespace kiln::store {

class Store {
 public:
  // Errors: ResourceExhausted (no memory file of this size), FailedPrecondition (no huge pages
  //         where they are asked for), Unavailable (socket).
  static Result<std::unique_ptr<Store>> Open(EventLoop* loop, const StoreOptions& options);
  ~Store();

  // Errors: ResourceExhausted (no extent large enough; the caller adds who holds the space).
  Result<core::Slice> Allocate(uint64_t size_bytes);
  void Free(core::Slice slice) { arena_.Free(slice); }

  // The bytes of a sealed object.
  std::string_view Read(core::Slice slice) const;
  // Writes a whole value for a client that has no segment of its own.
  // Errors: ResourceExhausted (the machine has no memory left).
  Status Write(core::Slice slice, std::string_view value);

  // A secret that lets one session fetch the segment.
  uint64_t MakeCookie();
  void ForgetCookie(uint64_t cookie) { cookies_.erase(cookie); }

  uint64_t capacity_bytes() const { return arena_.capacity_bytes(); }
  uint64_t used_bytes() const { return arena_.used_bytes(); }
  const std::string& socket_path() const { return socket_path_; }
  // The segment, to be passed to peers: its descriptor, and what they must be told to attach it.
  int fd() const { return segment_->fd(); }
  uint64_t ticket() const { return segment_->ticket(); }
  shm::PageKind pages() const { return segment_->pages(); }
  // Whose pages are there: what was used before or taken ahead.
  uint64_t warm_bytes() const {
    return std::max(arena_.high_water_bytes(), prefaulter_.done_bytes());
  }
  // False once nothing more will be taken ahead.
  bool is_prefaulting() const { return !prefaulter_.has_ended(); }
  // Why the pages are small ones although large ones would have been taken; empty otherwise.
  const std::string& why_not_huge() const { return why_not_huge_; }

 private:
  Store(EventLoop* loop, std::unique_ptr<shm::Segment> segment, std::string why_not_huge,
        int socket_fd, const StoreOptions& options);
  void Accept();
  void Answer(int fd);
  void Disconnect(int fd);

  EventLoop* const loop_;
  const std::unique_ptr<shm::Segment> segment_;
  const std::string why_not_huge_;
  const int socket_fd_;
  const std::string socket_path_;
  Arena arena_;
  Prefaulter prefaulter_;
  std::unordered_set<uint64_t> cookies_;                     // of open sessions
  std::unordered_map<int, EventLoop::TimerId> connections_;  // that have not sent a cookie yet
};

}  // namespace kiln::store
