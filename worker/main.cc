// kiln-worker: runs the functions of task libraries for the head that started it.
#include <cstdio>

#include "worker/run_worker.h"

int main() {
  if (!kiln::worker::IsWorkerProcess()) {
    std::fprintf(stderr,
                 "kiln-worker is started by a kiln head (`kiln start --head`), not by hand.\n"
                 "To run a task, use `kiln run LIBRARY.so:FUNCTION [JSON ARGS...]`.\n");
    return 2;
  }
  kiln::worker::RunWorker();
}
