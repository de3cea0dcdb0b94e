// A fork server for process tests. Its workers do what their setup says:
//
//   exit N     at once
//   kill N     kill themselves
//   signals    say how SIGUSR1, which the server handles, and SIGPIPE, which it ignores, are
//              handled, and whether any signal is blocked
//   forks      fork two children that go on without them, say "up" and go on
//   anything   is run by a shell in their place
//
// With an argument it is a broken one: "fails" writes a reason and ends, "hangs" never gets ready.
// With KILN_FORK_HOST_CALLS it tells on standard output of each call back.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/fork_server.h"

namespace {

[[noreturn]] void RunWorker(const std::string& setup) {
  int number = 0;
  if (std::sscanf(setup.c_str(), "exit %d", &number) == 1) std::exit(number);
  if (std::sscanf(setup.c_str(), "kill %d", &number) == 1) kill(getpid(), number);
  if (setup == "signals") {
    struct sigaction handled, ignored;
    sigset_t blocked;
    sigaction(SIGUSR1, nullptr, &handled);
    sigaction(SIGPIPE, nullptr, &ignored);
    sigprocmask(SIG_BLOCK, nullptr, &blocked);
    std::printf("%d %d %d\n", handled.sa_handler == SIG_DFL, ignored.sa_handler == SIG_IGN,
                sigisemptyset(&blocked));
    std::exit(0);
  }
  if (setup == "forks") {
    for (int i = 0; i < 2; ++i) {
      if (fork() == 0) {
        while (true) pause();
      }
    }
    std::printf("up\n");
    std::fflush(stdout);
    while (true) pause();
  }
  execl("/bin/sh", "sh", "-c", setup.c_str(), nullptr);
  std::exit(127);
}

void Say(const char* what) {
  if (std::getenv("KILN_FORK_HOST_CALLS") == nullptr) return;
  std::printf("%s %s\n", what, "call");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "fails") == 0) {
    std::fprintf(stderr, "ModuleNotFoundError: No module named 'numpie'\n");
    return 1;
  }
  if (argc > 1) {
    while (true) pause();
  }
  auto server = kiln::ForkServer::FromEnvironment();
  if (!server) return 2;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGUSR1, [](int) {});     // as a runtime does; workers must not keep it
  std::printf("not written yet");  // workers must not write it either
  kiln::ForkServer::Callbacks callbacks;
  callbacks.before_fork = [] { Say("before"); };
  callbacks.after_fork_in_parent = [] { Say("parent"); };
  callbacks.after_fork_in_child = [] { Say("child"); };
  const auto order = server->Serve(callbacks);
  if (!order) return 0;
  kiln::ApplyEnvironment(*order);
  RunWorker(order->setup);
}
