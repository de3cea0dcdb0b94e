// Hostile frames against sessions on a real core and store: a broken frame ends its session with a
// status, and when all have ended nothing is held.
//
// Input: frames, each a byte that chooses the session (and, with its highest bit, ends it
// afterwards), two bytes of length and a serialized PeerFrame. An id whose session is 1 to 4 means
// that of the session so numbered; session 4 is a worker.
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "common/limits.h"
#include "common/log.h"
#include "kiln/v1/session.pb.h"
#include "tests/unit/session_host.h"

namespace kiln {
namespace {

constexpr size_t kSessions = 4;

void Require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "session_fuzz: %s\n", what.c_str());
  std::abort();
}

// A socket's place; gone with the process.
struct Directory {
  Directory() : path(std::filesystem::temp_directory_path() / "kiln-fuzz-XXXXXX") {
    Require(mkdtemp(path.data()) != nullptr, "no directory");
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string path;
};

// A peer that takes everything.
class FakeChannel : public sessions::Channel {
 public:
  size_t Send(const v1::HeadFrame& frame, bool) override {
    Require(!closed_, "a frame after the end");
    return frame.ByteSizeLong();
  }
  void Flush() override {}
  void Close(const Status& status) override {
    Require(!closed_, "closed twice");
    Require(!status.ok(), "an end without a reason");
    closed_ = true;
  }
  const char* transport() const override { return "fake"; }
  bool closed() const { return closed_; }

 private:
  bool closed_ = false;
};

class World {
 public:
  explicit World(const std::string& dir) : host_(&loop_, dir) {
    for (size_t i = 0; i < kSessions; ++i) Open(i);
  }
  ~World() {
    for (size_t i = 0; i < kSessions; ++i) End(i);
    const core::Totals totals = host_.core().GetTotals();
    Require(totals.tasks_waiting + totals.tasks_ready + totals.tasks_running == 0 || detached_,
            "tasks are left");
    Require(host_.store().used_bytes() == 0 || detached_, "room in the store is left");
  }

  void Frame(uint8_t selector, std::string_view bytes) {
    const size_t which = selector % kSessions;
    v1::PeerFrame frame;
    if (frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      Localize(frame);
      detached_ = detached_ || frame.task_class().detached() || frame.create_group().detached();
      sessions_[which].session->BeginBatch();
      sessions_[which].session->OnFrame(frame);
    } else {
      sessions_[which].session->Refuse(Status(Code::kInvalidArgument, "no PeerFrame"));
    }
    host_.AfterTurn();
    CheckInvariants();
    if (sessions_[which].channel->closed() || (selector & 0x80)) {
      End(which);
      Open(which);
    }
  }

 private:
  struct Open_ {
    std::unique_ptr<FakeChannel> channel;
    sessions::Session* session = nullptr;
  };

  void Open(size_t which) {
    Open_& open = sessions_[which];
    open.channel = std::make_unique<FakeChannel>();
    open.session = host_.sessions().Open(open.channel.get());
    v1::PeerFrame frame;
    v1::Hello* hello = frame.mutable_hello();
    hello->set_protocol_version(limits::kProtocolVersion);
    hello->set_kind(v1::Hello::KIND_DRIVER);
    if (which == kSessions - 1 && !host_.to_start().empty()) {
      hello->set_kind(v1::Hello::KIND_WORKER);
      hello->set_worker_id(host_.to_start().back());
      host_.to_start().pop_back();
    }
    open.session->BeginBatch();
    open.session->OnFrame(frame);
    Require(!open.channel->closed(), "an honest Hello was refused");
    host_.AfterTurn();
  }

  void End(size_t which) {
    const WorkerId worker = sessions_[which].session->worker();
    sessions_[which].session->OnEnd();
    if (worker != 0) host_.core().OnWorkerLost(worker, "it ended", Clock::now());
    host_.AfterTurn();
    CheckInvariants();
  }

  void CheckInvariants() const {
    const std::string wrong = host_.core().CheckInvariants();
    Require(wrong.empty(), wrong);
  }

  uint64_t Local(uint64_t id) const {
    const SessionNumber number = SessionOf(id);
    if (number == 0 || number > kSessions) return id;
    return MakeObjectId(sessions_[number - 1].session->number(), id & kMaxSequence);
  }
  void Localize(google::protobuf::RepeatedField<uint64_t>* ids) const {
    for (uint64_t& id : *ids) id = Local(id);
  }

  void Localize(v1::Submit& submit) const {
    submit.set_task_id(Local(submit.task_id()));
    submit.set_parent_task_id(Local(submit.parent_task_id()));
    submit.set_actor_id(Local(submit.actor_id()));
    Localize(submit.mutable_refs());
    Localize(submit.mutable_nested_refs());
  }

