// What the templates of the public headers need of libkiln: no templates, no gRPC, no protobuf.
//
// Not part of the API. One Runtime is one connection to a head. All calls may come from any thread.
// Ids are plain integers here; see common/ids.h.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kiln/options.h"

namespace kiln::value {
class Room;
struct Parts;
struct SharedBytes;
}  // namespace kiln::value

namespace kiln::detail {

using Id = uint64_t;

// One argument: an object (then `parts` is null) or a value.
struct Argument {
  Id ref = 0;
  std::shared_ptr<value::Parts> parts;
};

// Ids that are looked up one by one: a wait for the first of many need not see them all.
struct IdList {
  size_t size;
  const void* list;
  Id (*at)(const void* list, size_t index);

  Id operator[](size_t index) const { return at(list, index); }
};

// What a handle knows of its actor.
struct ActorClass {
  std::string name;      // "Counter"
  std::string language;  // "cpp", "python"
  int max_task_retries = 0;
  uint32_t max_pending_calls = 0;
};

// How an actor is made.
struct ActorConstructor {
  std::string library;   // as Submit's
  std::string function;  // of C++ the class, or with parameters: "Counter(int, std::string)"
  std::string class_name;
  std::string language;
  std::vector<std::string> methods;  // ascending; of a language that tells none: empty
};

struct FoundActor {
  Id id;  // carries one reference for the caller
  ActorClass actor_class;
};

// What is called.
struct ActorMethod {
  const ActorClass& actor_class;
  std::string_view name;
  bool each = false;          // see kEachSuffix
  bool any_language = false;  // the results are for a reader of any language
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  // Queues a task. Returns: the id of its first result, the others follow in a row; each carries
  // one reference for the caller.
  // Blocks: while the head grants no credit, unless options.block is false.
  // Throws: ResourceExhaustedError, DisconnectedError.
  virtual Id Submit(std::string_view library, std::string_view function, const TaskOptions& options,
                    std::vector<Argument> arguments) = 0;

  // Stores a value; one with a room is sealed in place, and read-only from now on. The returned id
  // carries one reference for the caller. Throws: ObjectStoreFullError.
  virtual Id Put(const value::Parts& parts) = 0;
  // Room to write a value of this size in place (value::Parts::room). Throws: ObjectStoreFullError.
  virtual std::shared_ptr<value::Room> Create(size_t size_bytes) = 0;

  // Waits for all objects, in the order given; errors come as values of kind error.
  // Returns: nothing if the time was over first.
  // Throws: DisconnectedError.
  virtual std::optional<std::vector<value::SharedBytes>> Get(
      std::span<const Id> ids, std::optional<std::chrono::nanoseconds> timeout) = 0;

  // Waits until `num_returns` objects are sealed or the time is over.
  // Returns: where in the list sealed ones are, in its order, num_returns of them at most.
  virtual std::vector<size_t> Wait(const IdList& ids, size_t num_returns,
                                   std::optional<std::chrono::nanoseconds> timeout) = 0;

  // Throws: ObjectLostError (unknown), DisconnectedError.
  virtual void Cancel(Id id, bool force) = 0;

  // Makes an actor, which is named like an object, but never got. With options.get_if_exists it may
  // be another one, of any class.
  // Blocks: as Submit; with a name until the head has answered.
  // Throws: as Submit; NameTakenError.
  virtual FoundActor CreateActor(const ActorConstructor& constructor, const ActorOptions& options,
                                 std::vector<Argument> arguments) = 0;
  // Throws: ActorNotFoundError, DisconnectedError.
  virtual FoundActor FindActor(const std::string& name, const std::string& name_space) = 0;
  // Queues a call. Returns, blocks, throws: as Submit; PendingCallsLimitError.
  virtual Id Call(Id actor, const ActorMethod& method, const CallOptions& options,
                  std::vector<Argument> arguments) = 0;
  virtual void KillActor(Id id, bool may_restart) = 0;

  // One more, or one less, reference of this process on the object.
  virtual void Retain(Id id) noexcept = 0;
  virtual void Release(Id id) noexcept = 0;

  virtual double num_cpus() const = 0;
  virtual std::string address() const = 0;
};

// The runtime that tasks on this thread run under; null outside of a task. See task_scope.h.
std::shared_ptr<Runtime> CurrentTaskRuntime();

// --- the function registry (worker/registry.cc) -----------------------------------------------

struct Incoming;  // kiln/detail/value.h

// Decodes the arguments, calls the function and encodes its results: one, or, with `each`, every
// element of a returned vector or tuple as a result of its own.
// Throws: BadCall; anything the function throws.
using Invoker = std::vector<std::shared_ptr<value::Parts>> (*)(void* function,
                                                               std::span<const Incoming> arguments,
                                                               uint32_t num_returns, bool each);

// Called by KILN_TASK's static initialisers. A second function of the same name in the same program
// or library is remembered as a clash and reported when it is called.
// `signature`: the parameter types, "int, std::string".
bool RegisterTask(const char* name, void* function, Invoker invoker, std::string signature);

struct FunctionName {
  std::string library;  // empty: this executable
  std::string function;
};

// Added to a function's name on the wire: split the result even if num_returns is 1.
inline constexpr std::string_view kEachSuffix = "[]";

// Throws: std::invalid_argument (the function has no KILN_TASK).
const FunctionName& NameOf(void* function);

}  // namespace kiln::detail
