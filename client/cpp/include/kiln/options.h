// Options of tasks and connections.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace kiln {

// How a task is run; each field has Ray's default. Use with designated initializers:
//   session.With({.num_cpus = 2, .max_retries = 0}).Submit(Add, 1, 2);
struct TaskOptions {
  // CPUs held while it runs; fractions down to 0.0001. Logical: nothing stops a task from using
  // more.
  double num_cpus = 1;
  // Logical memory in bytes held while it runs.
  uint64_t memory = 0;
  // Custom resources, as given to `kiln start --resources`.
  std::map<std::string, double> resources = {};
  // Runs again this often when its worker dies; -1 without end, 0 never.
  int max_retries = 3;
  // Runs again also when it throws; counts against max_retries.
  bool retry_exceptions = false;
  // Shown by `kiln list tasks` and in errors; the function's name when empty.
  std::string name = {};
  // Longest run time of one attempt; 0: none. A task over it is asked to stop, then killed, and
  // its result is TaskTimeoutError.
  std::chrono::milliseconds timeout{0};
  // Higher runs earlier.
  int priority = 0;
  // The task and its results outlive this session: until `kiln release REF`.
  bool detached = false;
  // For SubmitMany: number of results. Other calls ignore it.
  uint32_t num_returns = 1;
  // False: Submit throws ResourceExhaustedError instead of waiting when the head's queue is full.
  bool block = true;

  bool operator==(const TaskOptions&) const = default;
  auto operator<=>(const TaskOptions&) const = default;
};

// How to find the head. Empty fields fall back to the environment, then to the user's own head.
struct ConnectOptions {
  // "unix:PATH" or "HOST:PORT"; else KILN_ADDRESS.
  std::string address = {};
  // Session directory of the head; else KILN_SESSION_DIR, then the user's default one.
  std::string session_dir = {};
  // Start a head that ends with this program when none is running at the default place.
  bool start_head = true;
  // Start one that ends with this program also when another runs.
  bool new_head = false;
  // CPUs of a head started here; 0: all.
  int num_cpus = 0;
  // Store size of a head started here, bytes; 0: 30 % of the available memory.
  uint64_t object_store_memory = 0;
  // Custom resources of a head started here, by name.
  std::map<std::string, double> resources = {};
};

}  // namespace kiln
