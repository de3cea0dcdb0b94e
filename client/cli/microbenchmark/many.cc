// Many arguments, results and refs in one call.
#include <algorithm>
#include <string>
#include <vector>

#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/parts.h"
#include "kiln/detail/call.h"

namespace kiln::cli::microbenchmark {
namespace {

constexpr uint32_t kArgs = 10'000;
constexpr uint32_t kReturns = 3'000;
constexpr uint32_t kGets = 10'000;

int One() {
  return 1;
}
KILN_TASK(One);

std::vector<int> Numbers(int count) {
  return std::vector<int>(static_cast<size_t>(count), 1);
}
KILN_TASK(Numbers);

// What a function with so many parameters would be called by; C++ has no way to write it.
const char kSumAll[] = "kiln::cli::microbenchmark::SumAll";
int64_t sum_all_tag = 0;
std::vector<detail::PartsPtr> SumAll(void*, std::span<const detail::Incoming> arguments,
                                     uint32_t num_returns, bool each) {
  std::shared_ptr<detail::Runtime> runtime = detail::CurrentTaskRuntime();
  int64_t sum = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    sum += detail::DecodeArgument<int>(arguments[i], i, runtime);
  }
  return detail::EncodeResult<int64_t>(std::move(sum), num_returns, each);
}
[[maybe_unused]] const bool kSumAllRegistered =
    detail::RegisterTask(kSumAll, &sum_all_tag, &SumAll, "int...");

std::vector<Ref<int>> SubmitOnes(const Session& session, uint32_t count) {
  std::vector<Ref<int>> refs;
  refs.reserve(count);
  for (uint32_t i = 0; i < count; ++i) refs.push_back(session.Submit(One));
  return refs;
}

int64_t CallSumAll(const Session& session, const std::vector<Ref<int>>& refs) {
  std::vector<detail::Argument> arguments;
  arguments.reserve(refs.size());
  for (const Ref<int>& ref : refs) arguments.push_back({ref.handle()->id(), nullptr});
  const std::shared_ptr<detail::Runtime>& runtime = session.runtime();
  const detail::FunctionName& name = detail::NameOf(&sum_all_tag);
  detail::Id id = runtime->Submit(name.library, name.function, {}, std::move(arguments));
  return session.Get(Ref<int64_t>(std::make_shared<const detail::RefHandle>(runtime, id)));
}

void MeasureArgs(Report* report, const Session& session) {
  const std::string name = "10,000 args to one task";
  if (!report->Wants({name})) return;
  std::vector<Ref<int>> refs = SubmitOnes(session, kArgs);
  session.Wait(refs, refs.size());
  report->Milliseconds(name, 10, [&] {
    if (CallSumAll(session, refs) != kArgs) throw std::logic_error("wrong sum of the arguments");
  });
}

void MeasureReturns(Report* report, const Session& session) {
  Submitter many = session.With({.num_returns = kReturns});
  report->Milliseconds("3,000 returns of one task", 10,
                       [&] { session.Get(many.SubmitMany(Numbers, int{kReturns})); });
}

// Of objects that other processes made and this one has not seen.
void MeasureGets(Report* report, const Session& session) {
  const std::string name = "10,000 gets in one call";
  if (!report->Wants({name})) return;
  std::vector<double> times_ms;
  for (int round = 0; round < report->Rounds(10) + 1; ++round) {
    std::vector<Ref<int>> refs = SubmitOnes(session, kGets);
    session.Wait(refs, refs.size());
    auto start = Timer::now();
    session.Get(refs);
    times_ms.push_back(SecondsSince(start) * 1e3);
  }
  times_ms.erase(times_ms.begin());  // to warm up
  report->Add({.name = name, .value = Median(times_ms), .unit = "ms", .n = times_ms.size()});
}

void WaitUntilAllDone(const Session& session, uint32_t count) {
  std::vector<Ref<int>> left = SubmitOnes(session, count);
  while (!left.empty()) left = session.Wait(std::move(left), 1).not_ready;
}

}  // namespace

Status MeasureMany(Report* report) {
  Result<BenchSession> bench = BenchSession::Open(report);
  if (!bench.ok()) return bench.status();
  const Session& session = bench->session;
  MeasureArgs(report, session);
  MeasureReturns(report, session);
  MeasureGets(report, session);
  report->Rate("single client wait 1k refs", "rounds/s", [&] { WaitUntilAllDone(session, 1'000); },
               {.duration = std::chrono::milliseconds(1000)});
  report->Milliseconds("wait 1k refs until all done", 10,
                       [&] { WaitUntilAllDone(session, 1'000); });
  report->Milliseconds("wait 10k refs until all done", 3,
                       [&] { WaitUntilAllDone(session, 10'000); });
  return Status();
}

}  // namespace kiln::cli::microbenchmark
