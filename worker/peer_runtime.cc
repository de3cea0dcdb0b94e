#include "worker/peer_runtime.h"

#include <pthread.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

#include "common/value/value.h"
#include "kiln/error.h"
#include "kiln/ref.h"
#include "worker/class_proto.h"
#include "worker/recent_classes.h"

namespace kiln::worker {
namespace {

[[noreturn]] void Throw(const Status& status) {
  switch (status.code()) {
    case Code::kResourceExhausted:
      throw ResourceExhaustedError(status.message());
    case Code::kInvalidArgument:
      throw std::invalid_argument(status.message());
    case Code::kNotFound:
      throw ActorNotFoundError(status.message());
    case Code::kAlreadyExists:
      throw NameTakenError(status.message());
    default:
      throw DisconnectedError(status.message());
  }
}

[[noreturn]] void ThrowStore(const Status& status) {
  if (status.code() == Code::kResourceExhausted) throw ObjectStoreFullError(status.message());
  Throw(status);
}

peer::Deadline ToDeadline(std::optional<std::chrono::nanoseconds> timeout) {
  if (!timeout) return std::nullopt;
  Time now = Clock::now();
  if (*timeout > kNever - now) return std::nullopt;
  return now + *timeout;
}

// Tells a forked child from the process that connected. getpid would be a system call for each ref.
std::atomic<uint32_t> forks = 0;

uint32_t CountForks() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { ++forks; });
  (void)registered;
  return forks;
}

std::vector<peer::Argument> Convert(std::vector<detail::Argument> arguments) {
  std::vector<peer::Argument> converted;
  converted.reserve(arguments.size());
  for (detail::Argument& argument : arguments) {
    converted.push_back({argument.ref, std::move(argument.parts)});
  }
  return converted;
}

struct FunctionKey {
  std::string library, function;
  TaskOptions options;
};
struct MethodKey {
  std::string class_name, method;
  int max_task_retries;
  bool each, any_language;
  CallOptions options;
};

class PeerRuntime : public detail::Runtime {
 public:
  PeerRuntime(std::shared_ptr<peer::Peer> peer, std::shared_ptr<void> keep_alive)
      : keep_alive_(std::move(keep_alive)), peer_(std::move(peer)) {}

  // A forked child has none of the session's threads: nothing of it can be ended there.
  ~PeerRuntime() override {
    if (forked()) new std::shared_ptr<peer::Peer>(std::move(peer_));
  }

  detail::Id Submit(std::string_view library, std::string_view function, const TaskOptions& options,
                    std::vector<detail::Argument> arguments) override {
    Result<ObjectId> first = peer_->Submit(ClassOf(library, function, options), options.num_returns,
                                           Convert(std::move(arguments)), {.block = options.block});
    if (!first.ok()) Throw(first.status());
    return *first;
  }

  detail::FoundActor CreateActor(const detail::ActorConstructor& constructor,
                                 const ActorOptions& options,
                                 std::vector<detail::Argument> arguments) override {
    Result<uint32_t> id = peer_->Define(ToProto(constructor, options));
    if (!id.ok()) Throw(id.status());
    v1::CreateActor request;
    request.set_name(options.name);
    request.set_namespace_(options.namespace_);
    request.set_get_if_exists(options.get_if_exists);
    *request.mutable_class_() = ToActorClass(constructor, options);
    const v1::ActorClass own = request.class_();
    Result<v1::ActorAnswer> answer =
        peer_->CreateActor(*id, Convert(std::move(arguments)), std::move(request), {});
    if (!answer.ok()) Throw(answer.status());
    return {answer->id(), FromProto(answer->has_class_() ? answer->class_() : own)};
  }

  detail::FoundActor FindActor(const std::string& name, const std::string& name_space) override {
    Result<v1::ActorAnswer> answer = peer_->FindActor(name, name_space);
    if (!answer.ok()) Throw(answer.status());
    return {answer->id(), FromProto(answer->class_())};
  }

  detail::Id Call(detail::Id actor, const detail::ActorMethod& method, const CallOptions& options,
                  std::vector<detail::Argument> arguments) override {
    CheckPending(actor, method.actor_class);
    Result<ObjectId> first =
        peer_->Submit(ClassOf(method, options), options.num_returns, Convert(std::move(arguments)),
                      {.block = options.block, .actor = actor});
    if (!first.ok()) Throw(first.status());
    return *first;
  }

  void KillActor(detail::Id id, bool may_restart) override { peer_->KillActor(id, may_restart); }

