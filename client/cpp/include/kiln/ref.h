// Refs: counted names of objects.
#pragma once

#include <compare>
#include <memory>
#include <string>
#include <utility>

#include "kiln/detail/runtime.h"

namespace kiln {

namespace detail {

// One reference of this process on an object, given back at the end.
class RefHandle {
 public:
  // Takes over one reference that `runtime` counts for the caller.
  RefHandle(std::shared_ptr<Runtime> runtime, Id id) : runtime_(std::move(runtime)), id_(id) {}
  ~RefHandle() { runtime_->Release(id_); }
  RefHandle(const RefHandle&) = delete;
  RefHandle& operator=(const RefHandle&) = delete;

  Id id() const { return id_; }
  const std::shared_ptr<Runtime>& runtime() const { return runtime_; }

 private:
  const std::shared_ptr<Runtime> runtime_;
  const Id id_;
};

// A ref in text, 16 hexadecimal digits, and back. Throws: std::invalid_argument.
std::string FormatId(Id id);
Id ParseId(const std::string& text);

// Throws: std::logic_error (the ref is empty).
const RefHandle& Checked(const std::shared_ptr<const RefHandle>& handle);

}  // namespace detail

// Names an object of type T that a task makes or that was put: it may not exist yet. Pass it where
// a T is wanted, or get it. Copies share one reference; the object lives while anybody holds one.
//
// Thread: as shared_ptr: copies may be used from different threads.
template <typename T>
class Ref {
 public:
  // Empty: good for nothing but being assigned to.
  Ref() = default;
  explicit Ref(std::shared_ptr<const detail::RefHandle> handle) : handle_(std::move(handle)) {}

  explicit operator bool() const { return handle_ != nullptr; }

  // 16 hexadecimal digits; what `kiln get` and Session::FromId take.
  // Throws: std::logic_error (empty).
  std::string id() const { return detail::FormatId(detail::Checked(handle_).id()); }

  // Same object; order is by age within a session.
  friend bool operator==(const Ref& a, const Ref& b) { return a.Number() == b.Number(); }
  friend auto operator<=>(const Ref& a, const Ref& b) { return a.Number() <=> b.Number(); }

  // Not part of the API.
  const std::shared_ptr<const detail::RefHandle>& handle() const { return handle_; }

 private:
  detail::Id Number() const { return handle_ ? handle_->id() : 0; }

  std::shared_ptr<const detail::RefHandle> handle_;
};

}  // namespace kiln
