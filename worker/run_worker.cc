#include "worker/run_worker.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "common/limits.h"
#include "common/peer/peer.h"
#include "common/session_dir.h"
#include "worker/executor.h"
#include "worker/peer_runtime.h"

namespace kiln::worker {
namespace {

constexpr const char* kWorkerVariable = "KILN_WORKER";

// Runs the executor on a thread with limits::kTaskStackBytes of stack: nested tasks need it.
Status RunTasks(Executor* executor) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, limits::kTaskStackBytes);
  pthread_t thread;
  int failed = pthread_create(
      &thread, &attributes,
      [](void* self) -> void* {
        static_cast<Executor*>(self)->Run();
        return nullptr;
      },
      executor);
  pthread_attr_destroy(&attributes);
  if (failed != 0) {
    return Status(Code::kResourceExhausted,
                  std::string("cannot start the task thread: ") + strerror(failed));
  }
  pthread_join(thread, nullptr);
  return Status();
}

}  // namespace

bool IsWorkerProcess() {
  return std::getenv(kWorkerVariable) != nullptr;
}

void RunWorker(const WorkerOptions& options) {
  std::setvbuf(stdout, nullptr, _IOLBF,
               0);  // a pipe; what a task prints is to be seen while it runs
  v1::Hello hello;
  hello.set_kind(v1::Hello::KIND_WORKER);
  hello.set_language(options.language);
  hello.set_worker_id(std::strtoull(std::getenv(kWorkerVariable), nullptr, 10));
  unsetenv(kWorkerVariable);  // programs that tasks start are drivers of their own

  Status status;
  Executor executor(options.functions);
  Result<Endpoint> endpoint = ResolveEndpoint("", "");
  if (endpoint.ok()) {
    Result<std::shared_ptr<peer::Peer>> peer =
        peer::Peer::Connect(*endpoint, std::move(hello), &executor);
    if (peer.ok()) {
      std::shared_ptr<detail::Runtime> runtime = MakeRuntime(*peer);
      if (options.on_connected) options.on_connected(runtime);
      executor.Start(std::move(runtime));
      if (options.on_this_thread) {
        executor.Run();
      } else {
        status = RunTasks(&executor);
      }
    } else {
      status = peer.status();
    }
  } else {
    status = endpoint.status();
  }
  if (!status.ok()) std::fprintf(stderr, "kiln worker: %s\n", status.message().c_str());
  std::fflush(nullptr);
  // Values and threads of the user's functions may outlive main in any order: leave without
  // destructors, as the head would have ended us without them too.
  _exit(status.ok() ? 0 : 1);
}

}  // namespace kiln::worker
