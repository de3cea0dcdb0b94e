// kiln: tasks, objects and jobs on all cores of one machine.
//
//   #include <kiln/kiln.h>
//
//   int Add(int a, int b) { return a + b; }
//   KILN_TASK(Add);
//
//   int main(int argc, char** argv) {
//     kiln::Session session = kiln::Connect(argc, argv);
//     kiln::Ref<int> a = session.Submit(Add, 1, 2);  // runs in a worker process
//     kiln::Ref<int> b = session.Submit(Add, a, 3);  // runs when `a` is there
//     return session.Get(b) == 6 ? 0 : 1;
//   }
//
// See: docs/guide-cpp.md.
#pragma once

#include "kiln/actor.h"
#include "kiln/array.h"
#include "kiln/error.h"
#include "kiln/options.h"
#include "kiln/ref.h"
#include "kiln/session.h"
#include "kiln/struct.h"
#include "kiln/task.h"
