// Joining a head, or starting one that ends with this program.
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "client/cpp/src/join.h"
#include "client/cpp/src/own_head.h"
#include "common/peer/peer.h"
#include "common/session_dir.h"
#include "kiln/error.h"
#include "kiln/session.h"
#include "worker/peer_runtime.h"
#include "worker/run_worker.h"

extern char** environ;

namespace kiln {
namespace {

// How the head re-runs this program as a worker.
v1::Program ThisProgram(int argc, char** argv) {
  v1::Program program;
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length > 0) program.set_executable(path, static_cast<size_t>(length));
  for (int i = 0; i < argc; ++i) program.add_args(argv[i]);
  for (char** variable = environ; *variable; ++variable) program.add_env(*variable);
  if (char* here = getcwd(nullptr, 0)) {
    program.set_working_dir(here);
    free(here);
  }
  return program;
}

bool IsSet(const char* variable) {
  const char* value = std::getenv(variable);
  return value && *value;
}

}  // namespace

Joined Join(const ConnectOptions& options, v1::Hello hello) {
  bool named = !options.address.empty() || !options.session_dir.empty() || IsSet("KILN_ADDRESS") ||
               IsSet("KILN_SESSION_DIR");
  Joined joined;
  Result<Endpoint> endpoint = ResolveEndpoint(options.address, options.session_dir);
  const bool none = !endpoint.ok() && endpoint.status().code() == Code::kNotFound;
  if (options.new_head || (none && !named && options.start_head)) {
    Result<std::shared_ptr<OwnHead>> started = OwnHead::Start(options);
    if (!started.ok()) throw ConnectionError(started.status().message());
    joined.own_head = std::move(*started);
    endpoint = ResolveEndpoint(joined.own_head->info().address, "");
  }
  if (!endpoint.ok()) throw ConnectionError(endpoint.status().message());

  hello.set_kind(v1::Hello::KIND_DRIVER);
  Result<std::shared_ptr<peer::Peer>> peer =
      peer::Peer::Connect(*endpoint, std::move(hello), nullptr);
  if (!peer.ok()) throw ConnectionError(peer.status().message());
  joined.peer = std::move(*peer);
  return joined;
}

Session Connect(int argc, char** argv, ConnectOptions options) {
  if (worker::IsWorkerProcess()) worker::RunWorker();
  v1::Hello hello;
  hello.set_language("cpp");
  *hello.mutable_program() = ThisProgram(argc, argv);
  Joined joined = Join(options, std::move(hello));
  return Session(worker::MakeRuntime(std::move(joined.peer), std::move(joined.own_head)));
}

}  // namespace kiln
