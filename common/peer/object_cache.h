// What a peer knows of the objects it has refs to: how many, sealed or not, and values seen.
//
// Thread: guarded by Peer's mutex.
// Owner:  Peer.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/ids.h"

namespace kiln::peer {

// A thread that waits for objects.
struct Waiter {
  size_t missing = 0;  // objects still to come
  std::condition_variable wake;
};

struct CachedSlice {
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
};

struct CachedObject {
  struct Waiting {
    Waiter* waiter;
    bool for_value;
  };

  uint32_t handles = 0;          // of this process
  uint32_t head_references = 0;  // that the head counts for this session
  bool sealed = false;
  bool asked_ready = false;  // a Want without values is on its way, or answered
  bool asked_value = false;
  std::shared_ptr<const std::string> bytes;  // an inline value
  std::optional<CachedSlice> slice;          // or one in the store
  std::vector<Waiting> waiting;

  bool has_value() const { return bytes || slice; }
};

class ObjectCache {
 public:
  // One handle more on an object for which the head counts a reference already (`from_head`), or
  // does not. Returns: true if the head must be told to count one (Retain).
  bool AddHandle(ObjectId id, bool from_head);
  // One handle less. Returns: how many references to give back to the head.
  uint32_t DropHandle(ObjectId id);

  // Null if this process has no handle.
  CachedObject* Find(ObjectId id);
  size_t size() const { return objects_.size(); }

  // The object is sealed; its waiters are told. Unknown ids are ignored: released meanwhile.
  void OnReady(ObjectId id);
  void OnValue(ObjectId id, std::shared_ptr<const std::string> bytes,
               std::optional<CachedSlice> slice);

  // Registers the waiter with each object that is not there yet. Returns: those, each once.
  std::vector<ObjectId> StartWaiting(std::span<const ObjectId> ids, bool for_value, Waiter* waiter);
  void StopWaiting(std::span<const ObjectId> ids, Waiter* waiter);
  // Wakes everybody: the connection has ended.
  void WakeAll();

 private:
  void Tell(CachedObject& object);

  std::unordered_map<ObjectId, CachedObject> objects_;  // those with at least one handle
};

}  // namespace kiln::peer
