#include "daemon/core/resources.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kiln::core {
namespace {

// More than any machine has, far from overflow when added up. NaN and negatives become -1, which
// is refused where classes and jobs are checked.
constexpr double kMostAmount = 1e12;

int64_t ToUnits(double amount) {
  if (!(amount >= 0)) return -1;
  return std::llround(std::min(amount, kMostAmount) * static_cast<double>(Resources::kUnit));
}

// Nothing asked always fits, even while resumed tasks overdraw the amount.
bool AmountFits(int64_t asked, int64_t available) {
  return asked == 0 || asked <= available;
}

bool ByName(const std::pair<std::string, int64_t>& entry, const std::string& name) {
  return entry.first < name;
}

std::string FormatUnits(int64_t units) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", static_cast<double>(units) / Resources::kUnit);
  return text;
}

std::string Lacking(const std::string& name, const std::string& asked, const std::string& here) {
  return name + ": " + asked + " asked, " + here + " here";
}

}  // namespace

Resources::Resources(double num_cpus, uint64_t memory_bytes)
    : cpu_units_(ToUnits(num_cpus)),
      memory_bytes_(static_cast<int64_t>(std::min<uint64_t>(memory_bytes, uint64_t{1} << 62))) {}

void Resources::SetCustom(const std::string& name, double amount) {
  auto at = std::lower_bound(custom_.begin(), custom_.end(), name, ByName);
  const bool found = at != custom_.end() && at->first == name;
  const int64_t units = ToUnits(amount);
  if (units == 0) {
    if (found) custom_.erase(at);
  } else if (found) {
    at->second = units;
  } else {
    custom_.insert(at, {name, units});
  }
}

Resources Resources::OfUnits(int64_t cpu_units, int64_t memory_bytes) {
  Resources resources;
  resources.cpu_units_ = cpu_units;
  resources.memory_bytes_ = memory_bytes;
  return resources;
}

void Resources::AddUnits(const std::string& name, int64_t units) {
  auto at = std::lower_bound(custom_.begin(), custom_.end(), name, ByName);
  if (at == custom_.end() || at->first != name) {
    if (units != 0) custom_.insert(at, {name, units});
  } else if ((at->second += units) == 0) {
    custom_.erase(at);
  }
}

int64_t Resources::CustomUnits(const std::string& name) const {
  auto at = std::lower_bound(custom_.begin(), custom_.end(), name, ByName);
  return at == custom_.end() || at->first != name ? 0 : at->second;
}

bool Resources::FitsIn(const Resources& available) const {
  if (!AmountFits(cpu_units_, available.cpu_units_)) return false;
  if (!AmountFits(memory_bytes_, available.memory_bytes_)) return false;
  return std::all_of(custom_.begin(), custom_.end(), [&](const auto& entry) {
    return AmountFits(entry.second, available.CustomUnits(entry.first));
  });
}

void Resources::Add(const Resources& other) {
  cpu_units_ += other.cpu_units_;
  memory_bytes_ += other.memory_bytes_;
  for (const auto& [name, units] : other.custom_) AddUnits(name, units);
}

void Resources::Subtract(const Resources& other) {
  Resources negative = other;
  negative.cpu_units_ = -negative.cpu_units_;
  negative.memory_bytes_ = -negative.memory_bytes_;
  for (auto& [name, units] : negative.custom_) units = -units;
  Add(negative);
}

std::string Resources::FirstLacking(const Resources& available) const {
  if (!AmountFits(cpu_units_, available.cpu_units_)) {
    return Lacking("num_cpus", FormatUnits(cpu_units_), FormatUnits(available.cpu_units_));
  }
  if (!AmountFits(memory_bytes_, available.memory_bytes_)) {
    return Lacking("memory", std::to_string(memory_bytes_) + " bytes",
                   std::to_string(available.memory_bytes_) + " bytes");
  }
  for (const auto& [name, units] : custom_) {
    const int64_t here = available.CustomUnits(name);
    if (!AmountFits(units, here)) return Lacking(name, FormatUnits(units), FormatUnits(here));
  }
  return {};
}

}  // namespace kiln::core
