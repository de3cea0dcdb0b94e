// What must hold unless we are wrong ourselves. Nothing that a client, a worker, a file or the
// network can send reaches it.
//
// Thread: any.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace kiln {

// Ends the process with `what` if `holds` is false: going on would spread a wrong state.
inline void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "kiln: %s\n", what);
  std::abort();
}

}  // namespace kiln
