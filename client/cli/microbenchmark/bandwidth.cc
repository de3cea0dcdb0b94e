// Putting a gigabyte from touched memory into the store: into pages used before and into new ones.
#include <string>
#include <vector>

#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/parts.h"

namespace kiln::cli::microbenchmark {
namespace {

constexpr size_t kDoubles = 125'000'000;
constexpr double kGigabytes = 1.0;
// Room for the one being put and the one before, whose pages may not be free yet.
constexpr char kStore[] = "--object-store-memory 2600MB";

double PutOnce(const Session& session, const std::vector<double>& source) {
  auto start = Timer::now();
  session.Put(source);
  return kGigabytes / SecondsSince(start);
}

// Pages of the head's own choice.
Status MeasurePut(Report* report, const std::vector<double>& source) {
  const std::string name = "single client put gigabytes";
  if (!report->Wants({name})) return Status();
  Result<BenchSession> bench = BenchSession::Open(report, kStore);
  if (!bench.ok()) return bench.status();
  for (int i = 0; i < 3; ++i) PutOnce(bench->session, source);
  report->Throughput(name, "GB/s", 10, [&] {
    bench->session.Put(source);
    return kGigabytes;
  });
  return Status();
}

// The first put into a head that has just been started, and those after it.
Status MeasurePages(Report* report, const std::vector<double>& source, const std::string& pages) {
  const std::string warm = "put 1 GB, warm store, " + pages + " pages";
  const std::string cold = "put 1 GB, cold store, " + pages + " pages";
  if (!report->Wants({warm, cold})) return Status();
  std::vector<double> warm_rates, cold_rates;
  for (int round = 0; round < report->Rounds(3); ++round) {
    Result<BenchSession> bench =
        BenchSession::Open(report, std::string(kStore) + " --store-pages " + pages);
    if (!bench.ok()) {
      report->Note("nothing is put into " + pages + " pages: " + bench.status().message());
      return Status();
    }
    cold_rates.push_back(PutOnce(bench->session, source));
    for (int i = 0; i < 2; ++i) PutOnce(bench->session, source);
    for (int i = 0; i < 3; ++i) warm_rates.push_back(PutOnce(bench->session, source));
  }
  report->Add({.name = warm, .value = Median(warm_rates), .unit = "GB/s", .n = warm_rates.size()});
  report->Add({.name = cold, .value = Median(cold_rates), .unit = "GB/s", .n = cold_rates.size()});
  return Status();
}

}  // namespace

Status MeasureBandwidth(Report* report) {
  std::vector<double> source(kDoubles, 1.0);
  if (Status status = MeasurePut(report, source); !status.ok()) return status;
  for (const char* pages : {"4k", "huge"}) {
    if (Status status = MeasurePages(report, source, pages); !status.ok()) return status;
  }
  return Status();
}

}  // namespace kiln::cli::microbenchmark
