// Every command of `kiln`: its options as plain data and the function that carries it out.
//
// A command prints through the console and returns the exit code (exit_codes.h). One file each:
// start.cc, stop.cc, job.cc, run.cc, actor.cc, put.cc, get.cc, wait.cc, cancel.cc, release.cc,
// status.cc, list.cc, microbenchmark.cc. The command line is read by the files *_commands.cc alone.
//
// Thread: main's; nothing else runs when a command begins.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/console.h"
#include "common/clock.h"

namespace kiln::cli {

// Which head. Empty fields fall back to KILN_ADDRESS, KILN_SESSION_DIR, then the user's own head.
struct Connection {
  std::string address;
  std::string session_dir;
};

struct StartOptions {
  bool head = false;
  std::string session_dir;  // empty: KILN_SESSION_DIR, then the user's own
  int num_cpus = 0;         // 0: all this process may use
  std::string object_store_memory;
  std::string store_prefault;  // size or "0"; empty: the head decides
  std::string store_pages;     // "auto", "4k" or "huge"; empty: auto
  std::string resources;       // JSON object of numbers
  std::string listen;          // host:port; empty: no TCP
  std::string log_level;
  bool block = false;
};
int RunStart(Console& console, const StartOptions& options);

struct StopOptions {
  Connection connection;
  bool force = false;
  std::optional<milliseconds> grace;
};
int RunStop(Console& console, const StopOptions& options);

struct JobSubmitOptions {
  Connection connection;
  bool no_wait = false;
  std::string name;
  double num_cpus = 0;
  std::vector<std::string> env;  // NAME=VALUE
  std::string working_dir;       // empty: the caller's
  std::vector<std::string> command;
};
int RunJobSubmit(Console& console, const JobSubmitOptions& options);

struct JobOptions {
  Connection connection;
  std::string id;
  bool follow = false;                // logs
  std::optional<milliseconds> grace;  // stop
};
int RunJobStatus(Console& console, const JobOptions& options);
int RunJobLogs(Console& console, const JobOptions& options);
int RunJobStop(Console& console, const JobOptions& options);

struct RunOptions {
  Connection connection;
  std::string function;           // LIBRARY.so:FUNCTION
  std::vector<std::string> args;  // JSON texts
  bool detach = false;
  std::optional<milliseconds> timeout;  // for the result
  milliseconds task_timeout{0};         // for each run of the task; 0: none
  double num_cpus = 1;
  uint64_t memory_bytes = 0;
  std::string resources;  // JSON object of numbers
  int max_retries = 3;
  bool retry_exceptions = false;
  std::string name;
  int priority = 0;
  int num_returns = 1;
  milliseconds ttl{0};
};
int RunRun(Console& console, const RunOptions& options);

// Which actor: its name or, where that has 16 hexadecimal digits and no namespace is given, its id.
struct ActorWord {
  std::string word;
  std::string name_space;
};

struct ActorCallOptions {
  Connection connection;
  ActorWord actor;
  std::string method;
  std::vector<std::string> args;  // JSON texts
  bool detach = false;
  std::optional<milliseconds> timeout;  // for the result
  milliseconds ttl{0};
};
int RunActorCall(Console& console, const ActorCallOptions& options);

struct ActorKillOptions {
  Connection connection;
  ActorWord actor;
  bool restart = false;  // its process only
};
int RunActorKill(Console& console, const ActorKillOptions& options);

struct PutOptions {
  Connection connection;
  std::string file = "-";  // "-": standard input
  bool json_text = false;  // the content is JSON, not bytes
  milliseconds ttl{0};
};
int RunPut(Console& console, const PutOptions& options);

struct GetOptions {
  Connection connection;
  std::string ref;
  std::optional<milliseconds> timeout;
  std::string output;    // file; empty: standard output
  std::string encoding;  // "json", "bytes", "value"; empty: bytes as they are, all else as JSON
};
int RunGet(Console& console, const GetOptions& options);

struct WaitOptions {
  Connection connection;
  std::vector<std::string> refs;
  int num_returns = 1;
  std::optional<milliseconds> timeout;
};
int RunWait(Console& console, const WaitOptions& options);

struct CancelOptions {
  Connection connection;
  std::string ref;
  bool force = false;
};
int RunCancel(Console& console, const CancelOptions& options);

struct ReleaseOptions {
  Connection connection;
  std::vector<std::string> refs;
};
int RunRelease(Console& console, const ReleaseOptions& options);

struct StatusOptions {
  Connection connection;
  bool memory = false;  // what the head's own memory is used for, too
};
int RunStatus(Console& console, const StatusOptions& options);

struct ListOptions {
  Connection connection;
  std::string what;                  // "tasks", "objects", "workers", "actors", "jobs", "sessions"
  std::vector<std::string> filters;  // column=value, column!=value
  uint32_t limit = 100;
};
int RunList(Console& console, const ListOptions& options);

struct MicrobenchmarkOptions {
  bool json = false;
  std::string filter;              // regular expression on the names
  std::string transport = "both";  // "shm", "grpc"
  bool quick = false;
  std::string part;  // in processes of its own making: what to measure
};
// With heads of its own. Its tasks run in this executable, re-run as a worker.
int RunMicrobenchmark(Console& console, const MicrobenchmarkOptions& options);
// In such a worker: does not return. Else nothing.
void ServeMicrobenchmark(int argc, char** argv);

}  // namespace kiln::cli
