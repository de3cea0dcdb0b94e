// A session's life and the frames that come in; see peer_objects.cc and peer_tasks.cc for the
// calls.
#include "common/peer/peer.h"

#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "common/limits.h"
#include "common/shm/fd_passing.h"

namespace kiln::peer {
Peer::Peer(std::unique_ptr<Transport> transport, std::string address, TaskHost* host)
    : address_(std::move(address)), host_(host), transport_(std::move(transport)) {}

Result<std::shared_ptr<Peer>> Peer::Connect(const Endpoint& endpoint, v1::Hello hello,
                                            TaskHost* host) {
  Result<std::unique_ptr<Transport>> transport = OpenTransport(endpoint, host != nullptr);
  if (!transport.ok()) return transport.status();
  std::shared_ptr<Peer> peer(new Peer(std::move(*transport), endpoint.target, host));
  if (Status status = peer->Greet(std::move(hello)); !status.ok()) return status;
  if (Status status = peer->AttachStore(); !status.ok()) return status;
  peer->transport_->Start(peer.get(), &peer->mutex_);
  return peer;
}

// What was sent arrives; then no more frames come. Those that come until then are answered no more.
Peer::~Peer() {
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
  }
  transport_.reset();
}

Status Peer::Greet(v1::Hello hello) {
  hello.set_protocol_version(limits::kProtocolVersion);
  hello.set_pid(getpid());
  Result<v1::Welcome> welcome = transport_->Greet(hello);
  if (!welcome.ok()) {
    if (welcome.status().code() != Code::kUnavailable) return welcome.status();
    return Status(Code::kUnavailable,
                  "cannot reach a head at " + address_ + ": " + welcome.status().message());
  }
  welcome_ = std::move(*welcome);
  session_ = welcome_.session_number();
  credit_tasks_ = static_cast<int64_t>(welcome_.credit().tasks());
  credit_bytes_ = static_cast<int64_t>(welcome_.credit().bytes());
  return Status();
}

Result<PassedStore> Peer::FetchStore() const {
  Result<int> socket = shm::ConnectUnix(welcome_.store_socket());
  if (!socket.ok()) return socket.status();
  uint64_t cookie = welcome_.store_cookie(), ticket = 0;
  Result<std::vector<int>> fds =
      send(*socket, &cookie, sizeof cookie, MSG_NOSIGNAL) == sizeof cookie
          ? shm::ReceiveFds(*socket, &ticket, 1)
          : Status(Code::kUnavailable, "the head's store socket closed");
  close(*socket);
  if (!fds.ok()) return fds.status();
  return PassedStore{fds->front(), ticket};
}

Status Peer::AttachStore() {
  std::optional<PassedStore> passed = transport_->TakeStore();
  Result<PassedStore> store = passed ? Result<PassedStore>(*passed) : FetchStore();
  if (!store.ok()) return store.status();
  Result<std::unique_ptr<shm::Segment>> segment = shm::Segment::Attach(store->fd, store->ticket);
  if (!segment.ok()) return segment.status();
  segment_ = std::move(*segment);
  return Status();
}

