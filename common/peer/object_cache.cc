#include "common/peer/object_cache.h"

#include <algorithm>
#include <utility>

namespace kiln::peer {

bool ObjectCache::AddHandle(ObjectId id, bool from_head) {
  CachedObject& object = objects_[id];
  bool tell = object.handles == 0 && !from_head;
  ++object.handles;
  if (from_head || tell) ++object.head_references;
  return tell;
}

uint32_t ObjectCache::DropHandle(ObjectId id) {
  auto found = objects_.find(id);
  if (found == objects_.end() || --found->second.handles > 0) return 0;
  uint32_t references = found->second.head_references;
  objects_.erase(found);
  return references;
}

CachedObject* ObjectCache::Find(ObjectId id) {
  auto found = objects_.find(id);
  return found == objects_.end() ? nullptr : &found->second;
}

void ObjectCache::Tell(CachedObject& object) {
  bool value = object.has_value();
  std::erase_if(object.waiting, [&](const CachedObject::Waiting& waiting) {
    if (waiting.for_value && !value) return false;
    if (waiting.waiter->missing > 0 && --waiting.waiter->missing == 0)
      waiting.waiter->wake.notify_one();
    return true;
  });
}

void ObjectCache::OnReady(ObjectId id) {
  if (CachedObject* object = Find(id)) {
    object->sealed = true;
    Tell(*object);
  }
}

void ObjectCache::OnValue(ObjectId id, std::shared_ptr<const std::string> bytes,
                          std::optional<CachedSlice> slice) {
  if (CachedObject* object = Find(id)) {
    object->sealed = true;
    object->bytes = std::move(bytes);
    object->slice = slice;
    Tell(*object);
  }
}

std::vector<ObjectId> ObjectCache::StartWaiting(std::span<const ObjectId> ids, bool for_value,
                                                Waiter* waiter) {
  std::vector<ObjectId> pending;
  for (ObjectId id : ids) {
    CachedObject& object = objects_.at(id);
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
      std::erase_if(object->waiting,
                    [&](const CachedObject::Waiting& waiting) { return waiting.waiter == waiter; });
    }
  }
}

void ObjectCache::WakeAll() {
  for (auto& [id, object] : objects_) {
    for (CachedObject::Waiting& waiting : object.waiting) waiting.waiter->wake.notify_one();
  }
}

}  // namespace kiln::peer
