// What a peer knows of the objects it has refs to: how many, sealed or not, and values seen.
//
// Thread: guarded by Peer's mutex.
// Owner:  Peer.
#pragma once

#include <boost/container/small_vector.hpp>
#include <condition_variable>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/id_table.h"
#include "common/ids.h"
#include "common/value/value.h"

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

  ObjectId id = 0;
  uint32_t handles = 0;          // of this process
  uint32_t head_references = 0;  // that the head counts for this session
  bool sealed = false;
  bool asked_ready = false;  // a Want without values is on its way, or answered
  bool asked_value = false;
  bool watched = false;              // whoever brings its value is told
  value::SharedBytes bytes;          // an inline value
  std::optional<CachedSlice> slice;  // or one in the store
  boost::container::small_vector<Waiting, 1> waiting;

  bool has_value() const { return bytes.owner || slice; }
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
  // Returns: true if it was watched, and has its value now.
  bool OnReady(ObjectId id);
  bool OnValue(ObjectId id, value::SharedBytes bytes);
  bool OnValue(ObjectId id, CachedSlice slice);

  // Registers the waiter with each object that is not there yet. Returns: those, each once.
  std::vector<ObjectId> StartWaiting(std::span<const ObjectId> ids, bool for_value, Waiter* waiter);
  void StopWaiting(std::span<const ObjectId> ids, Waiter* waiter);
  // Wakes everybody: the connection has ended.
  void WakeAll();

 private:
  bool Tell(CachedObject& object);

  IdTable<CachedObject> objects_;  // those with at least one handle
};

}  // namespace kiln::peer
