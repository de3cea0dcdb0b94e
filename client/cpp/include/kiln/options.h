// Options of tasks, actors, calls and connections.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
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

// How an actor lives. Use with Session::With:
//   session.With(kiln::ActorOptions{.name = "scores", .max_restarts = 3}).Create<Counter>(0);
struct ActorOptions {
  // Session::GetActor finds it by this, from any program; empty: none.
  std::string name = {};
  // Where the name is unique; empty: the default one.
  std::string namespace_ = {};
  // It outlives the session that makes it, until it is killed or exits.
  bool detached = false;
  // If the name is taken, the handle is on the actor that has it, and nothing is made.
  bool get_if_exists = false;
  // CPUs held while it lives; fractions down to 0.0001. Without a value: 1 while the constructor
  // runs, then 0.
  std::optional<double> num_cpus = {};
  // Logical memory in bytes held while it lives.
  uint64_t memory = 0;
  // Custom resources held while it lives, as given to `kiln start --resources`.
  std::map<std::string, double> resources = {};
  // Is started anew, by its constructor with the same arguments, this often when its process dies;
  // -1 without end, 0 never.
  int max_restarts = 0;
  // Calls run again this often after a restart; -1 without end. 0: a call runs at most once.
  int max_task_retries = 0;
  // Calls that may run at the same time, each on a thread of its own.
  uint32_t max_concurrency = 1;
  // Unfinished calls that this session may have; one more throws PendingCallsLimitError. 0: no
  // bound. With a bound, every call asks the head first.
  uint32_t max_pending_calls = 0;
  // Groups of calls with a number of threads of their own, see CallOptions::concurrency_group.
  std::map<std::string, uint32_t> concurrency_groups = {};
};

// How a method of an actor is called. Use with ActorHandle::With:
//   counter.With({.max_task_retries = 2}).Call(&Counter::Increment, 5);
struct CallOptions {
  // Shown by `kiln list tasks` and in errors; "Class.Method" when empty.
  std::string name = {};
  // Instead of ActorOptions::max_task_retries.
  std::optional<int> max_task_retries = {};
  // Runs again, before the next call, also when it throws; counts against max_task_retries.
  bool retry_exceptions = false;
  // One of ActorOptions::concurrency_groups; empty: the default one, of max_concurrency threads.
  std::string concurrency_group = {};
  // For CallMany: number of results. Other calls ignore it.
  uint32_t num_returns = 1;
  // False: a call throws ResourceExhaustedError instead of waiting when the head's queue is full.
  bool block = true;

  bool operator==(const CallOptions&) const = default;
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
