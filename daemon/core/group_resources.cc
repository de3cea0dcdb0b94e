#include "daemon/core/group_resources.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace kiln::core {
namespace {

constexpr std::string_view kInfix = "_group_";
constexpr const char* kCpu = "CPU";
constexpr const char* kMemory = "memory";
constexpr const char* kBundle = "bundle";
constexpr int64_t kTraceUnits = 10;                        // of kBundle, that each task takes
constexpr int64_t kBundleUnits = 1000 * Resources::kUnit;  // of kBundle, that each bundle has
constexpr size_t kIdDigits = 16;

std::string NameIn(const std::string& name, GroupId group) {
  return name + std::string(kInfix) + FormatRef(group);
}
std::string NameIn(const std::string& name, GroupId group, size_t bundle) {
  return name + std::string(kInfix) + std::to_string(bundle) + "_" + FormatRef(group);
}

// visit(name, units) for each resource.
template <typename Visit>
void ForEach(const Resources& resources, Visit visit) {
  if (resources.cpu_units() != 0) visit(kCpu, resources.cpu_units());
  if (resources.memory_bytes() != 0) visit(kMemory, resources.memory_bytes());
  for (const auto& [name, units] : resources.custom()) visit(name, units);
}

bool AreHexDigits(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// True for a name of a group's, of one bundle or (`all`) of all together.
bool IsOfGroup(std::string_view name, bool* all) {
  const size_t at = name.rfind(kInfix);
  if (at == std::string_view::npos) return false;
  std::string_view rest = name.substr(at + kInfix.size());
  const size_t bar = rest.find('_');
  *all = bar == std::string_view::npos;
  if (!*all) rest = rest.substr(bar + 1);
  return rest.size() == kIdDigits && AreHexDigits(rest);
}

}  // namespace

Resources InGroup(const Resources& asked, GroupId group, int bundle) {
  Resources renamed;
  const auto add = [&](const std::string& name, int64_t units) {
    renamed.AddUnits(NameIn(name, group), units);
    if (bundle != kAnyBundle) {
      renamed.AddUnits(NameIn(name, group, static_cast<size_t>(bundle)), units);
    }
  };
  ForEach(asked, add);
  add(kBundle, kTraceUnits);
  return renamed;
}

Resources OfBundles(const std::vector<Resources>& bundles, GroupId group) {
  Resources renamed;
  for (size_t i = 0; i < bundles.size(); ++i) {
    const auto add = [&](const std::string& name, int64_t units) {
      renamed.AddUnits(NameIn(name, group), units);
      renamed.AddUnits(NameIn(name, group, i), units);
    };
    ForEach(bundles[i], add);
    add(kBundle, kBundleUnits);
  }
  return renamed;
}

Resources UsedOfBundles(const std::vector<Resources>& bundles, GroupId group,
                        const Resources& free) {
  Resources used = SumOf(bundles);
  Resources unused;
  ForEach(used, [&](const std::string& name, int64_t) {
    const int64_t units = std::max<int64_t>(free.CustomUnits(NameIn(name, group)), 0);
    if (name == kCpu) {
      unused.Add(Resources::OfUnits(units, 0));
    } else if (name == kMemory) {
      unused.Add(Resources::OfUnits(0, units));
    } else {
      unused.AddUnits(name, units);
    }
  });
  used.Subtract(unused);
  return used;
}

Resources SumOf(const std::vector<Resources>& bundles) {
  Resources sum;
  for (const Resources& bundle : bundles) sum.Add(bundle);
  return sum;
}

int64_t FairCpuUnits(const Resources& resources) {
  int64_t units = resources.cpu_units();
  for (const auto& [name, amount] : resources.custom()) {
    bool all = false;
    if (name.starts_with(kCpu + std::string(kInfix)) && IsOfGroup(name, &all) && all) {
      units += amount;
    }
  }
  return units;
}

Resources WithoutGroups(const Resources& resources) {
  Resources left = resources;
  for (const auto& [name, units] : resources.custom()) {
    bool all = false;
    if (IsOfGroup(name, &all)) left.AddUnits(name, -units);
  }
  return left;
}

}  // namespace kiln::core