void Peer::OnFrame(v1::HeadFrame& frame) {
  switch (frame.frame_case()) {
    case v1::HeadFrame::kObject:
      return OnObject(*frame.mutable_object());
    case v1::HeadFrame::kReady: {
      std::lock_guard lock(mutex_);
      for (ObjectId id : frame.ready().ids()) {
        if (objects_.OnReady(id)) NoteSealed(id);
      }
      return;
    }
    case v1::HeadFrame::kCreated: {
      std::lock_guard lock(mutex_);
      auto awaited = creating_.find(frame.created().id());
      if (awaited == creating_.end()) return;
      *awaited->second = std::move(*frame.mutable_created());
      creating_.erase(awaited);
      return created_.notify_all();
    }
    case v1::HeadFrame::kCredit: {
      std::lock_guard lock(mutex_);
      credit_tasks_ += static_cast<int64_t>(frame.credit().tasks());
      credit_bytes_ += static_cast<int64_t>(frame.credit().bytes());
      queue_full_ = frame.credit().tasks() == 0 && frame.credit().bytes() == 0;
      return credit_given_.notify_all();
    }
    case v1::HeadFrame::kLogLines:
      return OnLogLines(*frame.mutable_log_lines());
    case v1::HeadFrame::kGoodbye: {
      std::lock_guard lock(mutex_);
      end_reason_ = Status(Code::kUnavailable, frame.goodbye().reason());
      return;
    }
    case v1::HeadFrame::kTaskClass:
      if (host_) host_->OnTaskClass(std::move(*frame.mutable_task_class()));
      return;
    case v1::HeadFrame::kRun:
      if (host_) host_->OnRun(std::move(*frame.mutable_run()));
      return;
    case v1::HeadFrame::kRecall:
      if (host_) host_->OnRecall(frame.recall());
      return;
    case v1::HeadFrame::kCancelTask:
      if (host_) host_->OnCancelTask(frame.cancel_task().task_id());
      return;
    case v1::HeadFrame::kStreamItem:
      return OnStreamItem(frame.stream_item());
    case v1::HeadFrame::kStreamAdvance:
      if (host_) host_->OnStreamAdvance(frame.stream_advance());
      return;
    case v1::HeadFrame::kLeave:
      if (host_) host_->OnLeave();
      return;
    case v1::HeadFrame::kActorAnswer:
      return OnActorAnswer(*frame.mutable_actor_answer());
    case v1::HeadFrame::kWelcome:
    case v1::HeadFrame::FRAME_NOT_SET:
      return;  // of a newer head: not ours to judge
  }
}

void Peer::OnObject(v1::ObjectValue& value) {
  if (value.has_slice()) {
    CachedSlice slice{value.slice().offset_bytes(), value.slice().size_bytes()};
    if (!segment_->Contains(slice.offset_bytes, slice.size_bytes)) return transport_->Break();
    std::lock_guard lock(mutex_);
    if (objects_.OnValue(value.id(), slice)) NoteSealed(value.id());
    return;
  }
  value::SharedBytes bytes = value::CopyBytes(value.value());
  std::lock_guard lock(mutex_);
  if (objects_.OnValue(value.id(), std::move(bytes))) NoteSealed(value.id());
}

void Peer::OnEnd(const Status& reason) {
  {
    std::lock_guard lock(mutex_);
    End(Status(Code::kUnavailable,
               "the connection to the head at " + address_ + " ended: " + reason.message()));
  }
}

void Peer::Shutdown(const std::string& reason) {
  transport_->Flush();
  {
    std::lock_guard lock(mutex_);
    End(Status(Code::kUnavailable, reason));
  }
  transport_->Break();
}

bool Peer::ended() {
  std::lock_guard lock(mutex_);
  return ended_;
}

// Requires: mutex_ is held.
void Peer::End(const Status& reason) {
  ended_ = true;
  if (end_reason_.ok()) end_reason_ = reason;
  objects_.WakeAll();
  created_.notify_all();
  answered_.notify_all();
  credit_given_.notify_all();
  if (task_waiter_) task_waiter_->wake.notify_all();
  for (Waiter* waiter : producers_) waiter->wake.notify_all();
  events_.ended = true;
  event_.notify_all();
}

Status Peer::Disconnected() const {
  return end_reason_;
}

bool Peer::AwaitTask() {
  Waiter waiter;
  std::unique_lock lock(mutex_);
  task_waiter_ = &waiter;
  transport_->Wait(
      lock, waiter.wake, [&] { return ended_ || host_->HasTask(); }, std::nullopt);
  task_waiter_ = nullptr;
  return !ended_;
}

void Peer::PokeTaskThread() {
  std::lock_guard lock(mutex_);
  if (task_waiter_) task_waiter_->wake.notify_one();
  for (Waiter* waiter : producers_) waiter->wake.notify_one();
}

}  // namespace kiln::peer
