// What must hold unless the core itself is wrong. Nothing a client or worker sends reaches it.
//
// Thread: any.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace kiln::core {

// Ends the process with `what` if `holds` is false: going on would spread a wrong state.
inline void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "kiln core: %s\n", what);
  std::abort();
}

}  // namespace kiln::core
