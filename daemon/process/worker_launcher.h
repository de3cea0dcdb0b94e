// Starts the processes of workers, keeps their output, and says how they ended.
//
// Thread: head loop only.
// Owner:  Head.
#pragma once

#include <sys/types.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/event_loop.h"
#include "common/ids.h"
#include "common/limits.h"
#include "daemon/core/task.h"
#include "daemon/process/fork_servers.h"
#include "daemon/process/keeper.h"
#include "daemon/process/output_log.h"
#include "daemon/process/program.h"

namespace kiln::process {

struct WorkerLauncherOptions {
  std::string log_dir;      // logs of workers and fork servers of an earlier head are removed
  std::string address;      // KILN_ADDRESS of the workers
  std::string session_dir;  // KILN_SESSION_DIR of the workers
  Program library_host;     // program core::kLibraryHost
  size_t logs_kept = limits::kWorkerLogsKept;  // of ended workers, and of ended fork servers
};

class WorkerLauncher {
 public:
  struct Callbacks {
    std::function<void(WorkerId, pid_t)> started;
    // It ended or could not be started, all its output read: "killed by signal 9 (SIGKILL); last
    // output:\n  line\n  line", the second part only if there was output. For Core::OnWorkerLost.
    std::function<void(WorkerId, const std::string& reason)> lost;
    // It wrote lines, for the drivers whose tasks it runs.
    std::function<void(WorkerId, std::vector<std::string>)> lines;
  };

  // `keeper` must live as long.
  WorkerLauncher(EventLoop* loop, Keeper* keeper, WorkerLauncherOptions options,
                 Callbacks callbacks);
  ~WorkerLauncher();

  // Returns: the number of the program; the same for equal ones. Each call is to be met by a
  // Release.
  core::ProgramId Intern(Program program);
  // Forgets the program once as many releases as interns have come and none of its workers lives.
  // Its number is not used again.
  void Release(core::ProgramId id);
  // Returns: the number of process::PythonHost(root), the same for each call; it is never released.
  core::ProgramId PythonHost(const std::string& root);
  // The same as a function; this must live as long.
  std::function<core::ProgramId(const std::string&)> PythonHosts() {
    return [this](const std::string& root) { return PythonHost(root); };
  }
  // Returns: nothing if unknown.
  const Program* FindProgram(core::ProgramId id) const;

  // Starts the program's fork server, if it has one and it is not there: the workers that will be
  // wanted soon find it warm. Start does so too.
  void Warm(core::ProgramId id);
  // Starts a process for `worker`: decision StartWorker. Its environment has KILN_WORKER,
  // KILN_ADDRESS and KILN_SESSION_DIR. `lost` follows exactly once, later, from the loop; also if
  // the program is unknown. If its fork server ends before it has made the worker, the reason is
  // the server's, with the server's last output.
  // Requires: worker is fresh.
  void Start(WorkerId worker, core::ProgramId program);
  // SIGKILL, also to what it has started: decision KillWorker. Ignored if it has ended.
  void Kill(WorkerId worker);
  // Passes on the lines it has written by now, before what it reported by its session is carried
  // out. Ignored if it has ended.
  void ReadOutput(WorkerId worker);
  // A task of it has ended: a line it has begun is passed on as it is. Ignored if it has ended.
  void EndLine(WorkerId worker);
  // Returns: 0 if unknown or not started yet.
  pid_t FindPid(WorkerId worker) const;
  // Workers started and not lost.
  size_t alive() const { return workers_.size(); }

  // Events of the keeper. Each returns false if the launch is no worker's and no fork server's.
  bool OnStarted(Keeper::LaunchId launch, pid_t pid, int output_fd);
  bool OnExited(Keeper::LaunchId launch, const ExitReport& report);

 private:
  struct Interned {
    Program program;
    size_t uses = 0;  // interns not released, and living workers
  };
  struct Worker {
    core::ProgramId program;
    Keeper::LaunchId launch;
    pid_t pid = 0;
    ForkServers::Server server = 0;  // that makes or made it; 0: none
    std::string server_end;          // why the server could not make it
    std::unique_ptr<OutputLog> log;
  };

  void Drop(core::ProgramId id);
  void Lose(WorkerId worker, const std::string& reason);
  void OnServerEnded(ForkServers::Server server, const std::string& how);

  EventLoop* loop_;
  Keeper* keeper_;
  WorkerLauncherOptions options_;
  Callbacks callbacks_;
  ForkServers servers_;
  std::unordered_map<core::ProgramId, Interned> programs_;
  std::map<Program, core::ProgramId> by_content_;
  std::map<std::string, core::ProgramId> python_hosts_;  // by root
  core::ProgramId next_program_ = core::kLibraryHost + 1;
  std::unordered_map<WorkerId, Worker> workers_;  // started and not lost
  std::unordered_map<Keeper::LaunchId, WorkerId> by_launch_;
  std::deque<std::unique_ptr<OutputLog>> ended_logs_;           // oldest first, at most logs_kept
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what was posted to the loop
};

}  // namespace kiln::process
