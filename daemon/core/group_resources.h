// The resources of placement groups, renamed so that only those who name the group get them.
//
// Bundle 1 of group G, with 2 CPUs, is two units of "CPU_group_1_<G>" and of "CPU_group_<G>", which
// counts all bundles together. A task in that bundle takes of both, one in any bundle of the
// latter. Each takes a trace of "bundle" as well, so that one without resources waits for the group
// too. The scheme is Ray's.
//
// Thread: plain functions.
#pragma once

#include <cstdint>
#include <vector>

#include "common/ids.h"
#include "daemon/core/resources.h"

namespace kiln::core {

inline constexpr int kAnyBundle = -1;

// Returns: what a task or actor that asks for `asked` takes in the group.
Resources InGroup(const Resources& asked, GroupId group, int bundle);
// Returns: what there is once the group is reserved.
Resources OfBundles(const std::vector<Resources>& bundles, GroupId group);
// Returns: of `bundles`, what is not in `free`, in the names of what was asked.
Resources UsedOfBundles(const std::vector<Resources>& bundles, GroupId group,
                        const Resources& free);
Resources SumOf(const std::vector<Resources>& bundles);
// Returns: CPUs in units, those of groups included: what fairness goes by.
int64_t FairCpuUnits(const Resources& resources);
// Returns: the same without those of groups.
Resources WithoutGroups(const Resources& resources);

}  // namespace kiln::core
