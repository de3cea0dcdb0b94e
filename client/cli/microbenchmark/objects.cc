// Small objects, and getting large ones.
#include <utility>
#include <vector>

#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/parts.h"

namespace kiln::cli::microbenchmark {
namespace {

constexpr Report::Repeat kShort = {.duration = std::chrono::milliseconds(500)};

}  // namespace

Status MeasureObjects(Report* report) {
  const std::pair<const char*, size_t> kSizes[] = {
      {"get of 1 KiB", 128}, {"get of 1 MiB", size_t{1} << 17}, {"get of 1 GiB", size_t{1} << 27}};
  Result<BenchSession> bench = BenchSession::Open(report);
  if (!bench.ok()) return bench.status();
  const Session& session = bench->session;
  Ref<int> small = session.Put(0);
  report->Rate(
      "single client get calls", "calls/s", [&] { session.Get(small); }, kShort);
  report->Rate("single client put calls", "calls/s", [&] { session.Put(0); },
               {.duration = std::chrono::milliseconds(1000)});
  for (auto [name, size] : kSizes) {
    if (!report->Wants({name})) continue;
    auto ref = session.Put(session.Create<double>(size));
    report->Rate(
        name, "calls/s", [&] { session.Get(ref); }, kShort);
  }
  return Status();
}

}  // namespace kiln::cli::microbenchmark
