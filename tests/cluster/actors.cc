#include "tests/cluster/actors.h"

#include <signal.h>
#include <unistd.h>

#include <stdexcept>

#include "kiln/kiln.h"
#include "tests/cluster/files.h"

namespace kiln::testing {

KILN_ACTOR(Counter, &Counter::Add, &Counter::Value, &Counter::Pid, &Counter::Restarts,
           &Counter::AddAndDie, &Counter::AddInAttempt, &Counter::AddIfAttempt, &Counter::Exit,
           &Counter::Gate);

Counter::Counter(const std::string& begun, std::string ended) : ended_(std::move(ended)) {
  Append(begun, "x");
}

Counter::~Counter() {
  if (!ended_.empty()) Append(ended_, "x");
}

int Counter::Pid() const {
  return getpid();
}

uint32_t Counter::Restarts() const {
  return ActorRestarts();
}

int Counter::AddAndDie(const std::string& file, int signal) {
  Append(file, "x");
  if (signal != 0) raise(signal);
  return ++count_;
}

int Counter::AddInAttempt(const std::string& file, size_t attempts) {
  Append(file, "x");
  if (SizeOf(file) < attempts) raise(SIGKILL);
  return ++count_;
}

int Counter::AddIfAttempt(const std::string& file, size_t attempts) {
  Append(file, "x");
  if (SizeOf(file) < attempts) throw std::runtime_error("not yet");
  return ++count_;
}

void Counter::Exit() {
  ExitActor();
}

bool Counter::Gate(const std::string& begun, const std::string& gate) {
  Append(begun, "x");
  while (!WaitUntil([&] { return Exists(gate) || Cancelled(); }, kDeadline)) {
  }
  return !Cancelled();
}

}  // namespace kiln::testing