  detail::Id Put(const value::Parts& parts) override {
    Result<ObjectId> id = peer_->Put(parts);
    if (!id.ok()) ThrowStore(id.status());
    return *id;
  }

  std::shared_ptr<value::Room> Create(size_t size_bytes) override {
    Result<std::shared_ptr<peer::Room>> room = peer_->Create(size_bytes);
    if (!room.ok()) ThrowStore(room.status());
    return std::move(*room);
  }

  std::optional<std::vector<value::SharedBytes>> Get(
      std::span<const detail::Id> ids, std::optional<std::chrono::nanoseconds> timeout) override {
    Result<std::vector<value::SharedBytes>> values = peer_->Get(ids, ToDeadline(timeout));
    if (values.ok()) return std::move(*values);
    if (values.status().code() == Code::kDeadlineExceeded) return std::nullopt;
    Throw(values.status());
  }

  std::vector<size_t> Wait(const detail::IdList& ids, size_t num_returns,
                           std::optional<std::chrono::nanoseconds> timeout) override {
    Result<std::vector<size_t>> sealed = peer_->Wait(
        ids.size, [&ids](size_t at) { return ids[at]; }, num_returns, ToDeadline(timeout));
    if (!sealed.ok()) Throw(sealed.status());
    return std::move(*sealed);
  }

  void Cancel(detail::Id id, bool force) override {
    if (Status status = peer_->Cancel(id, force); !status.ok()) Throw(status);
  }

  void Retain(detail::Id id) noexcept override { peer_->Retain(id); }
  void Release(detail::Id id) noexcept override {
    if (!forked()) peer_->Release(id);
  }
  double num_cpus() const override { return peer_->welcome().num_cpus(); }
  std::string address() const override { return peer_->address(); }

  peer::Peer& peer() { return *peer_; }

 private:
  bool forked() const { return forks_ != forks.load(std::memory_order_relaxed); }

  uint32_t ClassOf(std::string_view library, std::string_view function,
                   const TaskOptions& options) {
    std::optional<uint32_t> known = functions_.Find([&](const FunctionKey& key) {
      return key.function == function && key.library == library && key.options == options;
    });
    if (known) return *known;
    Result<uint32_t> id = peer_->Define(ToProto(library, function, options));
    if (!id.ok()) Throw(id.status());
    functions_.Add({std::string(library), std::string(function), options}, *id);
    return *id;
  }

  uint32_t ClassOf(const detail::ActorMethod& method, const CallOptions& options) {
    const int retries = RetriesOf(method, options);
    std::optional<uint32_t> known = methods_.Find([&](const MethodKey& key) {
      return key.method == method.name && key.class_name == method.actor_class.name &&
             key.max_task_retries == retries && key.each == method.each &&
             key.any_language == method.any_language && key.options == options;
    });
    if (known) return *known;
    Result<uint32_t> id = peer_->Define(ToProto(method, options));
    if (!id.ok()) Throw(id.status());
    methods_.Add({method.actor_class.name, std::string(method.name), retries, method.each,
                  method.any_language, options},
                 *id);
    return *id;
  }

  void CheckPending(detail::Id actor, const detail::ActorClass& actor_class) {
    const uint32_t most = actor_class.max_pending_calls;
    if (most == 0) return;
    Result<uint64_t> pending = peer_->CountPendingCalls(actor);
    if (!pending.ok()) Throw(pending.status());
    if (*pending < most) return;
    throw PendingCallsLimitError("actor " + detail::FormatId(actor) + " of class " +
                                 actor_class.name + " has " + std::to_string(*pending) +
                                 " unfinished calls of this session; its max_pending_calls is " +
                                 std::to_string(most));
  }

  const std::shared_ptr<void> keep_alive_;  // before peer_: it ends later
  std::shared_ptr<peer::Peer> peer_;
  const uint32_t forks_ = CountForks();
  RecentClasses<FunctionKey> functions_;
  RecentClasses<MethodKey> methods_;
};

}  // namespace

std::shared_ptr<detail::Runtime> MakeRuntime(std::shared_ptr<peer::Peer> peer,
                                             std::shared_ptr<void> keep_alive) {
  return std::make_shared<PeerRuntime>(std::move(peer), std::move(keep_alive));
}

peer::Peer& PeerOf(detail::Runtime& runtime) {
  return static_cast<PeerRuntime&>(runtime).peer();
}

}  // namespace kiln::worker
