// How much memory this process may still take.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/process/cgroup.h"

namespace kiln::process {

// Returns: MemAvailable, or what is left below the tightest cgroup limit if that is less. File
// cache that the kernel would give up counts as left. 0 if nothing can be found out.
uint64_t AvailableMemoryBytes(const CgroupPlace& place = {},
                              const std::string& meminfo = "/proc/meminfo");

}  // namespace kiln::process
