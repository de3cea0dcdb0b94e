#include "client/cli/microbenchmark/report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace kiln::cli::microbenchmark {
namespace {

double Percentile(std::vector<double>& sorted, double share) {
  size_t index = static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[index];
}

}  // namespace

Report::Report(bool json, const std::string& filter)
    : json_(json),
      filter_(filter.empty() ? std::nullopt : std::make_optional(std::regex(filter))) {}

bool Report::Wants(const std::string& name) const {
  return !filter_ || std::regex_search(name, *filter_);
}

void Report::Add(const Figure& figure) {
  if (json_) {
    nlohmann::ordered_json line;
    line["name"] = figure.name;
    line["transport"] = nullptr;
    if (!figure.transport.empty()) line["transport"] = figure.transport;
    line["value"] = figure.value;
    line["unit"] = figure.unit;
    line["p50_us"] = nullptr;
    line["p99_us"] = nullptr;
    if (figure.p50_us) line["p50_us"] = *figure.p50_us;
    if (figure.p99_us) line["p99_us"] = *figure.p99_us;
    line["n"] = figure.n;
    std::printf("%s\n", line.dump().c_str());
  } else {
    std::printf("%-36s %-5s %14.6g %-10s", figure.name.c_str(), figure.transport.c_str(),
                figure.value, figure.unit.c_str());
    if (figure.p50_us) std::printf("  p50 %.1f us, p99 %.1f us", *figure.p50_us, *figure.p99_us);
    std::printf("\n");
  }
  std::fflush(stdout);
}

void Report::Rate(const std::string& name, const std::string& transport, const std::string& unit,
                  const std::function<void()>& operation, std::chrono::milliseconds duration) {
  if (!Wants(name)) return;
  for (auto start = Timer::now(); Timer::now() - start < duration / 10;) operation();
  std::vector<double> times_us;
  auto start = Timer::now();
  while (Timer::now() - start < duration || times_us.size() < 10) {
    auto begin = Timer::now();
    operation();
    times_us.push_back(SecondsSince(begin) * 1e6);
  }
  double rate = static_cast<double>(times_us.size()) / SecondsSince(start);
  std::sort(times_us.begin(), times_us.end());
  Add({name, transport, rate, unit, Percentile(times_us, 0.5), Percentile(times_us, 0.99),
       times_us.size()});
}

void Report::Throughput(const std::string& name, const std::string& transport,
                        const std::string& unit, int times,
                        const std::function<double()>& operation) {
  if (!Wants(name)) return;
  std::vector<double> rates;
  for (int i = 0; i < times; ++i) {
    auto start = Timer::now();
    double amount = operation();
    rates.push_back(amount / SecondsSince(start));
  }
  std::sort(rates.begin(), rates.end());
  Add({name, transport, Percentile(rates, 0.5), unit, std::nullopt, std::nullopt,
       static_cast<size_t>(times)});
}

}  // namespace kiln::cli::microbenchmark
