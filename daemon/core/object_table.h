// All objects the head knows, by id, and who waits for them.
//
// Thread: head loop only.
// Owner:  Core.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "common/id_table.h"
#include "common/ids.h"
#include "daemon/core/task.h"
#include "daemon/core/task_record.h"
#include "daemon/core/value.h"

namespace kiln::core {

inline constexpr ClassId kNoClass = ~ClassId{0};
// Made by no task: it stands for an actor, and is sealed from the start.
inline constexpr ClassId kActorMaker = kNoClass - 1;
// Maker of the object that is sealed when a placement group is reserved.
inline constexpr ClassId kGroupMaker = kNoClass - 2;
inline constexpr SessionNumber kNobody = ~SessionNumber{0};

// A session that is to be told when an object is sealed.
struct Waiter {
  SessionNumber session = kNobody;
  bool with_value = false;
  uint64_t block = 0;  // number of the Block it counts for; 0: none
  TaskId blocked_task = 0;
};

// Who waits for an unsealed object.
struct Interest {
  // In the order they asked. Mostly there is one: it needs no further allocation.
  Waiter first_waiter{};  // session kNobody: there is none
  std::vector<Waiter> more_waiters;
  Dependency* first = nullptr;  // tasks with it as an argument, in the order submitted
  Dependency* last = nullptr;
};

struct Content {
  Value value;
  std::vector<ObjectId> contained;  // each pinned once; only known ones
};

enum class ObjectState : uint8_t {
  kPending,  // a task makes it; left when that ends
  kCreated,  // its creator writes it; left by seal, abort and the end of the session
  kSealed,   // immutable; goes when nobody refers to it
};

struct Object {
  ObjectId id = 0;
  std::unique_ptr<Content> content;    // null: pending
  std::unique_ptr<Interest> interest;  // null: nobody waits
  uint32_t references = 0;             // held by sessions, all together
  uint32_t pins = 0;                   // by unfinished tasks and containing values
  SessionNumber creator = kHeadSession;
  ClassId maker = kNoClass;   // class of the task that makes it; kNoClass: put; or one of the above
  uint32_t result_index = 0;  // with a maker: position among its results
  ObjectState state = ObjectState::kPending;
  bool is_error = false;
  uint8_t kept = 0;    // not 0: delivered, stays until that is carried out
  bool noted = false;  // stands among those to be freed if unwanted

  bool is_actor() const { return maker == kActorMaker; }
  bool is_group() const { return maker == kGroupMaker; }
  TaskId task() const { return maker >= kGroupMaker ? 0 : id - result_index; }
  bool unwanted() const { return references == 0 && pins == 0; }
};

static_assert(sizeof(Object) <= 48, "grows the memory of every queued task");

class ObjectTable {
 public:
  Object* Find(ObjectId id) { return objects_.Find(id); }
  const Object* Find(ObjectId id) const { return objects_.Find(id); }
  // Requires: unknown id.
  Object& Insert(ObjectId id, SessionNumber creator);
  // Requires: nobody waits for it.
  void Erase(Object& object);
  size_t size() const { return objects_.size(); }
  size_t HeapBytes() const { return objects_.HeapBytes(); }

  // Keep the sizes in order. Requires: a content, set or to be reset by the caller.
  void NoteSlice(const Object& object);
  void ForgetSlice(const Object& object);

  void AddWaiter(Object& object, Waiter waiter);
  void AddDependency(Object& object, Dependency& dependency);
  void RemoveDependency(Dependency& dependency);

  // visit(object) by falling size of those in the store segment; false stops.
  void VisitBiggest(const std::function<bool(const Object&)>& visit) const;
  template <typename Visit>
  void ForEach(Visit visit) const {
    objects_.ForEach(visit);
  }

 private:
  IdTable<Object> objects_;
  std::set<std::pair<uint64_t, ObjectId>> by_size_;  // created and sealed slices
};

}  // namespace kiln::core
