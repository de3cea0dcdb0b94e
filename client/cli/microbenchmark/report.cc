#include "client/cli/microbenchmark/report.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace kiln::cli::microbenchmark {
namespace {

void Think(std::chrono::microseconds time) {
  for (auto start = Timer::now(); Timer::now() - start < time;) {
  }
}

}  // namespace

double Percentile(std::vector<double> values, double share) {
  auto index = static_cast<ptrdiff_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + index, values.end());
  return values[static_cast<size_t>(index)];
}

Report::Report(const std::string& filter, bool quick)
    : filter_(filter.empty() ? std::nullopt : std::make_optional(std::regex(filter))),
      quick_(quick) {}

bool Report::Wants(std::initializer_list<std::string> names) const {
  return std::any_of(names.begin(), names.end(), [this](const std::string& name) {
    return !filter_ || std::regex_search(name, *filter_);
  });
}

void Report::Add(Figure figure) {
  if (!Wants({figure.name})) return;
  figure.transport = transport_;
  std::printf("%s\n", ToJson(figure).c_str());
  std::fflush(stdout);
}

void Report::Note(const std::string& text) {
  // In place of a line of progress.
  std::fprintf(stderr, "%skiln: %s\n", isatty(STDERR_FILENO) ? "\r\x1b[K" : "", text.c_str());
}

void Report::Rate(const std::string& name, const std::string& unit,
                  const std::function<void()>& operation, Repeat repeat) {
  if (!Wants({name})) return;
  const auto duration = quick_ ? repeat.duration / 10 : repeat.duration;
  for (auto start = Timer::now(); Timer::now() - start < duration / 10;) operation();
  std::vector<double> times_us;
  double thought = 0;
  auto start = Timer::now();
  while (Timer::now() - start < duration || times_us.size() < 10) {
    auto begin = Timer::now();
    operation();
    times_us.push_back(SecondsSince(begin) * 1e6);
    if (repeat.think.count() == 0) continue;
    begin = Timer::now();
    Think(repeat.think);
    thought += SecondsSince(begin);
  }
  double rate = static_cast<double>(times_us.size()) / (SecondsSince(start) - thought);
  Add({.name = name,
       .value = rate,
       .unit = unit,
       .p50_us = Percentile(times_us, 0.5),
       .p99_us = Percentile(times_us, 0.99),
       .n = times_us.size()});
}

void Report::Throughput(const std::string& name, const std::string& unit, int times,
                        const std::function<double()>& operation) {
  if (!Wants({name})) return;
  std::vector<double> rates;
  for (int i = 0; i < Rounds(times); ++i) {
    auto start = Timer::now();
    double amount = operation();
    rates.push_back(amount / SecondsSince(start));
  }
  Add({.name = name, .value = Median(rates), .unit = unit, .n = rates.size()});
}

void Report::Milliseconds(const std::string& name, int times,
                          const std::function<void()>& operation) {
  if (!Wants({name})) return;
  operation();
  std::vector<double> times_ms;
  for (int i = 0; i < Rounds(times); ++i) {
    auto start = Timer::now();
    operation();
    times_ms.push_back(SecondsSince(start) * 1e3);
  }
  Add({.name = name, .value = Median(times_ms), .unit = "ms", .n = times_ms.size()});
}

}  // namespace kiln::cli::microbenchmark
