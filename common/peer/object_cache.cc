#include "common/peer/object_cache.h"

#include <algorithm>
#include <utility>

namespace kiln::peer {

bool ObjectCache::AddHandle(ObjectId id, bool from_head) {
  CachedObject& object = *objects_.TryInsert(id).first;
  bool tell = object.handles == 0 && !from_head;
  ++object.handles;
  if (from_head || tell) ++object.head_references;
  return tell;
}

uint32_t ObjectCache::DropHandle(ObjectId id) {
  CachedObject* found = objects_.Find(id);
  if (!found || --found->handles > 0) return 0;
  uint32_t references = found->head_references;
  objects_.Erase(*found);
  return references;
}

CachedObject* ObjectCache::Find(ObjectId id) {
  return objects_.Find(id);
}

bool ObjectCache::Tell(CachedObject& object) {
  const bool value = object.has_value();
  const bool watched = value && std::exchange(object.watched, false);
  if (object.waiting.empty()) return watched;
  auto told = [&](const CachedObject::Waiting& waiting) {
    if (waiting.for_value && !value) return false;
    if (waiting.waiter->missing > 0 && --waiting.waiter->missing == 0)
      waiting.waiter->wake.notify_one();
    return true;
  };
  auto& list = object.waiting;
  list.erase(std::remove_if(list.begin(), list.end(), told), list.end());
  return watched;
}

bool ObjectCache::OnReady(ObjectId id) {
  CachedObject* object = Find(id);
  if (!object) return false;
  object->sealed = true;
  return Tell(*object);
}

bool ObjectCache::OnValue(ObjectId id, value::SharedBytes bytes) {
  CachedObject* object = Find(id);
  if (!object) return false;
  object->sealed = true;
  object->bytes = std::move(bytes);
  return Tell(*object);
}

bool ObjectCache::OnValue(ObjectId id, CachedSlice slice) {
  CachedObject* object = Find(id);
  if (!object) return false;
  object->sealed = true;
  object->slice = slice;
  return Tell(*object);
}

std::vector<ObjectId> ObjectCache::StartWaiting(std::span<const ObjectId> ids, bool for_value,
                                                Waiter* waiter) {
  std::vector<ObjectId> pending;
  for (ObjectId id : ids) {
    CachedObject& object = *objects_.Find(id);
    if (for_value ? object.has_value() : object.sealed) continue;
    if (!object.waiting.empty() && object.waiting.back().waiter == waiter) continue;  // named twice
    object.waiting.push_back({waiter, for_value});
    pending.push_back(id);
  }
  return pending;
}

void ObjectCache::StopWaiting(std::span<const ObjectId> ids, Waiter* waiter) {
  for (ObjectId id : ids) {
    if (CachedObject* object = Find(id)) {
      auto& list = object->waiting;
      auto ours = [&](const CachedObject::Waiting& waiting) { return waiting.waiter == waiter; };
      list.erase(std::remove_if(list.begin(), list.end(), ours), list.end());
    }
  }
}

void ObjectCache::WakeAll() {
  objects_.ForEach([](CachedObject& object) {
    for (CachedObject::Waiting& waiting : object.waiting) waiting.waiter->wake.notify_one();
  });
}

}  // namespace kiln::peer
