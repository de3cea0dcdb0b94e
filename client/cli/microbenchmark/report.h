// Takes figures in the process that measures: repeats, sums up, writes a line of JSON each.
//
// Thread: one.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "client/cli/microbenchmark/figure.h"

namespace kiln::cli::microbenchmark {

using Timer = std::chrono::steady_clock;

inline double SecondsSince(Timer::time_point start) {
  return std::chrono::duration<double>(Timer::now() - start).count();
}

// Requires: values is not empty. Returns: the value below which `share` of them lie.
double Percentile(std::vector<double> values, double share);
inline double Median(std::vector<double> values) {
  return Percentile(std::move(values), 0.5);
}

class Report {
 public:
  // Names that do not match `filter` (a regular expression, empty: all) are not measured.
  // `quick`: a tenth of the time each. Throws: std::regex_error.
  Report(const std::string& filter, bool quick);

  // True if one of the benchmarks is asked for.
  bool Wants(std::initializer_list<std::string> names) const;
  bool quick() const { return quick_; }
  // `many` repetitions, or few when it must be quick.
  int Rounds(int many) const { return quick_ ? (many + 4) / 5 : many; }

  // What the figures to come were taken over: the transport in use, not the one asked for.
  void set_transport(std::string transport) { transport_ = std::move(transport); }
  const std::string& transport() const { return transport_; }

  // Writes the figure, with the transport, if it is asked for.
  void Add(Figure figure);
  // Something that could not be measured, and why; one line.
  void Note(const std::string& text);

  struct Repeat {
    std::chrono::milliseconds duration{2000};
    std::chrono::microseconds think{0};  // busy between operations, not counted
  };
  // Runs `operation` again and again for about the duration (and at least 10 times), after a tenth
  // of that to warm up, with the clock around each. Adds operations per second with the
  // percentiles of their times.
  void Rate(const std::string& name, const std::string& unit,
            const std::function<void()>& operation, Repeat repeat);
  void Rate(const std::string& name, const std::string& unit,
            const std::function<void()>& operation) {
    Rate(name, unit, operation, Repeat());
  }
  // Runs `operation`, which returns an amount done, `times` times; adds the median of amount per
  // second.
  void Throughput(const std::string& name, const std::string& unit, int times,
                  const std::function<double()>& operation);
  // Runs `operation` `times` times after once to warm up; adds the median in milliseconds.
  void Milliseconds(const std::string& name, int times, const std::function<void()>& operation);

 private:
  const std::optional<std::regex> filter_;
  const bool quick_;
  std::string transport_;
};

}  // namespace kiln::cli::microbenchmark
