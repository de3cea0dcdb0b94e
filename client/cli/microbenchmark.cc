#include "client/cli/commands.h"
namespace kiln::cli { int RunMicrobenchmark(const MicrobenchmarkOptions&) { return 1; } }
