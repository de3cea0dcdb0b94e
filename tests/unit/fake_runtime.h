// A head, its workers and its store in one object: tasks run inside Submit, or when the test says
// so, through the same registry and invoker as in a worker.
//
// Thread: any.
// Owner:  a test, as a shared_ptr.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/ids.h"
#include "common/value/error_value.h"
#include "common/value/value.h"
#include "kiln/detail/runtime.h"
#include "kiln/error.h"
#include "worker/actor_instance.h"
#include "worker/invoke.h"

namespace kiln::testing {

// Memory of one value, sealed by Put.
class FakeRoom : public value::Room {
 public:
  explicit FakeRoom(size_t size_bytes) : words_(size_bytes / sizeof(Line) + 1), size_(size_bytes) {}
  std::byte* data() override { return words_.data()->bytes; }
  size_t size_bytes() const override { return size_; }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> words_;
  size_t size_;
};

class FakeRuntime : public detail::Runtime, public std::enable_shared_from_this<FakeRuntime> {
 public:
  // What the test sees; guarded by nothing: look when no other thread runs.
  struct Submitted {
    std::string library, function;
    TaskOptions options;
    size_t argument_count;
  };
  std::vector<Submitted> submitted;
  struct CreatedActor {
    detail::ActorConstructor constructor;
    ActorOptions options;
    size_t argument_count;
  };
  std::vector<CreatedActor> created;
  struct Called {
    detail::Id actor;
    std::string method;
    bool each, any_language;
    CallOptions options;
  };
  std::vector<Called> called;
  std::vector<std::pair<detail::Id, bool>> killed;  // and whether they may be started anew
  std::vector<std::pair<detail::Id, bool>> cancelled;
  size_t rooms_created = 0;
  size_t rooms_sealed = 0;
  bool store_full = false;
  bool hold_tasks = false;  // queue tasks until RunHeld

  size_t ReferenceCount(detail::Id id) {
    std::lock_guard lock(mutex_);
    return references_[id];
  }
  // References held by anybody on anything.
  size_t TotalReferences() {
    std::lock_guard lock(mutex_);
    size_t total = 0;
    for (const auto& [id, count] : references_) total += count;
    return total;
  }

  // Makes an object of any bytes. Returns: its id, with one reference for the caller.
  detail::Id PutBytes(std::string bytes) {
    auto kept = std::make_shared<FakeRoom>(bytes.size());
    std::copy_n(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size(), kept->data());
    return Store({kept, kept->data(), bytes.size()});
  }

  // Runs the oldest `count` held tasks.
  void RunHeld(size_t count = SIZE_MAX) {
    while (count-- > 0 && !held_.empty()) {
      Held next = std::move(held_.front());
      held_.pop_front();
      Run(std::move(next));
    }
  }

  detail::Id Submit(std::string_view library, std::string_view function, const TaskOptions& options,
                    std::vector<detail::Argument> arguments) override {
    {
      std::lock_guard lock(mutex_);
      submitted.push_back({std::string(library), std::string(function), options, arguments.size()});
    }
    return Queue(
        {.library = std::string(library), .function = std::string(function), .name = options.name},
        options.num_returns, std::move(arguments));
  }

  // A name is unique in all namespaces. The actor is made before it returns; one whose constructor
  // fails is dead.
  detail::FoundActor CreateActor(const detail::ActorConstructor& constructor,
                                 const ActorOptions& options,
                                 std::vector<detail::Argument> arguments) override {
    for (auto& [id, actor] : actors_) {
      if (options.name.empty() || actor.name != options.name) continue;
      if (!options.get_if_exists) throw NameTakenError(options.name);
      Retain(id);
      return {id, actor.actor_class};
    }
    created.push_back({constructor, options, arguments.size()});
    Held task{.library = constructor.library,
              .function = constructor.function,
              .name = constructor.class_name,
              .callee = worker::Callee::kConstructor,
              .actor = next_id_};
    actors_[next_id_].name = options.name;
    actors_[next_id_].actor_class = {constructor.class_name, constructor.language,
                                     options.max_task_retries, options.max_pending_calls};
    const detail::ActorClass actor_class = actors_[next_id_].actor_class;
    const detail::Id id = Queue(std::move(task), 1, std::move(arguments));
    return {id, actor_class};
  }

