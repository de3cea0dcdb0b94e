// How much memory this process takes, and how much it may still take.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/process/cgroup.h"

namespace kiln::process {

// Returns: MemAvailable, or what is left below the tightest cgroup limit if that is less. File
// cache that the kernel would give up counts as left. 0 if nothing can be found out.
uint64_t AvailableMemoryBytes(const CgroupPlace& place = {},
                              const std::string& meminfo = "/proc/meminfo");

// Returns: this process's proportional set size, mappings of the store segment not counted; 0 if it
//          cannot be found out. Takes a millisecond or so.
uint64_t ProportionalBytes(const std::string& smaps = "/proc/self/smaps");

}  // namespace kiln::process
