#include "daemon/sessions/ring_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "common/limits.h"
#include "common/log.h"
#include "common/shm/fd_passing.h"
#include "daemon/sessions/session_table.h"

namespace kiln::sessions {
namespace {

// Before another try, when the process has no descriptor left.
constexpr Duration kAcceptPause = milliseconds(100);

}  // namespace

Result<std::unique_ptr<RingServer>> RingServer::Open(EventLoop* loop, SessionTable* sessions,
                                                     const store::Store* store,
                                                     const std::string& socket_path) {
  Result<int> socket = shm::ListenUnix(socket_path);
  if (!socket.ok()) return socket.status();
  return std::unique_ptr<RingServer>(new RingServer(loop, sessions, store, *socket));
}

RingServer::RingServer(EventLoop* loop, SessionTable* sessions, const store::Store* store,
                       int socket_fd)
    : loop_(loop),
      sessions_(sessions),
      store_(store),
      socket_fd_(socket_fd),
      arena_block_(new char[kArenaBytes]),
      arena_(arena_block_.get(), kArenaBytes) {
  loop_->Watch(socket_fd_, [this] { Accept(); });
  loop_->set_polled(this);
}

RingServer::~RingServer() {
  loop_->set_polled(nullptr);
  loop_->CancelTimer(accept_timer_);
  loop_->Unwatch(socket_fd_);
  close(socket_fd_);
  channels_.clear();
}

void RingServer::Accept() {
  const int fd = accept4(socket_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) return Greet(fd);
  if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return;
  // The connection waits; looking again at once would only turn the loop.
  log::Warning("event=accept_paused errno={}", errno);
  loop_->Unwatch(socket_fd_);
  accept_timer_ = loop_->At(Clock::now() + kAcceptPause, [this] {
    accept_timer_ = 0;
    loop_->Watch(socket_fd_, [this] { Accept(); });
  });
}

// Whoever connects gets rings; the first frame in them must be Hello.
void RingServer::Greet(int fd) {
  Result<shm::PeerCredentials> peer = shm::CredentialsOf(fd);
  std::string refused;
  if (!peer.ok() || !shm::IsTrusted(*peer)) {
    refused = "another user";
  } else {
    if (CountUngreeted() >= limits::kMaxUngreeted) DropOldestUngreeted();
    Result<std::unique_ptr<shm::Rings>> rings = shm::Rings::Create();
    if (rings.ok()) {
      const std::array fds = {(*rings)->fd(), store_->fd()};
      Status sent = shm::SendFds(fd, store_->ticket(), fds);
      if (sent.ok()) {
        channels_.push_back(std::make_unique<RingChannel>(loop_, sessions_, &arena_, fd, peer->pid,
                                                          std::move(*rings)));
        return;
      }
      refused = sent.message();
    } else {
      refused = rings.status().message();
    }
  }
  log::Warning("event=rings_refused uid={} pid={} reason=\"{}\"",
               peer.ok() ? static_cast<int>(peer->uid) : -1, peer.ok() ? peer->pid : 0, refused);
  close(fd);
}

size_t RingServer::CountUngreeted() const {
  return static_cast<size_t>(std::count_if(
      channels_.begin(), channels_.end(), [](const auto& channel) { return !channel->greeted(); }));
}

// An honest peer says hello within a millisecond: the oldest is none, the next one may be.
void RingServer::DropOldestUngreeted() {
  const auto oldest = std::find_if(channels_.begin(), channels_.end(),
                                   [](const auto& channel) { return !channel->greeted(); });
  log::Warning("event=rings_dropped reason=\"too many connections without a Hello\"");
  channels_.erase(oldest);
}

void RingServer::RemoveEnded() {
  std::erase_if(channels_, [](const auto& channel) { return channel->ended(); });
}

bool RingServer::Poll() {
  bool any = false, ended = false;
  for (const auto& channel : channels_) {
    any |= channel->Poll();
    ended |= channel->ended();
  }
  if (ended) RemoveEnded();
  return any;
}

bool RingServer::Park() {
  for (const auto& channel : channels_) channel->Park();
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return std::none_of(channels_.begin(), channels_.end(),
                      [](const auto& channel) { return channel->HasWork(); });
}

void RingServer::Unpark() {
  for (const auto& channel : channels_) channel->Unpark();
}

}  // namespace kiln::sessions