  detail::FoundActor FindActor(const std::string& name, const std::string&) override {
    for (auto& [id, actor] : actors_) {
      if (actor.name != name) continue;
      Retain(id);
      return {id, actor.actor_class};
    }
    throw ActorNotFoundError(name);
  }

  detail::Id Call(detail::Id actor, const detail::ActorMethod& method, const CallOptions& options,
                  std::vector<detail::Argument> arguments) override {
    called.push_back({actor, std::string(method.name), method.each, method.any_language, options});
    const std::string suffix(method.each ? detail::kEachSuffix : "");
    return Queue({.function = std::string(method.name) + suffix,
                  .name = method.actor_class.name + "." + std::string(method.name),
                  .callee = worker::Callee::kMethod,
                  .actor = actor},
                 options.num_returns, std::move(arguments));
  }

  // An instance may hold the runtime, which holds the instance.
  void EndActors() {
    while (!actors_.empty()) EndActor(actors_.begin()->first);
  }

  void KillActor(detail::Id id, bool may_restart) override {
    killed.emplace_back(id, may_restart);
    if (!may_restart) EndActor(id);
  }

  detail::Id Put(const value::Parts& parts) override {
    if (store_full) throw ObjectStoreFullError("no room for " + std::to_string(parts.SizeBytes()));
    return Store(Write(parts));
  }

  std::shared_ptr<value::Room> Create(size_t size_bytes) override {
    if (store_full) throw ObjectStoreFullError("no room for " + std::to_string(size_bytes));
    ++rooms_created;
    return std::make_shared<FakeRoom>(size_bytes);
  }

  std::optional<std::vector<value::SharedBytes>> Get(
      std::span<const detail::Id> ids, std::optional<std::chrono::nanoseconds>) override {
    std::lock_guard lock(mutex_);
    std::vector<value::SharedBytes> values;
    for (detail::Id id : ids) {
      if (!objects_.contains(id)) return std::nullopt;  // as if the time were over
      values.push_back(objects_[id]);
    }
    return values;
  }

  std::vector<size_t> Wait(const detail::IdList& ids, size_t num_returns,
                           std::optional<std::chrono::nanoseconds>) override {
    std::lock_guard lock(mutex_);
    std::vector<size_t> sealed;
    for (size_t i = 0; i < ids.size && sealed.size() < num_returns; ++i) {
      if (objects_.contains(ids[i])) sealed.push_back(i);
    }
    return sealed;
  }

  void Cancel(detail::Id id, bool force) override { cancelled.emplace_back(id, force); }

  void Retain(detail::Id id) noexcept override {
    std::lock_guard lock(mutex_);
    ++references_[id];
  }
  void Release(detail::Id id) noexcept override {
    std::unique_lock lock(mutex_);
    const bool last = --references_[id] == 0;
    lock.unlock();
    if (last) EndActor(id);
  }

  double num_cpus() const override { return 2; }
  std::string address() const override { return "fake:"; }

 private:
  struct Kept {
    detail::Id ref = 0;
    value::SharedBytes bytes;
  };
  struct Held {
    std::string library = {}, function = {}, name = {};
    worker::Callee callee = worker::Callee::kFunction;
    detail::Id actor = 0;
    std::vector<detail::Id> results = {};
    std::vector<Kept> arguments = {};
  };
  struct Actor {
    worker::ActorInstance instance;
    std::string name;
    detail::ActorClass actor_class;
    std::optional<ErrorInfo> death;  // of its constructor, for all calls
  };

