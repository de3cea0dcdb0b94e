// Task libraries: shared objects whose functions have KILN_TASK and classes KILN_ACTOR, loaded when
// a task first names one.
//
// A library stays loaded until the process ends: code and types of it may live on in values and
// threads. A worker whose copy is out of date gives its tasks back and ends; see IsStale.
//
// Thread: any.
#pragma once

#include <string>

#include "common/status.h"

namespace kiln::worker {

// Loads the library and registers its functions under `path`; nothing happens if it is loaded.
// Runs its static initialisers.
// Errors: InvalidArgument (path not absolute), NotFound (no such file), FailedPrecondition (not a
//         shared object, symbols missing, or without anything registered; the message has the
//         loader's words).
Status LoadLibrary(const std::string& path);

// True if the file at `path` is no longer the one that was loaded (rebuilt, replaced or removed).
// False if it was never loaded.
bool IsStale(const std::string& path);

}  // namespace kiln::worker
