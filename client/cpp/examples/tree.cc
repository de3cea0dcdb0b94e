// How to aggregate: adding values to one sum after the other makes every task wait for the one
// before; adding them in pairs, and the sums in pairs, lets half of all tasks run at once.
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <vector>

#include "example.h"
#include "tasks.h"

namespace {

using Sums = std::vector<kiln::Ref<int64_t>>;

struct Case {
  int values;
  int64_t work;  // additions in each step
};

Sums PutValues(kiln::Session& session, int count) {
  Sums values;
  for (int i = 0; i < count; ++i) values.push_back(session.Put(int64_t{i}));
  return values;
}

int64_t SumInChain(kiln::Session& session, const Sums& values, int64_t work) {
  kiln::Ref<int64_t> sum = values[0];
  for (size_t i = 1; i < values.size(); ++i) {
    sum = session.Submit(examples::Combine, sum, values[i], work);
  }
  return session.Get(sum);
}

// Requires: the number of values is a power of two.
int64_t SumInTree(kiln::Session& session, Sums values, int64_t work) {
  while (values.size() > 1) {
    Sums sums;
    for (size_t i = 0; i < values.size(); i += 2) {
      sums.push_back(session.Submit(examples::Combine, values[i], values[i + 1], work));
    }
    values = std::move(sums);
  }
  return session.Get(values[0]);
}

int64_t SumSerially(int count, int64_t work) {
  int64_t sum = 0;
  for (int i = 1; i < count; ++i) sum = examples::Combine(sum, i, work);
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = examples::ParseArguments(argc, argv);
  const int64_t scale = arguments.small ? 100 : 1;
  kiln::Session session = examples::Start(argc, argv);

  bool ok = true;
  double serial_ms = 0, tree_ms = 0;
  for (Case c : {Case{8, 100'000'000 / scale}, Case{1'024, 2'000'000 / scale}}) {
    Sums values = PutValues(session, c.values);
    int64_t serial_sum = 0, chain_sum = 0, tree_sum = 0;
    double serial = examples::Milliseconds([&] { serial_sum = SumSerially(c.values, c.work); });
    double chain = examples::Milliseconds([&] { chain_sum = SumInChain(session, values, c.work); });
    double tree = examples::Milliseconds([&] { tree_sum = SumInTree(session, values, c.work); });
    std::printf("%d values: serial %.1f ms, chain %.1f ms, tree %.1f ms\n", c.values, serial, chain,
                tree);
    ok = ok && chain_sum == serial_sum && tree_sum == serial_sum;
    serial_ms += serial;
    tree_ms += tree;
  }
  return examples::Conclude("tree", ok, serial_ms, tree_ms);
}
