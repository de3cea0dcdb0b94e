#include "worker/peer_runtime.h"

#include <pthread.h>

#include <atomic>
#include <cmath>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

#include "common/limits.h"
#include "common/value/value.h"
#include "kiln/error.h"

namespace kiln::worker {
namespace {

[[noreturn]] void Throw(const Status& status) {
  switch (status.code()) {
    case Code::kResourceExhausted:
      throw ResourceExhaustedError(status.message());
    case Code::kInvalidArgument:
      throw std::invalid_argument(status.message());
    default:
      throw DisconnectedError(status.message());
  }
}

[[noreturn]] void ThrowStore(const Status& status) {
  if (status.code() == Code::kResourceExhausted) throw ObjectStoreFullError(status.message());
  Throw(status);
}

// Amounts and counts are checked here, where the mistake is, and not by the head.
void Check(const TaskOptions& options) {
  auto check_amount = [](const std::string& name, double amount) {
    if (!(std::isfinite(amount) && amount >= 0)) {
      throw std::invalid_argument("TaskOptions: " + name + " is " + std::to_string(amount) +
                                  ", it must be 0 or more");
    }
  };
  check_amount("num_cpus", options.num_cpus);
  for (const auto& [name, amount] : options.resources) check_amount(name, amount);
  if (options.max_retries < -1) {
    throw std::invalid_argument("TaskOptions: max_retries is " +
                                std::to_string(options.max_retries) +
                                "; it must be -1 (without end), 0 (never) or more");
  }
  if (options.timeout.count() < 0) {
    throw std::invalid_argument("TaskOptions: timeout must be 0 (none) or more");
  }
  if (options.num_returns == 0 || options.num_returns > limits::kMaxReturns) {
    throw std::invalid_argument("TaskOptions: num_returns is " +
                                std::to_string(options.num_returns) + ", it must be 1 to " +
                                std::to_string(limits::kMaxReturns));
  }
}

v1::TaskClass ToProto(std::string_view library, std::string_view function,
                      const TaskOptions& options) {
  v1::TaskClass out;
  out.set_library(library.data(), library.size());
  out.set_function(function.data(), function.size());
  out.set_name(options.name);
  v1::Resources* resources = out.mutable_resources();
  resources->set_num_cpus(options.num_cpus);
  resources->set_memory_bytes(options.memory);
  for (const auto& [name, amount] : options.resources)
    (*resources->mutable_custom())[name] = amount;
  out.set_max_retries(options.max_retries);
  out.set_retry_exceptions(options.retry_exceptions);
  out.set_timeout_ms(options.timeout.count());
  out.set_priority(options.priority);
  out.set_detached(options.detached);
  out.set_num_returns(options.num_returns);
  return out;
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

// The classes of tasks used last, so that a submit compares a few fields instead of encoding them.
class RecentClasses {
 public:
  struct Class {
    std::string library, function;
    TaskOptions options;
    uint32_t id;
  };

  // Returns: its id; nothing if it was not used lately.
  std::optional<uint32_t> Find(std::string_view library, std::string_view function,
                               const TaskOptions& options) {
    std::lock_guard lock(mutex_);
    for (size_t i = 0; i < classes_.size(); ++i) {
      const Class& known = classes_[i];
      if (known.function != function || known.library != library || known.options != options) {
        continue;
      }
      if (i > 0) std::swap(classes_[i], classes_[i - 1]);
      return classes_[i > 0 ? i - 1 : 0].id;
    }
    return std::nullopt;
  }

  void Add(Class added) {
    std::lock_guard lock(mutex_);
    if (classes_.size() == kMost) classes_.pop_back();
    classes_.push_back(std::move(added));
  }

 private:
  static constexpr size_t kMost = 16;
  std::mutex mutex_;
  std::vector<Class> classes_;  // those used most are in front
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
    std::vector<peer::Argument> converted;
    converted.reserve(arguments.size());
    for (detail::Argument& argument : arguments) {
      converted.push_back({argument.ref, std::move(argument.parts)});
    }
    Result<ObjectId> first = peer_->Submit(ClassOf(library, function, options), options.num_returns,
                                           std::move(converted), {.block = options.block});
    if (!first.ok()) Throw(first.status());
    return *first;
  }

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
    if (std::optional<uint32_t> known = classes_.Find(library, function, options)) return *known;
    Check(options);
    Result<uint32_t> id = peer_->Define(ToProto(library, function, options));
    if (!id.ok()) Throw(id.status());
    classes_.Add({std::string(library), std::string(function), options, *id});
    return *id;
  }

  const std::shared_ptr<void> keep_alive_;  // before peer_: it ends later
  std::shared_ptr<peer::Peer> peer_;
  const uint32_t forks_ = CountForks();
  RecentClasses classes_;
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
