// Work on a range by several threads, while cores are free.
//
// Thread: any; a call uses threads of its own, which have ended when it returns.
#pragma once

#include <cstddef>
#include <functional>

namespace kiln {

// Threads that one call uses at most: beyond four, memory is the bound and not the cores.
inline constexpr int kMostThreads = 4;

// True if fewer threads want to run on this machine than there are cores this process may use;
// false if that cannot be found out. Takes about 3 us.
bool IsCoreFree();

// Calls `step(begin, end)` for pieces of [0, size), each at most `piece` long and beginning at a
// multiple of it, which together are all of it; in any order, and side by side. The calling thread
// works too. Others join it while `is_core_free` says so, which is asked again about every
// millisecond, and leave when it does not: nobody waits for a thread that has no core.
// Requires: piece > 0; `step` does not throw.
// Blocks: until all is done.
void ParallelFor(size_t size, size_t piece, const std::function<void(size_t, size_t)>& step,
                 const std::function<bool()>& is_core_free = IsCoreFree);

}  // namespace kiln
