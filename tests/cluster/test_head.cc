#include "tests/cluster/test_head.h"

#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "daemon/process/process_tree.h"

namespace kiln::testing {
namespace {

constexpr const char* kDriverFlag = "--driver";

struct Arguments {
  int count = 0;
  char** values = nullptr;
};
Arguments the_arguments;  // set once, by main

struct Registered {
  DriverProgram::Main run;
  int (*at_worker_start)(const DriverProgram::Arguments&);
};
std::map<std::string, Registered>& DriverPrograms() {
  static std::map<std::string, Registered> programs;
  return programs;
}

std::unique_ptr<v1::State::Stub> ConnectState(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return v1::State::NewStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
}

// Calls a method of the head's state.
template <typename Request, typename Response, typename Method>
Response Ask(v1::State::Stub& stub, const Request& request, Method method) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  Response response;
  grpc::Status status = (stub.*method)(&context, request, &response);
  INFO(status.error_message());
  REQUIRE(status.ok());
  return response;
}

v1::ListRequest AllRows() {
  v1::ListRequest request;
  request.set_limit(1'000'000);
  return request;
}

}  // namespace

DriverProgram::DriverProgram(const char* name, Main run, int (*at_worker_start)(const Arguments&)) {
  DriverPrograms()[name] = {run, at_worker_start};
}

int RunDriverProgram(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  bool named = arguments.size() >= 2 && arguments[0] == kDriverFlag;
  const Registered* program = named ? &DriverPrograms().at(arguments[1]) : nullptr;
  if (named) arguments.erase(arguments.begin(), arguments.begin() + 2);
  if (std::getenv("KILN_WORKER") && program && program->at_worker_start) {
    return program->at_worker_start(arguments);
  }
  Session session = kiln::Connect(argc, argv);  // does not return in a worker
  return program->run(session, arguments);
}

void SetArguments(int argc, char** argv) {
  the_arguments = {argc, argv};
}

TestHead::TestHead(const Options& options) : dir_(temp_ / "session") {
  std::vector<std::string> command = {"start",
                                      "--head",
                                      "--json",
                                      "--num-cpus",
                                      std::to_string(options.num_cpus),
                                      "--object-store-memory",
                                      options.store,
                                      "--store-pages",
                                      options.store_pages};
  if (!options.resources.empty()) command.insert(command.end(), {"--resources", options.resources});
  Child start = Kiln(command);
  int code = start.AwaitExitCode();
  INFO(start.Output());
  REQUIRE(code == 0);
  auto answer = nlohmann::json::parse(start.Output());
  address_ = answer.at("address").get<std::string>();
  pid_ = answer.at("pid").get<pid_t>();
  running_ = true;
  state_ = ConnectState(address_);
}

TestHead::~TestHead() {
  if (running_ && IsAlive(pid_)) {
    try {
      bool idle = WaitUntil([&] { return IsIdle(); }, kDeadline);
      INFO((idle ? "" : Status().ShortDebugString()));
      CHECK(idle);
    } catch (const Catch::TestFailureException&) {
      // The head does not answer; it was reported.
    }
    CHECK(Stop() == 0);
  } else if (running_) {
    FAIL_CHECK("the head has died by itself: " << ReadFile(dir_ + "/logs/head.err"));
  }
  CHECK(WaitUntil([&] { return IsGone(); }, kDeadline));
  for (pid_t pid : ProcessesNaming(dir_)) {
    UNSCOPED_INFO("left: " << pid << " " << NameOf(pid));
    kill(pid, SIGKILL);
  }
  CHECK(CountStoreFiles(getpid()) == 0);           // sessions of this process let their segment go
  CHECK(ReadFile(dir_ + "/logs/head.err") == "");  // a head has nothing to say but in its log
}

pid_t TestHead::KeeperPid() const {
  pid_t keeper = 0;
  WaitUntil(
      [&] {
        for (pid_t child : ChildrenOf(pid_)) {
          if (NameOf(child) == "kiln-keeper") keeper = child;
        }
        return keeper != 0;
      },
      kDeadline);
  return keeper;
}

std::vector<pid_t> TestHead::WorkerPids() const {
  return ChildrenOf(KeeperPid());
}

Session TestHead::Connect() const {
  return kiln::Connect(the_arguments.count, the_arguments.values, {.session_dir = dir_});
}

Child TestHead::Drive(const std::string& name, const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"/proc/self/exe", kDriverFlag, name};
  command[0] = std::filesystem::read_symlink(command[0]);
  command.insert(command.end(), arguments.begin(), arguments.end());
  return Child(command, NextLog(), {{"KILN_SESSION_DIR", dir_}, {"KILN_ADDRESS", ""}});
}

Child TestHead::Kiln(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), BinaryPath("kiln"));
  return Child(arguments, NextLog(), {{"KILN_SESSION_DIR", dir_}, {"KILN_ADDRESS", ""}});
}

v1::Status TestHead::Status() const {
  return Ask<v1::GetStatusRequest, v1::Status>(*state_, {}, &v1::State::Stub::GetStatus);
}

std::vector<v1::WorkerInfo> TestHead::Workers() const {
  auto response = Ask<v1::ListRequest, v1::ListWorkersResponse>(*state_, AllRows(),
                                                                &v1::State::Stub::ListWorkers);
  return {response.workers().begin(), response.workers().end()};
}

std::vector<v1::TaskInfo> TestHead::Tasks() const {
  auto response =
      Ask<v1::ListRequest, v1::ListTasksResponse>(*state_, AllRows(), &v1::State::Stub::ListTasks);
  return {response.tasks().begin(), response.tasks().end()};
}

std::vector<v1::SessionInfo> TestHead::Sessions() const {
  auto response = Ask<v1::ListRequest, v1::ListSessionsResponse>(*state_, AllRows(),
                                                                 &v1::State::Stub::ListSessions);
  return {response.sessions().begin(), response.sessions().end()};
}

bool TestHead::IsIdle() const {
  v1::Status status = Status();
  const v1::Resources& used = status.used();
  bool resources = used.num_cpus() == 0 && used.memory_bytes() == 0;
  for (const auto& [name, amount] : used.custom()) resources = resources && amount == 0;
  uint64_t tasks = status.tasks_waiting() + status.tasks_ready() + status.tasks_running();
  return resources && tasks == 0 && status.objects() == 0 && status.store_used_bytes() == 0 &&
         status.queued_bytes() == 0 && status.drivers() == 0 && status.jobs_active() == 0;
}

int TestHead::Stop(const std::vector<std::string>& arguments) {
  running_ = false;
  std::vector<std::string> command = {"stop"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return Kiln(command).AwaitExitCode();
}

void TestHead::Kill() {
  running_ = false;
  kill(pid_, SIGKILL);
}

bool TestHead::IsGone() const {
  for (const char* name : {"head.json", "head.sock", "store.sock"}) {
    if (std::filesystem::exists(dir_ + "/" + name)) return false;
  }
  return !IsAlive(pid_) && ProcessesNaming(dir_).empty();
}

}  // namespace kiln::testing
