#include "example.h"

#include <cstdio>
#include <cstdlib>

#include "tasks.h"

namespace examples {

Arguments ParseArguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      std::printf(
          "usage: %s [--small] [PATH...]\n  --small  little work, no figures worth reading\n",
          argv[0]);
      std::exit(0);
    } else if (argument == "--small") {
      arguments.small = true;
    } else if (argument.starts_with("-")) {
      std::fprintf(stderr, "%s: unknown option %s; the only one is --small\n", argv[0], argv[i]);
      std::exit(2);
    } else {
      arguments.paths.push_back(argument);
    }
  }
  return arguments;
}

kiln::Session Start(int argc, char** argv) try {
  auto start = std::chrono::steady_clock::now();
  kiln::Session session = kiln::Connect(argc, argv);
  std::vector<kiln::Ref<void>> first;
  for (int i = 0; i < session.num_cpus(); ++i) first.push_back(session.Submit(Noop));
  session.Get(first);
  std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  std::printf("connected to %s with %g CPUs, first results after %.0f ms\n",
              session.address().c_str(), session.num_cpus(), elapsed.count());
  return session;
} catch (const kiln::ConnectionError& error) {
  std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
  std::exit(1);
}

int Conclude(const std::string& name, bool ok, double serial_ms, double kiln_ms) {
  std::printf("RESULT %s %s serial_ms=%.1f kiln_ms=%.1f speedup=%.2f\n", name.c_str(),
              ok ? "ok" : "WRONG", serial_ms, kiln_ms, serial_ms / kiln_ms);
  return ok ? 0 : 1;
}

}  // namespace examples
