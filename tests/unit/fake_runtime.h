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
    Held task{std::string(library), std::string(function), options.name, {}, {}};
    {
      std::lock_guard lock(mutex_);
      submitted.push_back({task.library, task.function, options, arguments.size()});
      for (uint32_t i = 0; i < options.num_returns; ++i) {
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
    std::lock_guard lock(mutex_);
    --references_[id];
  }

  double num_cpus() const override { return 2; }
  std::string address() const override { return "fake:"; }

 private:
  struct Kept {
    detail::Id ref = 0;
    value::SharedBytes bytes;
  };
  struct Held {
    std::string library, function, name;
    std::vector<detail::Id> results;
    std::vector<Kept> arguments;
  };

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
    worker::Outcome outcome =
        worker::Invoke({.library = task.library,
                        .function = task.function,
                        .name = task.name,
                        .arguments = values,
                        .num_returns = static_cast<uint32_t>(task.results.size()),
                        .runtime = shared_from_this()});
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

  std::mutex mutex_;
  std::map<detail::Id, value::SharedBytes> objects_;
  std::map<detail::Id, size_t> references_;
  detail::Id next_id_ = 1;
  std::deque<Held> held_;
};

}  // namespace kiln::testing