  void Localize(v1::PeerFrame& frame) const {
    using Frame = v1::PeerFrame;
    switch (frame.frame_case()) {
      case Frame::kSubmit:
        return Localize(*frame.mutable_submit());
      case Frame::kCreateActor:
        return Localize(*frame.mutable_create_actor()->mutable_submit());
      case Frame::kFindActor:
        return frame.mutable_find_actor()->set_id(Local(frame.find_actor().id()));
      case Frame::kKillActor:
        return frame.mutable_kill_actor()->set_id(Local(frame.kill_actor().id()));
      case Frame::kTaskClass:
        return frame.mutable_task_class()->set_placement_group(
            Local(frame.task_class().placement_group()));
      case Frame::kCreateGroup: {
        v1::CreateGroup& create = *frame.mutable_create_group();
        create.set_id(Local(create.id()));
        return create.set_parent_task_id(Local(create.parent_task_id()));
      }
      case Frame::kRemoveGroup:
        return frame.mutable_remove_group()->set_id(Local(frame.remove_group().id()));
      case Frame::kPut:
        frame.mutable_put()->set_id(Local(frame.put().id()));
        return Localize(frame.mutable_put()->mutable_contained());
      case Frame::kCreate:
        return frame.mutable_create()->set_id(Local(frame.create().id()));
      case Frame::kSeal:
        frame.mutable_seal()->set_id(Local(frame.seal().id()));
        return Localize(frame.mutable_seal()->mutable_contained());
      case Frame::kAbort:
        return frame.mutable_abort()->set_id(Local(frame.abort().id()));
      case Frame::kWant:
        frame.mutable_want()->set_blocked_task_id(Local(frame.want().blocked_task_id()));
        return Localize(frame.mutable_want()->mutable_ids());
      case Frame::kUnblock:
        return frame.mutable_unblock()->set_blocked_task_id(
            Local(frame.unblock().blocked_task_id()));
      case Frame::kCancel:
        return frame.mutable_cancel()->set_id(Local(frame.cancel().id()));
      case Frame::kRetain:
        return Localize(frame.mutable_retain()->mutable_ids());
      case Frame::kRelease:
        return Localize(frame.mutable_release()->mutable_ids());
      case Frame::kFinished: {
        v1::Finished& finished = *frame.mutable_finished();
        finished.set_task_id(Local(finished.task_id()));
        for (v1::TaskResult& result : *finished.mutable_results()) {
          Localize(result.mutable_contained());
          if (result.has_created_id()) result.set_created_id(Local(result.created_id()));
        }
        return;
      }
      case Frame::kReturned:
        return Localize(frame.mutable_returned()->mutable_task_ids());
      case Frame::kYielded: {
        v1::Yielded& yielded = *frame.mutable_yielded();
        yielded.set_task_id(Local(yielded.task_id()));
        yielded.set_object_id(Local(yielded.object_id()));
        v1::TaskResult& result = *yielded.mutable_result();
        Localize(result.mutable_contained());
        if (result.has_created_id()) result.set_created_id(Local(result.created_id()));
        return;
      }
      case Frame::kStreamConsumed:
        return frame.mutable_stream_consumed()->set_task_id(
            Local(frame.stream_consumed().task_id()));
      case Frame::kAwaitItem: {
        v1::AwaitItem& await = *frame.mutable_await_item();
        await.set_blocked_task_id(Local(await.blocked_task_id()));
        return await.set_task_id(Local(await.task_id()));
      }
      case Frame::kHello:
      case Frame::FRAME_NOT_SET:
        return;
    }
  }

  EventLoop loop_;
  testing::SessionHost host_;
  std::array<Open_, kSessions> sessions_;
  bool detached_ = false;  // what is detached stays
};

}  // namespace
}  // namespace kiln

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const kiln::Directory directory;
  static const bool quiet = kiln::log::Open(directory.path + "/log", kiln::log::Level::kOff).ok();
  kiln::Require(quiet, "no log");
  std::filesystem::remove(directory.path + "/store.sock");
  kiln::World world(directory.path);
  std::span<const uint8_t> rest(data, size);
  while (rest.size() >= 3) {
    const uint8_t selector = rest[0];
    const size_t length = std::min<size_t>(rest[1] | rest[2] << 8, rest.size() - 3);
    world.Frame(selector, {reinterpret_cast<const char*>(rest.data() + 3), length});
    rest = rest.subspan(3 + length);
  }
  return 0;
}
