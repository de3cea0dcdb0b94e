// Tasks: functions that run in worker processes.
#pragma once

#include "kiln/detail/call.h"
#include "kiln/detail/join.h"

// Makes a function callable as a task, by its name as written here. At namespace scope, once, in
// the source file that defines the function:
//
//   int Add(int a, int b) { return a + b; }
//   KILN_TASK(Add);
//
//   namespace geometry { double Area(const Shape& shape); }
//   KILN_TASK(geometry::Area);
//
// Parameters: values or references to const of anything that can travel (numbers, bool, enums,
// std::string and string_view, standard containers, pair, tuple, optional, kiln::Ref, kiln::Array,
// std::span<const number>, structs with KILN_STRUCT). Result: the same by value, or void.
// Exceptions arrive at the caller as TaskError. An overloaded function needs a name of its own for
// each task.
#define KILN_TASK(function)                                                      \
  [[maybe_unused]] static const bool KILN_DETAIL_JOIN(kiln_task_, __COUNTER__) = \
      ::kiln::detail::Register(#function, &function)

namespace kiln {

// True if the task on this thread was asked to stop (Session::Cancel, its timeout, its driver
// gone). False outside of a task. Costs a load; ask often.
bool Cancelled();

// Throws: TaskCancelledError if the task on this thread was asked to stop.
void ThrowIfCancelled();

}  // namespace kiln
