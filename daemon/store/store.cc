#include "daemon/store/store.h"

#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "common/limits.h"
#include "common/log.h"
#include "common/shm/fd_passing.h"

namespace kiln::store {

namespace {

// `why_not_huge` is set if huge pages would have been taken but cannot be had.
Result<std::unique_ptr<shm::Segment>> MakeSegment(const StoreOptions& options,
                                                  std::string* why_not_huge) {
  if (options.pages != PageChoice::k4k) {
    auto segment = shm::Segment::Create(options.capacity_bytes, shm::PageKind::kHuge);
    if (segment.ok()) return segment;
    *why_not_huge = segment.status().message();
    if (options.pages == PageChoice::kHuge) {
      return Status(segment.status().code(), "--store-pages huge: " + *why_not_huge +
                                                 "; --store-pages auto takes others then");
    }
  }
  return shm::Segment::Create(options.capacity_bytes, shm::PageKind::k4k);
}

Prefaulter::Options PrefaulterOptions(const StoreOptions& options, const shm::Segment& segment) {
  Prefaulter::Options prefault;
  prefault.target_bytes = options.prefault_bytes.value_or(Prefaulter::DefaultTarget(segment));
  prefault.is_idle = options.is_idle;
  prefault.available_bytes = options.available_bytes;
  return prefault;
}

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(EventLoop* loop, const StoreOptions& options) {
  std::string why_not_huge;
  Result<std::unique_ptr<shm::Segment>> segment = MakeSegment(options, &why_not_huge);
  if (!segment.ok()) return segment.status();
  Result<int> socket = shm::ListenUnix(options.socket_path);
  if (!socket.ok()) return socket.status();
  log::Info("event=store_opened bytes={} pages={} why_not_huge=\"{}\"", (*segment)->size_bytes(),
            shm::Name((*segment)->pages()), why_not_huge);
  return std::unique_ptr<Store>(
      new Store(loop, std::move(*segment), std::move(why_not_huge), *socket, options));
}

Store::Store(EventLoop* loop, std::unique_ptr<shm::Segment> segment, std::string why_not_huge,
             int socket_fd, const StoreOptions& options)
    : loop_(loop),
      segment_(std::move(segment)),
      why_not_huge_(std::move(why_not_huge)),
      socket_fd_(socket_fd),
      socket_path_(options.socket_path),
      arena_(segment_->size_bytes(),
             segment_->pages() == shm::PageKind::kHuge ? shm::kHugePageBytes : shm::kPageBytes),
      prefaulter_(loop, segment_.get(), PrefaulterOptions(options, *segment_)) {
  loop_->Watch(socket_fd_, [this] { Accept(); });
}

Store::~Store() {
  loop_->Unwatch(socket_fd_);
  close(socket_fd_);
  while (!connections_.empty()) Disconnect(connections_.begin()->first);
}

Result<core::Slice> Store::Allocate(uint64_t size_bytes) {
  if (std::optional<core::Slice> slice = arena_.Allocate(size_bytes)) return *slice;
  return Status(Code::kResourceExhausted,
                "the object store is full: " + std::to_string(size_bytes) + " bytes asked, " +
                    std::to_string(arena_.used_bytes()) + " of " +
                    std::to_string(arena_.capacity_bytes()) + " used, largest free extent " +
                    std::to_string(arena_.largest_free_bytes()));
}

std::string_view Store::Read(core::Slice slice) const {
  return {reinterpret_cast<const char*>(segment_->data() + slice.offset_bytes), slice.size_bytes};
}

Status Store::Write(core::Slice slice, std::string_view value) {
  Result<std::byte*> data = segment_->BeginWrite(slice.offset_bytes, slice.size_bytes);
  if (!data.ok()) return data.status();
  std::memcpy(*data, value.data(), value.size());
  segment_->EndWrite(slice.offset_bytes, slice.size_bytes);
  return Status();
}

uint64_t Store::MakeCookie() {
  uint64_t cookie = 0;
  while (cookie == 0 || cookies_.contains(cookie)) {
    if (getrandom(&cookie, sizeof cookie, 0) != sizeof cookie) cookie = 0;
  }
  cookies_.insert(cookie);
  return cookie;
}

void Store::Accept() {
  int fd = accept4(socket_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  Result<shm::PeerCredentials> peer = shm::CredentialsOf(fd);
  if (!peer.ok() || !shm::IsTrusted(*peer)) {
    log::Warning("event=store_refused uid={}", peer.ok() ? static_cast<int>(peer->uid) : -1);
    close(fd);
    return;
  }
  connections_[fd] =
      loop_->At(Clock::now() + limits::kHelloTimeout, [this, fd] { Disconnect(fd); });
  loop_->Watch(fd, [this, fd] { Answer(fd); });
}

void Store::Answer(int fd) {
  uint64_t cookie = 0;
  if (read(fd, &cookie, sizeof cookie) == sizeof cookie && cookies_.contains(cookie)) {
    // Eight bytes into an empty socket buffer never block.
    const int descriptor = segment_->fd();
    (void)shm::SendFds(fd, segment_->ticket(), std::span(&descriptor, 1));
  }
  Disconnect(fd);
}

void Store::Disconnect(int fd) {
  auto connection = connections_.find(fd);
  if (connection == connections_.end()) return;
  loop_->CancelTimer(connection->second);
  connections_.erase(connection);
  loop_->Unwatch(fd);
  close(fd);
}

}  // namespace kiln::store
