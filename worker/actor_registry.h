// The classes of actors this process can make, by library and name; filled as
// kiln/detail/actor_registry.h says, and loaded with task libraries as registry.h says.
//
// Thread: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "kiln/detail/actor_registry.h"

namespace kiln::worker {

// A class, constant once its library is loaded; never erased.
struct ActorClassEntry {
  std::string library;  // absolute path, empty for the program itself
  std::string name;     // empty: only a constructor was registered, the class has no KILN_ACTOR
  std::vector<detail::MethodEntry> methods;  // by name, ascending
  std::vector<detail::ConstructorEntry> constructors;
  bool clash = false;  // another class has this name
};

struct FoundConstructor {
  const ActorClassEntry* actor_class;
  const detail::ConstructorEntry* constructor;
};

// `name`: of a class, for its only listed constructor with that many parameters, or followed by the
// types of the parameters: "Counter(int, std::string)".
// Errors: NotFound (no such class or constructor; the message names those there are);
//         FailedPrecondition (two classes, or two constructors, that it fits).
Result<FoundConstructor> FindConstructor(std::string_view library, std::string_view name,
                                         size_t parameters);

// Errors: NotFound (the message names the nearest name, or all there are).
Result<const detail::MethodEntry*> FindMethod(const ActorClassEntry& actor_class,
                                              std::string_view name);

// Returns: names of the classes of a library, ascending; empty if it is not loaded.
std::vector<std::string> ListActorClasses(std::string_view library);

}  // namespace kiln::worker
