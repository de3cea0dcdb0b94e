// Calls of actors one at a time and in batches; making them and ending them.
#include <vector>

#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/parts.h"

namespace kiln::cli::microbenchmark {
namespace {

class Counter {
 public:
  int Increment() { return ++count_; }

 private:
  int count_ = 0;
};
KILN_ACTOR(Counter, &Counter::Increment);

constexpr int kBatch = 10'000;  // calls submitted before the first is waited for
constexpr int kManyActors = 1'000;

double RunBatch(const Session& session, const ActorHandle<Counter>& counter) {
  std::vector<Ref<int>> refs;
  refs.reserve(kBatch);
  for (int i = 0; i < kBatch; ++i) refs.push_back(counter.Call(&Counter::Increment));
  session.Get(refs);
  return kBatch;
}

}  // namespace

Status MeasureActors(Report* report) {
  Result<BenchSession> bench = BenchSession::Open(report);
  if (!bench.ok()) return bench.status();
  const Session& session = bench->session;
  {
    ActorHandle<Counter> counter = session.Create<Counter>();
    session.Get(counter.Call(&Counter::Increment));
    auto call = [&] { session.Get(counter.Call(&Counter::Increment)); };
    report->Rate("1:1 actor calls sync", "calls/s", call);
    report->Rate("1:1 actor calls sync, think 20 us", "calls/s", call,
                 {.think = std::chrono::microseconds(20)});
    if (report->Wants({"1:1 actor calls async"})) RunBatch(session, counter);  // to warm up
    report->Throughput("1:1 actor calls async", "calls/s", 15,
                       [&] { return RunBatch(session, counter); });
  }
  report->Rate("actor created and its first answer", "actors/s",
               [&] { session.Get(session.Create<Counter>().Call(&Counter::Increment)); });
  report->Milliseconds("1,000 actors created, called, killed", 3, [&] {
    const int count = report->quick() ? kManyActors / 10 : kManyActors;
    std::vector<ActorHandle<Counter>> actors;
    std::vector<Ref<int>> refs;
    for (int i = 0; i < count; ++i) {
      actors.push_back(session.Create<Counter>());
      refs.push_back(actors.back().Call(&Counter::Increment));
    }
    session.Get(refs);
    for (const ActorHandle<Counter>& actor : actors) session.Kill(actor);
  });
  return Status();
}

}  // namespace kiln::cli::microbenchmark
