#include "daemon/core/object_table.h"

#include "common/check.h"

namespace kiln::core {

Object& ObjectTable::Insert(ObjectId id, SessionNumber creator) {
  Object& object = objects_.Insert(id);
  object.creator = creator;
  return object;
}

void ObjectTable::Erase(Object& object) {
  Require(object.interest == nullptr, "an awaited object is erased");
  objects_.Erase(object);
}

void ObjectTable::NoteSlice(const Object& object) {
  if (const auto* slice = std::get_if<Slice>(&object.content->value)) {
    by_size_.emplace(slice->size_bytes, object.id);
  }
}

void ObjectTable::ForgetSlice(const Object& object) {
  if (const auto* slice = std::get_if<Slice>(&object.content->value)) {
    by_size_.erase({slice->size_bytes, object.id});
  }
}

void ObjectTable::AddWaiter(Object& object, Waiter waiter) {
  if (!object.interest) object.interest = std::make_unique<Interest>();
  Interest& interest = *object.interest;
  if (interest.first_waiter.session == kNobody) {
    interest.first_waiter = waiter;
  } else {
    interest.more_waiters.push_back(waiter);
  }
}

void ObjectTable::AddDependency(Object& object, Dependency& dependency) {
  if (!object.interest) object.interest = std::make_unique<Interest>();
  Interest& interest = *object.interest;
  dependency.object = &object;
  dependency.previous = interest.last;
  dependency.next = nullptr;
  (interest.last ? interest.last->next : interest.first) = &dependency;
  interest.last = &dependency;
}

void ObjectTable::RemoveDependency(Dependency& dependency) {
  Object& object = *dependency.object;
  Interest& interest = *object.interest;
  (dependency.previous ? dependency.previous->next : interest.first) = dependency.next;
  (dependency.next ? dependency.next->previous : interest.last) = dependency.previous;
  dependency.object = nullptr;
  if (interest.first == nullptr && interest.first_waiter.session == kNobody)
    object.interest.reset();
}

void ObjectTable::VisitBiggest(const std::function<bool(const Object&)>& visit) const {
  for (auto at = by_size_.rbegin(); at != by_size_.rend(); ++at) {
    if (!visit(*objects_.Find(at->second))) return;
  }
}

}  // namespace kiln::core
