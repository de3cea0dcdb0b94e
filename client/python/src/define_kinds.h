// Kinds of tasks, calls and constructors, as the package defines them; actors by pybind11.
//
// Thread: with the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "client/python/src/session.h"

namespace kiln::python {

// Gives the class Session its methods for tasks and actors: define, define_method, define_actor,
// create_actor, find_actor, kill_actor.
void AddKinds(pybind11::class_<Session, std::shared_ptr<Session>>& session);

}  // namespace kiln::python
