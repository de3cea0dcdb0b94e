#include "daemon/process/job_runner.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/process/environment.h"
#include "daemon/process/process_tree.h"
#include "tests/unit/process_fixture.h"
#include "tests/unit/temp_dir.h"

namespace kiln::process {
namespace {

using testing::kDeadline;
using testing::KeeperFixture;

// A runner that starts each job when it is told to, as the core does.
class Jobs : public KeeperFixture {
 public:
  explicit Jobs(size_t max_active = 100, size_t ended_kept = 100) {
    JobRunnerOptions options;
    options.log_dir = temp.path();
    options.address = "unix:/the/head.sock";
    options.session_dir = "/the";
    options.max_active = max_active;
    options.ended_kept = ended_kept;
    testing::WriteFile(temp / "job-9.log", "of an earlier head");
    runner.emplace(&loop, keeper.get(), options, [this](const Job& job) { ended[job.id] = job; });
    on_started = [this](Keeper::LaunchId id, pid_t pid, int output_fd) {
      CHECK(runner->OnStarted(id, pid, output_fd));
    };
    on_exited = [this](Keeper::LaunchId id, const ExitReport& report) {
      CHECK(runner->OnExited(id, report));
    };
  }

  JobSpec Spec(std::vector<std::string> command) const {
    JobSpec spec;
    spec.command = std::move(command);
    spec.base_env = Environment();
    return spec;
  }
  JobId Submit(std::vector<std::string> command) { return Submit(Spec(std::move(command))); }
  JobId Submit(JobSpec spec) {
    Result<JobId> id = runner->Submit(std::move(spec));
    REQUIRE(id.ok());
    return id.value();
  }
  JobId StartShell(const std::string& script) {
    const JobId id = Submit({"sh", "-c", script});
    runner->Start(id);
    return id;
  }
  const Job& RunToEnd(JobId id) {
    REQUIRE(RunUntil([&] { return ended.contains(id); }));
    return ended.at(id);
  }
  std::string Log(JobId id) const {
    std::string all;
    uint64_t offset = 0;
    while (true) {
      auto part = runner->ReadLog(id, offset, 1 << 20);
      REQUIRE(part.ok());
      all += part->data;
      offset = part->next_offset;
      if (part->at_end) return all;
    }
  }
  void RunUntilLogHas(JobId id, const std::string& word) {
    REQUIRE(RunUntil([&] { return Log(id).find(word) != std::string::npos; }));
  }

