#include "worker/actor_instance.h"

#include <functional>
#include <utility>

#include "kiln/detail/value.h"
#include "worker/stream.h"
#include "worker/user_code.h"

namespace kiln::worker {

Outcome ActorInstance::Invoke(const Invocation& invocation) {
  return invocation.callee == Callee::kConstructor ? Construct(invocation) : CallMethod(invocation);
}

Outcome ActorInstance::Construct(const Invocation& invocation) {
  Result<FoundConstructor> found =
      FindConstructor(invocation.library, invocation.function, invocation.arguments.size());
  if (!found.ok()) {
    return Failed(invocation, ErrorKind::kFunctionNotFound, found.status().message());
  }
  context_ = {invocation.task, invocation.attempt};
  detail::TaskScope scope(invocation.runtime, invocation.cancelled, &context_);
  const auto make = [&] {
    object_ = found->constructor->make(ReadArguments(invocation));
    return std::vector<std::shared_ptr<value::Parts>>{detail::MakeNull()};
  };
  Outcome outcome = RunUserCode(
      invocation, {"", found->actor_class->name, found->constructor->signature}, std::ref(make));
  if (!outcome.error) {
    actor_class_ = found->actor_class;
    runtime_ = invocation.runtime;
  }
  return outcome;
}

Outcome ActorInstance::CallMethod(const Invocation& invocation) {
  if (actor_class_ == nullptr) {
    return Failed(invocation, ErrorKind::kFunctionNotFound, "this process is no actor");
  }
  const Target target = TargetOf(invocation);
  Result<const detail::MethodEntry*> method = FindMethod(*actor_class_, target.name);
  if (!method.ok()) {
    return Failed(invocation, ErrorKind::kFunctionNotFound, method.status().message());
  }
  detail::TaskScope scope(invocation.runtime, invocation.cancelled, &context_);
  StreamScope stream(invocation.stream);
  const auto call = [&] {
    return (*method)->invoker(object_.get(), (*method)->pointer, ReadArguments(invocation),
                              invocation.num_returns, target.each);
  };
  return RunUserCode(invocation, {actor_class_->name, (*method)->name, (*method)->signature},
                     std::ref(call));
}

void ActorInstance::End() {
  detail::TaskScope scope(runtime_, nullptr, &context_);
  object_.reset();
  actor_class_ = nullptr;
  runtime_.reset();
}

// Never destroyed: its process ends without destructors, and threads may still call methods then.
ActorInstance& TheActorInstance() {
  static auto* instance = new ActorInstance();
  return *instance;
}

}  // namespace kiln::worker
