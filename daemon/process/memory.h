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

// The same of any process of this user, without all of its shared memory, and in a third of the
// time: the system adds up by itself, 0.8 ms for a Python. Returns: 0 if there is no such process.
uint64_t ProportionalBytesOf(int64_t pid, const std::string& proc = "/proc");

}  // namespace kiln::process
