// Figures of the microbenchmark: taken, summed up and printed, a line each.
//
// Thread: one.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <regex>
#include <string>
#include <vector>

namespace kiln::cli::microbenchmark {

using Timer = std::chrono::steady_clock;

inline double SecondsSince(Timer::time_point start) {
  return std::chrono::duration<double>(Timer::now() - start).count();
}

struct Figure {
  std::string name;
  std::string transport;  // "grpc", "shm"; empty: none has a part in it
  double value = 0;
  std::string unit;
  std::optional<double> p50_us, p99_us;
  size_t n = 1;  // measurements, or operations in one
};

class Report {
 public:
  // Names that do not match `filter` (a regular expression, empty: all) are not measured.
  // Throws: std::regex_error.
  Report(bool json, const std::string& filter);

  // True if the benchmark is asked for.
  bool Wants(const std::string& name) const;
  void Add(const Figure& figure);

  // Runs `operation` again and again for about `duration` (and at least 10 times), after a tenth
  // of that to warm up. Adds operations per second with the percentiles of their times.
  void Rate(const std::string& name, const std::string& transport, const std::string& unit,
            const std::function<void()>& operation,
            std::chrono::milliseconds duration = std::chrono::milliseconds(2000));
  // Runs `operation`, which returns an amount done, `times` times; adds the median of amount per
  // second.
  void Throughput(const std::string& name, const std::string& transport, const std::string& unit,
                  int times, const std::function<double()>& operation);

 private:
  const bool json_;
  const std::optional<std::regex> filter_;
};

}  // namespace kiln::cli::microbenchmark
