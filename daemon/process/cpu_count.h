// How many CPUs this process may use.
#pragma once

#include "daemon/process/cgroup.h"

namespace kiln::process {

// Returns: the CPUs of our affinity mask, or of the tightest cgroup quota (rounded up) if that is
// less; at least 1.
int AvailableCpus(const CgroupPlace& place = {});

}  // namespace kiln::process