  std::optional<JobRunner> runner;
  std::map<JobId, Job> ended;
};

TEST_CASE("a job's states are reached as the table says") {
  const JobState all[] = {JobState::kPending, JobState::kRunning, JobState::kSucceeded,
                          JobState::kFailed, JobState::kStopped};
  std::string moves;
  for (const JobState from : all) {
    for (const JobState to : all) {
      if (CanMove(from, to)) moves += std::string(Name(from)) + ">" + std::string(Name(to)) + " ";
    }
  }
  CHECK(moves ==
        "PENDING>RUNNING PENDING>FAILED PENDING>STOPPED "
        "RUNNING>SUCCEEDED RUNNING>FAILED RUNNING>STOPPED ");
}

TEST_CASE("a job id in text is exactly what is written for one") {
  CHECK(FormatJobId(7) == "job-7");
  CHECK(ParseJobId("job-7") == JobId{7});
  for (const char* bad : {"", "job-", "7", "job-0", "job-07", "job--7", "job-7 ", "Job-7",
                          "job-99999999999999999999"}) {
    INFO(bad);
    CHECK_FALSE(ParseJobId(bad));
  }
}

TEST_CASE("a job runs when it is started, and its record tells how it went") {
  Jobs jobs;
  const JobId id = jobs.Submit({"sh", "-c", "echo out; echo err >&2"});
  const Job* job = jobs.runner->Find(id);
  REQUIRE(job != nullptr);
  CHECK(FormatJobId(id) == "job-1");
  CHECK(job->state == JobState::kPending);
  CHECK(job->name == "sh");
  CHECK(job->submitted_ms > 0);
  CHECK(jobs.runner->active() == 1);
  jobs.runner->Start(id);
  const Job& ended = jobs.RunToEnd(id);
  CHECK(ended.state == JobState::kSucceeded);
  CHECK(ended.exit_code == 0);
  CHECK(ended.message.empty());
  CHECK(ended.pid > 0);
  CHECK(ended.started_ms >= ended.submitted_ms);
  CHECK(ended.ended_ms >= ended.started_ms);
  CHECK(jobs.Log(id) == "out\nerr\n");
  CHECK(testing::ReadFile(ended.log_path) == "out\nerr\n");
  CHECK(jobs.runner->active() == 0);
  CHECK_FALSE(std::filesystem::exists(jobs.temp / "job-9.log"));
}

TEST_CASE("a job that fails has its exit code, as a shell would say it, and the reason") {
  Jobs jobs;
  const Job coded = jobs.RunToEnd(jobs.StartShell("exit 42"));
  CHECK(coded.state == JobState::kFailed);
  CHECK(coded.exit_code == 42);
  CHECK(coded.message == "exit code 42");

  const Job killed = jobs.RunToEnd(jobs.StartShell("kill -SEGV $$"));
  CHECK(killed.exit_code == 128 + SIGSEGV);
  CHECK(killed.message == "killed by signal 11 (SIGSEGV)");

  const JobId missing = jobs.Submit({"no-such-command"});
  jobs.runner->Start(missing);
  CHECK(jobs.RunToEnd(missing).state == JobState::kFailed);
  CHECK(jobs.ended[missing].exit_code == 127);
  CHECK(jobs.ended[missing].message == "could not start no-such-command: command not found");
  CHECK(jobs.ended[missing].started_ms == 0);

  JobSpec spec = jobs.Spec({"true"});
  spec.working_dir = jobs.temp / "gone";
  std::filesystem::create_directory(spec.working_dir);
  const JobId homeless = jobs.Submit(spec);
  std::filesystem::remove(spec.working_dir);
  jobs.runner->Start(homeless);
  CHECK(jobs.RunToEnd(homeless).exit_code == 126);
  CHECK(jobs.ended[homeless].message.find("working directory") != std::string::npos);
}

TEST_CASE("a job sees its environment, its directory and this head") {
  Jobs jobs;
  JobSpec spec = jobs.Spec(
      {"sh", "-c",
       "echo \"$A|$B|$KILN_ADDRESS|$KILN_SESSION_DIR|$KILN_JOB_ID|$KILN_WORKER|$(pwd)\""});
  spec.base_env = {"PATH=/usr/bin:/bin", "A=old", "B=b", "KILN_ADDRESS=other", "KILN_WORKER=5"};
  spec.env = {{"A", "new"}};
  spec.working_dir = "/usr";
  spec.name = "named";
  const JobId id = jobs.Submit(spec);
  jobs.runner->Start(id);
  CHECK(jobs.RunToEnd(id).name == "named");
  CHECK(jobs.Log(id) == "new|b|unix:/the/head.sock|/the|job-1||/usr\n");

  spec.command = {"sh", "-c", "test -n \"$PATH\" && pwd"};  // and by default those of the head
  spec.base_env.clear();
  spec.working_dir.clear();
  const JobId own = jobs.Submit(spec);
  jobs.runner->Start(own);
  jobs.RunToEnd(own);
  CHECK(jobs.Log(own) == std::filesystem::current_path().string() + "\n");
}

TEST_CASE("what cannot be a job is refused") {
  Jobs jobs;
  std::vector<JobSpec> bad(7, jobs.Spec({"true"}));
  bad[0].command = {};
  bad[1].command = {""};
  bad[2].command = {std::string("tr\0ue", 5)};
  bad[3].env = {{"A=B", "c"}};
  bad[4].env = {{"", "c"}};
  bad[5].working_dir = "relative";
  bad[6].working_dir = "/no/such/dir";
  for (const JobSpec& spec : bad) {
    const Result<JobId> refused = jobs.runner->Submit(spec);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.status().code() == Code::kInvalidArgument);
  }
  CHECK(jobs.runner->List().empty());
  CHECK(jobs.runner->Stop(1, seconds(1), [](const Job&) {}).code() == Code::kNotFound);
  CHECK(jobs.runner->ReadLog(1, 0, 10).status().code() == Code::kNotFound);
  CHECK(jobs.runner->Follow(1, [] {}).status().code() == Code::kNotFound);
}

TEST_CASE("a shell pipeline is a job") {
  Jobs jobs;
  const JobId id = jobs.StartShell("yes | head -n 100000 | wc -l");
  CHECK(jobs.RunToEnd(id).state == JobState::kSucceeded);
  CHECK(jobs.Log(id) == "100000\n");
}

TEST_CASE("a job that ends leaves no process behind") {
  Jobs jobs;
  const JobId id = jobs.StartShell("sleep 1000 & setsid sleep 1000 & echo done");
  CHECK(jobs.RunToEnd(id).state == JobState::kSucceeded);
  CHECK(jobs.Log(id) == "done\n");
  CHECK(jobs.CountMarked() == 0);
}

TEST_CASE("a stopped job may end in its own way") {
  Jobs jobs;
  const JobId id =
      jobs.StartShell("trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.01; done");
  jobs.RunUntilLogHas(id, "up");
  std::vector<Job> stopped;
  const auto tell = [&](const Job& job) { stopped.push_back(job); };
  REQUIRE(jobs.runner->Stop(id, seconds(1000), tell).ok());
  CHECK(jobs.RunToEnd(id).state == JobState::kStopped);
  CHECK(jobs.Log(id).ends_with("bye\n"));  // the shell may tell of its sleep before
  REQUIRE(stopped.size() == 1);
  CHECK(stopped[0].exit_code == 9);
  REQUIRE(jobs.runner->Stop(id, seconds(1000), tell).ok());  // has ended: told at once
  CHECK(stopped.size() == 2);
}

TEST_CASE("a stopped job that ignores SIGTERM is killed after the grace period, with all its own") {
  Jobs jobs;
  const JobId id = jobs.StartShell(
      "trap '' TERM; (while :; do sleep 1000; done) & "
      "setsid sh -c 'echo up; while :; do sleep 1000; done' & "
      "while :; do sleep 1000; done");
  jobs.RunUntilLogHas(id, "up");
  int told = 0;
  const Time before = Clock::now();
  REQUIRE(jobs.runner->Stop(id, seconds(1000), [&](const Job&) { ++told; }).ok());
  REQUIRE(jobs.runner->Stop(id, milliseconds(100), [&](const Job&) { ++told; }).ok());
  REQUIRE(jobs.runner->Stop(id, seconds(1000), [&](const Job&) { ++told; }).ok());
  CHECK(jobs.RunToEnd(id).state == JobState::kStopped);
  CHECK(Clock::now() - before >= milliseconds(100));
  CHECK(jobs.ended[id].exit_code == 128 + SIGKILL);
  CHECK(told == 3);
  CHECK(jobs.CountMarked() == 0);
}

TEST_CASE("a job can be stopped before it starts, while it starts, and is started once at most") {
  Jobs jobs;
  const JobId pending = jobs.Submit({"sleep", "1000"});
  bool told = false;
  REQUIRE(jobs.runner->Stop(pending, seconds(1), [&](const Job&) { told = true; }).ok());
  CHECK(told);
  CHECK(jobs.ended.at(pending).state == JobState::kStopped);
  CHECK(jobs.runner->active() == 0);
  jobs.runner->Start(pending);
  CHECK(jobs.Log(pending).empty());

  const JobId starting = jobs.Submit({"sleep", "1000"});
  jobs.runner->Start(starting);
  jobs.runner->Start(starting);
  REQUIRE(jobs.runner->Stop(starting, seconds(1000), [](const Job&) {}).ok());
  CHECK(jobs.RunToEnd(starting).state == JobState::kStopped);
  CHECK(jobs.CountMarked() == 0);
}

TEST_CASE("followers get every byte once, whenever they come, and the end") {
  Jobs jobs;
  // Half of it before the file is there, half after.
  const std::string file = jobs.temp / "go-on";
  const JobId id = jobs.Submit(
      {"sh", "-c",
       "i=0; while [ $i -lt 3000 ]; do echo \"line $i\"; i=$((i+1)); "
       "[ $i -ne 1500 ] || while [ ! -e \"$0\" ]; do sleep 0.01; done; done; printf end",
       file});
  struct Follower {
    JobRunner::FollowerId id = 0;
    std::string got;
    uint64_t offset = 0;
    bool complete = false;
  };
  std::map<int, Follower> followers;
  const auto follow = [&](int number) {
    Follower& follower = followers[number];
    const auto read = [&jobs, &follower, id] {
      while (true) {
        const auto part = jobs.runner->ReadLog(id, follower.offset, 1000);
        REQUIRE(part.ok());
        REQUIRE(part.value().next_offset == follower.offset + part.value().data.size());
        follower.got += part.value().data;
        follower.offset = part.value().next_offset;
        REQUIRE_FALSE(follower.complete);
        follower.complete = part.value().complete;
        if (part.value().at_end) return;
      }
    };
    const auto started = jobs.runner->Follow(id, read);
    REQUIRE(started.ok());
    follower.id = started.value();
    read();
  };
  follow(0);
  jobs.runner->Start(id);
  follow(1);
  jobs.RunUntilLogHas(id, "line 1499\n");
  follow(2);
  follow(3);
  jobs.runner->Unfollow(id, followers[3].id);
  const std::string then = followers[3].got;
  testing::WriteFile(file, "");
  jobs.RunToEnd(id);
  follow(4);
  std::string expected;
  for (int i = 0; i < 3000; ++i) expected += "line " + std::to_string(i) + "\n";
  expected += "end";
  for (const int number : {0, 1, 2, 4}) {
    INFO(number);
    CHECK(followers[number].got == expected);
    CHECK(followers[number].complete);
  }
  CHECK(followers[3].got == then);
  CHECK_FALSE(followers[3].complete);
}

TEST_CASE("active jobs are bounded, and the oldest ended ones forgotten with their logs") {
  Jobs jobs(3, 2);
  const JobId first = jobs.StartShell("echo first");
  const JobId waiting = jobs.Submit({"true"});
  const JobId third = jobs.Submit({"true"});
  const Result<JobId> refused = jobs.runner->Submit(jobs.Spec({"true"}));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.status().code() == Code::kResourceExhausted);
  jobs.runner->Withdraw(third);
  CHECK(jobs.runner->Find(third) == nullptr);
  const std::string log = jobs.RunToEnd(first).log_path;
  CHECK(std::filesystem::exists(log));
  std::vector<JobId> later;
  for (int i = 0; i < 2; ++i) {
    later.push_back(jobs.StartShell("true"));
    jobs.RunToEnd(later.back());
  }
  CHECK(jobs.runner->Find(first) == nullptr);
  CHECK_FALSE(std::filesystem::exists(log));
  CHECK(jobs.runner->Find(waiting) != nullptr);
  std::vector<JobId> listed;
  for (const Job* job : jobs.runner->List()) listed.push_back(job->id);
  CHECK(listed == std::vector<JobId>{later[1], later[0], waiting});
}

TEST_CASE("jobs of a keeper that is killed have failed, and later ones run") {
  Jobs jobs;
  const JobId lost = jobs.StartShell("echo up; sleep 1000");
  jobs.RunUntilLogHas(lost, "up");
  REQUIRE(kill(jobs.keeper->pid(), SIGKILL) == 0);
  CHECK(jobs.RunToEnd(lost).state == JobState::kFailed);
  CHECK(jobs.ended[lost].message == "killed by signal 9 (SIGKILL)");
  CHECK(jobs.RunToEnd(jobs.StartShell("true")).state == JobState::kSucceeded);
}

}  // namespace
}  // namespace kiln::process
