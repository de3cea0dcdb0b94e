// Putting and getting objects.
#include <vector>

#include "client/cli/microbenchmark/suites.h"

namespace kiln::cli::microbenchmark {

void MeasureObjects(Report* report, const Session& session, const std::string& transport) {
  Ref<int> small = session.Put(0);
  report->Rate("single client get calls", transport, "calls/s", [&] { session.Get(small); });
  report->Rate("single client put calls", transport, "calls/s", [&] { session.Put(0); });

  const std::string gigabytes = "single client put gigabytes";
  if (report->Wants(gigabytes)) {
    // From touched memory, into pages of the store that have been used before.
    std::vector<double> source(125'000'000, 1.0);
    session.Put(source);
    session.Put(source);
    report->Throughput(gigabytes, transport, "GB/s", 5, [&] {
      session.Put(source);
      return 1.0;
    });
  }
  for (auto [label, size] :
       {std::pair{"1 KiB", size_t{128}}, {"1 MiB", size_t{1} << 17}, {"1 GiB", size_t{1} << 27}}) {
    std::string name = std::string("get of ") + label;
    if (!report->Wants(name)) continue;
    auto array = session.Create<double>(size);
    auto ref = session.Put(std::move(array));
    report->Rate(
        name, transport, "calls/s", [&] { session.Get(ref); }, std::chrono::milliseconds(500));
  }
}

}  // namespace kiln::cli::microbenchmark
