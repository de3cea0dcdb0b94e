#include "kiln/session.h"

#include <filesystem>

#include "common/ids.h"
#include "kiln/detail/task_scope.h"
#include "kiln/task.h"

namespace kiln {
namespace detail {
namespace {

struct ThreadState {
  std::shared_ptr<Runtime> runtime;
  const std::atomic<bool>* cancelled = nullptr;
  const ActorContext* actor = nullptr;
};

ThreadState& OfThisThread() {
  thread_local ThreadState state;
  return state;
}

}  // namespace

TaskScope::TaskScope(std::shared_ptr<Runtime> runtime, const std::atomic<bool>* cancelled,
                     const ActorContext* actor)
    : outer_runtime_(std::exchange(OfThisThread().runtime, std::move(runtime))),
      outer_cancelled_(std::exchange(OfThisThread().cancelled, cancelled)),
      outer_actor_(std::exchange(OfThisThread().actor, actor)) {}

TaskScope::~TaskScope() {
  OfThisThread().runtime = std::move(outer_runtime_);
  OfThisThread().cancelled = outer_cancelled_;
  OfThisThread().actor = outer_actor_;
}

std::shared_ptr<Runtime> CurrentTaskRuntime() {
  return OfThisThread().runtime;
}

const std::atomic<bool>* CurrentCancelToken() {
  return OfThisThread().cancelled;
}

const ActorContext& CurrentActorContext() {
  const ActorContext* actor = OfThisThread().actor;
  if (actor == nullptr) {
    throw std::logic_error("kiln: this thread runs no method or constructor of an actor");
  }
  return *actor;
}

std::string FormatId(Id id) {
  return FormatRef(id);
}

Id ParseId(const std::string& text) {
  std::optional<ObjectId> id = ParseRef(text);
  if (!id) {
    throw std::invalid_argument("kiln: not a ref: \"" + text +
                                "\"; a ref has 16 hexadecimal digits");
  }
  return *id;
}

std::string PythonLibrary(const std::string& root) {
  std::error_code error;
  return "python:" +
         std::filesystem::absolute(root.empty() ? "." : root, error).lexically_normal().string();
}

std::string PythonName(const std::string& module, const std::string& function) {
  if (module.empty() || function.empty()) {
    throw std::invalid_argument("kiln: a PyFunction or PyActor needs a module and a name in it");
  }
  return module + ":" + function;
}

const RefHandle& Checked(const std::shared_ptr<const RefHandle>& handle) {
  if (handle == nullptr) throw std::logic_error("kiln: an empty Ref names no object");
  return *handle;
}

}  // namespace detail

bool Cancelled() {
  const std::atomic<bool>* token = detail::CurrentCancelToken();
  return token != nullptr && token->load(std::memory_order_relaxed);
}

void ThrowIfCancelled() {
  if (Cancelled()) throw TaskCancelledError("the task was asked to stop");
}

Session CurrentSession() {
  std::shared_ptr<detail::Runtime> runtime = detail::CurrentTaskRuntime();
  if (runtime == nullptr) {
    throw std::logic_error(
        "kiln: CurrentSession outside of a task; in a thread that a task started, use a copy of "
        "the "
        "task's session");
  }
  return Session(std::move(runtime));
}

}  // namespace kiln
