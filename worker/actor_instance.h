// The object that an actor is: made by the actor's constructor, called by its methods.
//
// Thread: the constructor's call and End alone; methods from several at a time.
// Owner:  the process, see TheActorInstance.
#pragma once

#include <memory>

#include "kiln/detail/task_scope.h"
#include "worker/actor_registry.h"
#include "worker/invoke.h"

namespace kiln::worker {

class ActorInstance {
 public:
  // Runs a constructor or a method. Requires: its library is loaded, invocation.callee says which.
  // Returns: as worker::Invoke; kFunctionNotFound also for a method while there is no instance.
  Outcome Invoke(const Invocation& invocation);

  // Destroys the object. Requires: no method runs.
  void End();

 private:
  Outcome Construct(const Invocation& invocation);
  Outcome CallMethod(const Invocation& invocation);

  // Constant once constructed.
  const ActorClassEntry* actor_class_ = nullptr;
  std::shared_ptr<void> object_;
  std::shared_ptr<detail::Runtime> runtime_;
  detail::ActorContext context_;
};

// The one of this process: an actor's process is an actor's alone.
ActorInstance& TheActorInstance();

}  // namespace kiln::worker
