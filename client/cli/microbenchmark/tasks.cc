// One task at a time, batches, and several drivers at once.
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "client/cli/microbenchmark/bench_head.h"
#include "client/cli/microbenchmark/part_process.h"
#include "client/cli/microbenchmark/parts.h"

namespace kiln::cli::microbenchmark {
namespace {

int Noop() {
  return 0;
}
KILN_TASK(Noop);

constexpr int kBatch = 10'000;  // tasks submitted before the first is waited for
constexpr int kDrivers = 4;
constexpr auto kDriving = std::chrono::milliseconds(2000);

double RunBatch(const Session& session) {
  std::vector<Ref<int>> refs;
  refs.reserve(kBatch);
  for (int i = 0; i < kBatch; ++i) refs.push_back(session.Submit(Noop));
  session.Get(refs);
  return kBatch;
}

}  // namespace

Status MeasureTasks(Report* report) {
  Result<BenchSession> bench = BenchSession::Open(report);
  if (!bench.ok()) return bench.status();
  const Session& session = bench->session;
  auto call = [&] { session.Get(session.Submit(Noop)); };
  report->Rate("single client tasks sync", "tasks/s", call);
  report->Rate("single client tasks sync, think 20 us", "tasks/s", call,
               {.think = std::chrono::microseconds(20)});
  if (report->Wants({"single client tasks async"})) RunBatch(session);  // to warm up
  report->Throughput("single client tasks async", "tasks/s", 15, [&] { return RunBatch(session); });
  return Status();
}

// Each driver prints a line when it is warm, begins when it reads one, and prints the tasks it got
// done per second.
Status MeasureDrivers(Report* report) {
  Result<BenchSession> bench = BenchSession::Open(report);
  if (!bench.ok()) return bench.status();
  std::vector<PartProcess> drivers;
  for (int i = 0; i < kDrivers; ++i) {
    Result<PartProcess> driver =
        PartProcess::Start({.part = "driver",
                            .quick = report->quick(),
                            .environment = {"KILN_ADDRESS=" + bench->head->info().address}});
    if (!driver.ok()) return driver.status();
    drivers.push_back(std::move(*driver));
  }
  for (PartProcess& driver : drivers) {
    if (!driver.ReadLine(nullptr)) return driver.Wait();
  }
  Result<std::string> transport = bench->head->Transport();  // theirs too
  if (!transport.ok()) return transport.status();
  for (PartProcess& driver : drivers) driver.WriteLine("go");
  double total = 0;
  for (PartProcess& driver : drivers) {
    std::optional<std::string> rate = driver.ReadLine(nullptr);
    if (!rate) return driver.Wait();
    total += std::stod(*rate);
  }
  // None leaves before all have read their figures: its end would be the others' work.
  for (PartProcess& driver : drivers) driver.WriteLine("end");
  for (PartProcess& driver : drivers) {
    if (Status status = driver.Wait(); !status.ok()) return status;
  }
  report->Add(
      {.name = "multi client tasks async", .value = total, .unit = "tasks/s", .n = kDrivers});
  return Status();
}

Status RunDriver(Report* report) {
  static char program[] = "kiln", command[] = "microbenchmark";
  static char* argv[] = {program, command, nullptr};
  Session session = Connect(2, argv);
  for (int i = 0; i < 3; ++i) RunBatch(session);
  std::string line;
  std::cout << "ready" << std::endl;
  std::getline(std::cin, line);
  const auto driving = report->quick() ? kDriving / 10 : kDriving;
  double done = 0;
  auto start = Timer::now();
  while (Timer::now() - start < driving) done += RunBatch(session);
  std::cout << done / SecondsSince(start) << std::endl;
  std::getline(std::cin, line);
  return Status();
}

}  // namespace kiln::cli::microbenchmark
