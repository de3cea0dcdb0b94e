// What the core knows of a task: its class, which many tasks share, and what is its own.
//
// Thread: plain data.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/ids.h"
#include "daemon/core/resources.h"

namespace kiln::core {

// A program that workers run: the task library host, a host of Python modules, or one driver's
// executable. Opaque here; the process layer knows how to start each.
using ProgramId = uint32_t;
inline constexpr ProgramId kLibraryHost = 0;

// Index of an interned TaskClass.
using ClassId = uint32_t;

// Items consumed, for a stream whose producer never waits for its consumer.
inline constexpr uint64_t kNoWindow = ~uint64_t{0};

// How an actor lives. See ActorOptions in proto/kiln/v1/task.proto.
struct ActorOptions {
  Resources held;        // after its constructor
  int max_restarts = 0;  // -1: without end
  uint32_t max_concurrency = 1;
  std::map<std::string, uint32_t> groups = {};  // beside the default one, by name

  bool operator==(const ActorOptions&) const = default;
  auto operator<=>(const ActorOptions&) const = default;
};

// The function and its options. See TaskClass in proto/kiln/v1/task.proto for the defaults.
struct TaskClass {
  ProgramId program = kLibraryHost;
  std::string library;  // that `program` loads; empty: the program itself has the function
  std::string function;
  std::string name;  // never empty
  Resources resources{1};
  int max_retries = 3;  // -1: without end
  bool retry_exceptions = false;
  Duration timeout{0};  // 0: none
  int priority = 0;
  bool detached = false;
  uint32_t num_returns = 1;
  bool streaming = false;       // hands items over while it runs; its result is the stream's end
  uint32_t stream_window = 0;   // items not consumed at which it waits; 0: no bound
  bool any_language = false;    // of its results: for readers of any language
  bool method = false;          // calls `function` of the actor it is submitted to
  std::string group;            // with method: of the actor's groups; empty: the default one
  GroupId placement_group = 0;  // 0: none; its resources are taken of that group's
  int bundle_index = -1;        // with a group: of that bundle; -1: of any
  std::optional<ActorOptions> actor;  // makes an actor; `resources` are what its constructor takes

  bool operator==(const TaskClass&) const = default;
  auto operator<=>(const TaskClass&) const = default;
};

struct TaskSpec {
  TaskId id = 0;  // results are id .. id + num_returns - 1
  ClassId task_class = 0;
  SessionNumber session = kHeadSession;  // who submits; holds a reference on each result
  TaskId parent = 0;                     // running task that submits; 0: the driver itself
  std::string args;                      // encoded ArgList, opaque
  std::vector<ObjectId> refs;            // waited for, passed by value
  std::vector<ObjectId> nested_refs;     // kept alive until the task ends
  ActorId actor = 0;                     // with TaskClass::method: that is called
};

struct GroupSpec {
  GroupId id = 0;
  SessionNumber session = kHeadSession;  // that makes it; holds a reference on its object
  TaskId parent = 0;                     // running task that makes it; 0: the driver itself
  std::vector<Resources> bundles;        // reserved together
  std::string name;                      // for people
  bool detached = false;                 // outlives the session
  std::string value;                     // encoded, of its object once it is reserved; opaque
};

struct ActorSpec {
  TaskSpec creation;  // of a class with `actor`; the actor has its id
  std::string name;   // empty: none
  std::string name_space;
  bool get_if_exists = false;
  std::string handle;  // an encoded ActorClass, opaque
};

}  // namespace kiln::core
