// Many equal tasks that only compute: 500 times the sum of 0 .. 4,000,000, against one after the
// other.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "example.h"
#include "tasks.h"

int main(int argc, char** argv) {
  const auto arguments = examples::ParseArguments(argc, argv);
  const int tasks = arguments.small ? 20 : 500;
  const int64_t end = arguments.small ? 100'000 : 4'000'000;
  kiln::Session session = examples::Start(argc, argv);
  std::printf("%d times the sum of 0 .. %lld\n", tasks, static_cast<long long>(end));

  std::vector<int64_t> expected, sums;
  double serial_ms = examples::Milliseconds([&] {
    for (int i = 0; i < tasks; ++i) expected.push_back(examples::SumRange(0, end));
  });
  double kiln_ms = examples::Milliseconds([&] {
    std::vector<kiln::Ref<int64_t>> refs;
    for (int i = 0; i < tasks; ++i) refs.push_back(session.Submit(examples::SumRange, 0, end));
    sums = session.Get(refs);
  });
  return examples::Conclude("cpu_bound", sums == expected, serial_ms, kiln_ms);
}
