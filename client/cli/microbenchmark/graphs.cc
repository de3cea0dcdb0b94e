// Tasks that take the results of others.
#include <stdexcept>
#include <vector>

#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/parts.h"

namespace kiln::cli::microbenchmark {
namespace {

constexpr int kChain = 100;
constexpr int kLeaves = 1'024;

int Increment(int value) {
  return value + 1;
}
KILN_TASK(Increment);

int Sum(int a, int b) {
  return a + b;
}
KILN_TASK(Sum);

void RunChain(const Session& session) {
  Ref<int> last = session.Submit(Increment, 0);
  for (int i = 1; i < kChain; ++i) last = session.Submit(Increment, last);
  if (session.Get(last) != kChain) throw std::logic_error("wrong end of the chain");
}

// The leaves are tasks, and every sum of two of them.
void RunTree(const Session& session) {
  std::vector<Ref<int>> row;
  for (int i = 0; i < kLeaves; ++i) row.push_back(session.Submit(Increment, 0));
  while (row.size() > 1) {
    std::vector<Ref<int>> sums;
    for (size_t i = 0; i < row.size(); i += 2) {
      sums.push_back(session.Submit(Sum, row[i], row[i + 1]));
    }
    row = std::move(sums);
  }
  if (session.Get(row[0]) != kLeaves) throw std::logic_error("wrong sum of the tree");
}

}  // namespace

Status MeasureGraphs(Report* report) {
  Result<BenchSession> bench = BenchSession::Open(report);
  if (!bench.ok()) return bench.status();
  report->Milliseconds("chain of 100 tasks", 20, [&] { RunChain(bench->session); });
  report->Milliseconds("tree of 1,024 tasks", 20, [&] { RunTree(bench->session); });
  return Status();
}

}  // namespace kiln::cli::microbenchmark
