// Amounts of logical resources: CPUs, memory and custom ones, in exact fixed point.
//
// Thread: plain data.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace kiln::core {

class Resources {
 public:
  // One CPU (or one of a custom resource) in the units used here: fractions down to 0.0001, as Ray.
  static constexpr int64_t kUnit = 10'000;

  Resources() = default;
  // CPUs rounded to the nearest unit; memory in bytes.
  explicit Resources(double num_cpus, uint64_t memory_bytes = 0);

  static Resources OfUnits(int64_t cpu_units, int64_t memory_bytes);

  // Sets a custom resource; an amount of 0 removes it.
  void SetCustom(const std::string& name, double amount);

  // Adds to a custom resource.
  void AddUnits(const std::string& name, int64_t units);
  // Returns: 0 if there is none of it.
  int64_t CustomUnits(const std::string& name) const;

  int64_t cpu_units() const { return cpu_units_; }
  double num_cpus() const { return static_cast<double>(cpu_units_) / kUnit; }
  int64_t memory_bytes() const { return memory_bytes_; }
  // Custom resources by name, ascending, unique; amounts in units, none is 0.
  const std::vector<std::pair<std::string, int64_t>>& custom() const { return custom_; }

  // True if every amount here is at most the one in `available`.
  bool FitsIn(const Resources& available) const;
  // Amounts may go below zero: a task that resumes after a blocked get takes its CPU back at once.
  void Add(const Resources& other);
  void Subtract(const Resources& other);

  // Returns: the first amount that `available` has too little of, in words:
  // "num_cpus: 8 asked, 2 here"; empty if it fits.
  std::string FirstLacking(const Resources& available) const;

  bool operator==(const Resources&) const = default;
  auto operator<=>(const Resources&) const = default;

 private:
  int64_t cpu_units_ = 0;
  int64_t memory_bytes_ = 0;
  std::vector<std::pair<std::string, int64_t>> custom_;
};

}  // namespace kiln::core