  detail::Id Queue(Held task, uint32_t num_returns, std::vector<detail::Argument> arguments) {
    {
      std::lock_guard lock(mutex_);
      for (uint32_t i = 0; i < num_returns; ++i) {
        task.results.push_back(next_id_);
        references_[next_id_++] = 1;
      }
    }
    for (detail::Argument& argument : arguments) task.arguments.push_back(Keep(argument));
    const detail::Id first = task.results.front();
    if (hold_tasks) {
      held_.push_back(std::move(task));
    } else {
      Run(std::move(task));
    }
    return first;
  }

  void EndActor(detail::Id id) {
    std::unique_lock lock(mutex_);
    auto actor = actors_.extract(id);
    lock.unlock();
    if (!actor.empty()) actor.mapped().instance.End();
  }

  value::SharedBytes Write(const value::Parts& parts) {
    auto room = std::dynamic_pointer_cast<FakeRoom>(parts.room);
    if (room != nullptr) {
      ++rooms_sealed;
    } else {
      room = std::make_shared<FakeRoom>(parts.SizeBytes());
    }
    parts.WriteTo(room->data());
    for (ObjectId id : parts.contained) Retain(id);
    return {room, room->data(), parts.SizeBytes()};
  }

  detail::Id Store(value::SharedBytes bytes) {
    std::lock_guard lock(mutex_);
    references_[next_id_] = 1;
    objects_[next_id_] = std::move(bytes);
    return next_id_++;
  }

  Kept Keep(const detail::Argument& argument) {
    if (argument.parts == nullptr) return {argument.ref, {}};
    return {0, Write(*argument.parts)};
  }

  void Run(Held task) {
    std::vector<value::SharedBytes> values;
    for (Kept& argument : task.arguments) {
      values.push_back(argument.ref == 0 ? argument.bytes : objects_.at(argument.ref));
    }
    worker::Outcome outcome = Invoke({.callee = task.callee,
                                      .library = task.library,
                                      .function = task.function,
                                      .name = task.name,
                                      .arguments = values,
                                      .num_returns = static_cast<uint32_t>(task.results.size()),
                                      .task = task.results.front(),
                                      .runtime = shared_from_this()},
                                     task.actor);
    for (size_t i = 0; i < task.results.size(); ++i) {
      value::SharedBytes bytes;
      if (outcome.error) {
        auto kept = std::make_shared<const std::string>(EncodeError(*outcome.error));
        bytes = {kept, reinterpret_cast<const std::byte*>(kept->data()), kept->size()};
      } else {
        bytes = Write(*outcome.results[i]);
      }
      std::lock_guard lock(mutex_);
      objects_[task.results[i]] = std::move(bytes);
    }
  }

  // As a head would: what is dead is not called.
  worker::Outcome Invoke(const worker::Invocation& invocation, detail::Id id) {
    if (invocation.callee == worker::Callee::kFunction) return worker::Invoke(invocation);
    auto actor = actors_.find(id);
    if (actor == actors_.end()) return Dead(invocation, {.message = "it has ended"});
    if (actor->second.death) return Dead(invocation, *actor->second.death);
    worker::Outcome outcome = actor->second.instance.Invoke(invocation);
    if (invocation.callee == worker::Callee::kConstructor) actor->second.death = outcome.error;
    if (outcome.actor_exits) EndActor(id);
    return outcome;
  }

  static worker::Outcome Dead(const worker::Invocation& invocation, const ErrorInfo& cause) {
    worker::Outcome outcome;
    outcome.error =
        ErrorInfo{.kind = ErrorKind::kActorDied, .message = cause.message, .task = invocation.name};
    return outcome;
  }

  std::map<detail::Id, Actor> actors_;  // that have not ended; one thread makes and calls them
  std::mutex mutex_;
  std::map<detail::Id, value::SharedBytes> objects_;
  std::map<detail::Id, size_t> references_;
  detail::Id next_id_ = 1;
  std::deque<Held> held_;
};

}  // namespace kiln::testing
