// Frames that come in; see session_send.cc for those that go out.
#include "daemon/sessions/session.h"

#include <algorithm>
#include <utility>

#include "common/limits.h"
#include "common/log.h"
#include "daemon/sessions/convert.h"
#include "daemon/sessions/session_table.h"

namespace kiln::sessions {
namespace {

std::vector<ObjectId> Ids(const google::protobuf::RepeatedField<uint64_t>& ids) {
  return {ids.begin(), ids.end()};
}

core::TaskResult ResultOf(v1::TaskResult& result) {
  core::TaskResult out;
  if (result.result_case() == v1::TaskResult::kCreatedId) {
    out.value = ObjectId{result.created_id()};
  } else {
    out.value = std::move(*result.mutable_value());
  }
  out.contained = Ids(result.contained());
  return out;
}

Status Broken(const std::string& what) {
  return Status(Code::kInvalidArgument, "broken frame: " + what);
}

// What the core refuses about a frame is the peer's mistake, whatever the core calls it.
Status CheckFrame(const Status& status) {
  return status.ok() ? status : Broken(status.message());
}

}  // namespace

Session::Session(SessionTable* table, Channel* channel)
    : table_(table), channel_(channel), connected_ms_(WallMilliseconds()) {}

void Session::BeginBatch() {
  now_ = Clock::now();
  // What tasks printed is theirs as long as the core thinks they run; once for the whole batch.
  if (worker_ != 0) table_->context().launcher->ReadOutput(worker_);
}

void Session::OnFrame(v1::PeerFrame& frame) {
  if (closing_) return;
  if (Status status = CarryOut(frame, now_); !status.ok()) Close(status);
}

void Session::OnEnd() {
  closing_ = true;
  const SessionContext& context = table_->context();
  if (store_cookie_ != 0) context.store->ForgetCookie(store_cookie_);
  if (worker_ != 0) {
    context.launcher->Kill(worker_);  // a worker without a session is of no use
  } else if (number_ != 0) {
    log::Info("event=session_closed session={} pid={}", number_, pid_);
    context.core->OnSessionClosed(number_, Clock::now());
  }
  table_->Remove(this);
}

void Session::Close(const Status& status) {
  if (closing_) return;
  closing_ = true;
  if (!status.ok() && status.code() != Code::kUnavailable) {
    log::Warning("event=session_refused session={} pid={} reason=\"{}\"", number_, pid_,
                 status.message());
  }
  channel_->Close(status);
}

Status Session::CarryOut(v1::PeerFrame& frame, Time now) {
  if (frame.has_hello() != (number_ == 0)) {
    return Broken(number_ == 0 ? "the first one must be Hello" : "a second Hello");
  }
  core::Core* core = table_->context().core;
  switch (frame.frame_case()) {
    case v1::PeerFrame::kHello:
      return OnHello(frame.hello(), now);
    case v1::PeerFrame::kTaskClass:
      return OnTaskClass(frame.task_class());
    case v1::PeerFrame::kSubmit:
      return OnSubmit(*frame.mutable_submit(), now);
    case v1::PeerFrame::kPut: {
      v1::Put* put = frame.mutable_put();
      return CheckFrame(core->OnObjectPut(number_, put->id(), std::move(*put->mutable_value()),
                                          Ids(put->contained()), now));
    }
    case v1::PeerFrame::kCreate:
      return OnCreate(frame.create());
    case v1::PeerFrame::kSeal:
      return CheckFrame(
          core->OnObjectSealed(number_, frame.seal().id(), Ids(frame.seal().contained()), now));
    case v1::PeerFrame::kAbort:
      return CheckFrame(core->OnObjectAborted(number_, frame.abort().id()));
    case v1::PeerFrame::kWant: {
      const v1::Want& want = frame.want();
      core->OnWanted(number_, Ids(want.ids()), want.values(), want.blocked_task_id(), want.needed(),
                     now);
      return Status();
    }
    case v1::PeerFrame::kUnblock:
      core->OnUnblocked(number_, frame.unblock().blocked_task_id(), now);
      return Status();
    case v1::PeerFrame::kCancel:
      // An object that is gone cannot be cancelled any more; nobody waits for the answer.
      (void)core->OnCancel(frame.cancel().id(), frame.cancel().force(), now);
      return Status();
    case v1::PeerFrame::kRetain:
      core->OnRetained(number_, Ids(frame.retain().ids()));
      return Status();
    case v1::PeerFrame::kRelease:
      ids_.assign(frame.release().ids().begin(), frame.release().ids().end());
      return CheckFrame(core->OnReleased(number_, ids_, now));
    case v1::PeerFrame::kFinished:
      return OnFinished(*frame.mutable_finished(), now);
    case v1::PeerFrame::kReturned:
      return OnReturned(frame.returned(), now);
    case v1::PeerFrame::kYielded:
      return OnYielded(*frame.mutable_yielded(), now);
    case v1::PeerFrame::kStreamConsumed: {
      const v1::StreamConsumed& consumed = frame.stream_consumed();
      return CheckFrame(core->OnStreamConsumed(number_, consumed.task_id(), consumed.count(),
                                               consumed.dropped(), now));
    }
    case v1::PeerFrame::kAwaitItem: {
      const v1::AwaitItem& await = frame.await_item();
      core->OnItemAwaited(number_, await.blocked_task_id(), await.task_id(), await.count(), now);
      return Status();
    }
    case v1::PeerFrame::kCreateActor:
      return OnCreateActor(*frame.mutable_create_actor(), now);
    case v1::PeerFrame::kFindActor:
      return OnFindActor(frame.find_actor(), now);
    case v1::PeerFrame::kKillActor:
      core->OnActorKilled(frame.kill_actor().id(), frame.kill_actor().may_restart(), now);
      return Status();
    case v1::PeerFrame::kCreateGroup:
      return OnCreateGroup(*frame.mutable_create_group(), now);
    case v1::PeerFrame::kRemoveGroup:
      core->OnGroupRemoved(frame.remove_group().id(), now);
      return Status();
    case v1::PeerFrame::FRAME_NOT_SET:
      break;
  }
  return Broken("of a kind this head does not know");
}

Status Session::OnHello(const v1::Hello& hello, Time now) {
  if (hello.protocol_version() != limits::kProtocolVersion) {
    return Status(Code::kFailedPrecondition,
                  "this head speaks protocol version " + std::to_string(limits::kProtocolVersion) +
                      ", the peer version " + std::to_string(hello.protocol_version()) +
                      "; use the libkiln the head came with (kiln " KILN_VERSION ")");
  }
  if (table_->closed()) return Status(Code::kUnavailable, table_->closed_reason());
  const SessionContext& context = table_->context();
  SessionNumber number = table_->NextNumber();
  pid_ = hello.pid();
  language_ = hello.language();
  if (hello.kind() == v1::Hello::KIND_WORKER) {
    Status status = context.core->OnWorkerReady(hello.worker_id(), number, pid_, now);
    if (!status.ok()) return CheckFrame(status);
    worker_ = hello.worker_id();
    program_ = context.core->FindWorkerProgram(worker_).value_or(core::kLibraryHost);
  } else if (hello.kind() == v1::Hello::KIND_DRIVER) {
    if (hello.has_program()) {
      const v1::Program& program = hello.program();
      program_ = context.launcher->Intern({program.executable(),
                                           {program.args().begin(), program.args().end()},
                                           {program.env().begin(), program.env().end()},
                                           program.working_dir(),
                                           program.fork_server(),
                                           program.setup()});
      context.launcher->Warm(program_);
    }
    context.core->OnSessionOpened(number, core::SessionKind::kDriver, program_, now,
                                  hello.program().fork_server());
  } else {
    return Broken("Hello must name its kind");
  }
  number_ = number;
  store_cookie_ = context.store->MakeCookie();
  table_->OnGreeted(this);
  log::Info("event=session_opened session={} kind={} pid={} language={}", number_,
            worker_ != 0 ? "worker" : "driver", pid_, language_);

  v1::HeadFrame frame;
  v1::Welcome* welcome = frame.mutable_welcome();
  welcome->set_session_number(number_);
  welcome->set_store_socket(context.store->socket_path());
  welcome->set_store_cookie(store_cookie_);
  welcome->set_store_capacity_bytes(context.store->capacity_bytes());
  welcome->set_inline_limit_bytes(limits::kInlineLimitBytes);
  welcome->mutable_credit()->set_tasks(limits::kSessionCreditTasks);
  welcome->mutable_credit()->set_bytes(limits::kSessionCreditBytes);
  welcome->set_num_cpus(context.num_cpus);
  welcome->set_version(KILN_VERSION);
  Queue(frame);
  return Status();
}

Status Session::OnTaskClass(const v1::TaskClass& task_class) {
  Result<core::TaskClass> converted =
      FromProto(task_class, program_, table_->context().launcher->PythonHosts());
  if (!converted.ok()) return converted.status();
  if (task_class.library().empty() && program_ == core::kLibraryHost && !task_class.method()) {
    return Status(Code::kInvalidArgument, "task class " + task_class.function() +
                                              " names no library, and this session's "
                                              "Hello named no program that has the function");
  }
  if (classes_.size() >= limits::kMaxClassesPerSession) {
    return Status(Code::kResourceExhausted, "too many task classes");
  }
  Result<core::ClassId> id = table_->context().core->InternClass(std::move(*converted));
  if (!id.ok()) return id.status();
  if (!classes_.emplace(task_class.class_id(), *id).second) {
    return Broken("task class " + std::to_string(task_class.class_id()) + " is defined already");
  }
  return Status();
}

Result<core::TaskSpec> Session::SpecOf(v1::Submit& submit) const {
  if (table_->closed()) return Status(Code::kUnavailable, table_->closed_reason());
  auto task_class = classes_.find(submit.class_id());
  if (task_class == classes_.end()) {
    return Broken("Submit of unknown task class " + std::to_string(submit.class_id()));
  }
  if (static_cast<uint32_t>(submit.refs_size()) > limits::kMaxArgs ||
      static_cast<uint32_t>(submit.nested_refs_size()) > limits::kMaxArgs) {
    return Broken("more than " + std::to_string(limits::kMaxArgs) + " arguments");
  }
  core::TaskSpec spec;
  spec.id = submit.task_id();
  spec.task_class = task_class->second;
  spec.session = number_;
  spec.parent = submit.parent_task_id();
  spec.args = std::move(*submit.mutable_args());
  spec.refs = Ids(submit.refs());
  spec.nested_refs = Ids(submit.nested_refs());
  spec.actor = submit.actor_id();
  return spec;
}

Status Session::OnSubmit(v1::Submit& submit, Time now) {
  Result<core::TaskSpec> spec = SpecOf(submit);
  if (!spec.ok()) return spec.status();
  return CheckFrame(table_->context().core->OnTaskSubmitted(std::move(*spec), now));
}

Status Session::OnCreateActor(v1::CreateActor& create, Time now) {
  Result<core::TaskSpec> creation = SpecOf(*create.mutable_submit());
  if (!creation.ok()) return creation.status();
  const uint64_t request_id = creation->id;
  core::ActorSpec spec;
  spec.creation = std::move(*creation);
  spec.name = std::move(*create.mutable_name());
  spec.name_space = std::move(*create.mutable_namespace_());
  spec.get_if_exists = create.get_if_exists();
  spec.handle = create.class_().SerializeAsString();
  const bool named = !spec.name.empty();
  const Result<ActorId> actor = table_->context().core->OnActorSubmitted(std::move(spec), now);
  if (!actor.ok() && actor.status().code() != Code::kAlreadyExists) {
    return CheckFrame(actor.status());
  }
  if (named) SendActor(request_id, actor);
  return Status();
}

Status Session::OnCreateGroup(v1::CreateGroup& create, Time now) {
  core::GroupSpec spec;
  spec.id = create.id();
  spec.session = number_;
  spec.parent = create.parent_task_id();
  for (const v1::Resources& bundle : create.bundles()) {
    Result<core::Resources> resources = FromProto(bundle);
    if (!resources.ok()) return CheckFrame(resources.status());
    spec.bundles.push_back(std::move(*resources));
  }
  spec.name = std::move(*create.mutable_name());
  spec.detached = create.detached();
  spec.value = std::move(*create.mutable_value());
  return CheckFrame(table_->context().core->OnGroupSubmitted(std::move(spec), now));
}

Status Session::OnFindActor(const v1::FindActor& find, Time now) {
  core::Core* core = table_->context().core;
  if (find.id() == 0) {
    SendActor(find.request_id(), core->OnActorSought(number_, find.namespace_(), find.name(), now));
    return Status();
  }
  v1::HeadFrame frame;
  frame.mutable_actor_answer()->set_request_id(find.request_id());
  frame.mutable_actor_answer()->set_id(find.id());
  frame.mutable_actor_answer()->set_pending_calls(core->PendingCalls(find.id(), number_));
  Queue(frame);
  return Status();
}

Status Session::OnCreate(const v1::Create& create) {
  const SessionContext& context = table_->context();
  v1::HeadFrame frame;
  frame.mutable_created()->set_id(create.id());
  context.settle();  // room given back just before is used again first: its pages are warm
  Result<core::Slice> slice = context.store->Allocate(create.size_bytes());
  if (slice.ok()) {
    Status status = context.core->OnObjectCreated(number_, create.id(), *slice);
    if (!status.ok()) {
      context.store->Free(*slice);
      return CheckFrame(status);
    }
    frame.mutable_created()->mutable_slice()->set_offset_bytes(slice->offset_bytes);
    frame.mutable_created()->mutable_slice()->set_size_bytes(slice->size_bytes);
  } else {
    frame.mutable_created()->set_error(slice.status().message() + table_->DescribeHolders());
  }
  Queue(frame);
  return Status();
}

Status Session::OnFinished(v1::Finished& finished, Time now) {
  if (worker_ == 0) return Broken("Finished from a driver");
  table_->context().launcher->EndLine(worker_);
  core::TaskOutcome outcome;
  outcome.failed = finished.failed();
  outcome.retryable = finished.retryable();
  outcome.actor_exits = finished.actor_exits();
  outcome.actor_repr = std::move(*finished.mutable_actor_repr());
  outcome.run_time = microseconds(std::min<uint64_t>(finished.run_us(), INT64_MAX / 1000));
  for (v1::TaskResult& result : *finished.mutable_results()) {
    outcome.results.push_back(ResultOf(result));
  }
  table_->context().core->OnTaskFinished(worker_, finished.task_id(), std::move(outcome), now);
  return Status();
}

Status Session::OnYielded(v1::Yielded& yielded, Time now) {
  if (worker_ == 0) return Broken("Yielded from a driver");
  return CheckFrame(table_->context().core->OnYielded(worker_, yielded.task_id(), yielded.index(),
                                                      yielded.object_id(),
                                                      ResultOf(*yielded.mutable_result()), now));
}

Status Session::OnReturned(const v1::Returned& returned, Time now) {
  if (worker_ == 0) return Broken("Returned from a driver");
  std::vector<TaskId> tasks = Ids(returned.task_ids());
  table_->context().core->OnTasksReturned(worker_, tasks, returned.leaving(), now);
  return Status();
}

}  // namespace kiln::sessions
