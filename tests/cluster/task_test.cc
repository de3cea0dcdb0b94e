// What a task gets, gives, and when its turn is.
#include <catch2/catch.hpp>
#include <numeric>

#include "tests/cluster/files.h"
#include "tests/cluster/tasks.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

std::vector<int> CountUp(int n) {
  std::vector<int> numbers(static_cast<size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}
KILN_TASK(CountUp);

std::pair<int, std::string> Halves(const std::string& text) {
  return {static_cast<int>(text.size()), text + text};
}
KILN_TASK(Halves);

int Throw(const std::string& message) {
  throw std::out_of_range(message);
}
KILN_TASK(Throw);

// Takes the ref itself, not what it names.
std::string RefText(const Ref<int>& ref) {
  return ref.id();
}
KILN_TASK(RefText);

// Two that meet can only do so by running at the same time.
bool Meet(const std::string& mine, const std::string& other) {
  Append(mine, "x");
  return AwaitFile(other);
}
KILN_TASK(Meet);

// Notes its begin and its end, some 100 us apart.
void Span(const std::string& file) {
  Append(file, "(");
  auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(100);
  while (std::chrono::steady_clock::now() < end) {
  }
  Append(file, ")");
}
KILN_TASK(Span);

// How many spans of the file were open at once.
int MostOpen(const std::string& file) {
  int open = 0, most = 0;
  for (char c : ReadFile(file)) {
    open += c == '(' ? 1 : -1;
    most = std::max(most, open);
  }
  return most;
}

// Submits a task that outlives this program.
const DriverProgram kLeaver("leaver", [](const Session& session, const auto& arguments) {
  auto gate = session.With({.detached = true}).Submit(Gate, arguments[0], arguments[1]);
  auto note = session.With({.detached = true}).Submit(Note, arguments[2], "late");
  std::printf("ref=%s\n", note.id().c_str());
  session.Submit(Gate, arguments[0], "/nowhere");  // not detached: ends with this program
  return AwaitFile(arguments[0]) ? 0 : 1;
});

}  // namespace

TEST_CASE("arguments travel by value and by ref", "[tasks]") {
  TestHead head;
  Session session = head.Connect();
  Ref<int> three = session.Submit(Add, 1, 2);
  Ref<int> ten = session.Submit(Add, three, session.Put(7));
  CHECK(session.Get(ten) == 10);
  CHECK(session.Get(session.Submit(Add, ten, ten)) == 20);
  CHECK(session.Get(session.Submit(RefText, three)) == three.id());

  Ref<int> sum = session.Put(0);
  for (int i = 1; i <= 500; ++i) sum = session.Submit(Add, sum, i);
  CHECK(session.Get(sum) == 500 * 501 / 2);
}

TEST_CASE("a task gives several results, 3,000 as well", "[tasks]") {
  TestHead head;
  Session session = head.Connect();
  auto [length, twice] = session.With({}).SubmitTuple(Halves, "abc");
  CHECK(session.Get(length) == 3);
  CHECK(session.Get(twice) == "abcabc");

  auto many = session.With({.num_returns = 3000}).SubmitMany(CountUp, 3000);
  REQUIRE(many.size() == 3000);
  CHECK(session.Get(many) == CountUp(3000));
  auto wrong = session.With({.num_returns = 3}).SubmitMany(CountUp, 4);
  for (const Ref<int>& ref : wrong) CHECK_THROWS_AS(session.Get(ref), Error);
}

TEST_CASE("as many tasks run at once as there are CPUs, and never more", "[tasks]") {
  TestHead head({.num_cpus = 2});
  Session session = head.Connect();
  auto one = session.Submit(Meet, head.File("one"), head.File("two"));
  auto two = session.Submit(Meet, head.File("two"), head.File("one"));
  CHECK(session.Get(one));
  CHECK(session.Get(two));

  std::vector<Ref<void>> spans;
  for (int i = 0; i < 300; ++i) spans.push_back(session.Submit(Span, head.File("spans")));
  session.Get(spans);
  CHECK(MostOpen(head.File("spans")) <= 2);
  spans.clear();
  for (int i = 0; i < 50; ++i) {
    spans.push_back(session.With({.num_cpus = 2}).Submit(Span, head.File("wide")));
  }
  session.Get(spans);
  CHECK(MostOpen(head.File("wide")) == 1);
}

TEST_CASE("a custom resource limits how many tasks run at once", "[tasks]") {
  TestHead head({.num_cpus = 4, .resources = R"({"disk": 2})"});
  Session session = head.Connect();
  std::vector<Ref<void>> spans;
  for (int i = 0; i < 100; ++i) {
    TaskOptions options{.num_cpus = 0.5, .resources = {{"disk", 1}}};
    spans.push_back(session.With(options).Submit(Span, head.File("spans")));
  }
  session.Get(spans);
  CHECK(MostOpen(head.File("spans")) <= 2);
}

TEST_CASE("tasks start by priority, and in order of submission within one", "[tasks]") {
  TestHead head({.num_cpus = 1});
  Session session = head.Connect();
  auto gate = session.Submit(Gate, head.File("begun"), head.File("gate"));
  REQUIRE(AwaitFile(head.File("begun")));
  std::vector<Ref<int>> notes;
  auto note = [&](int priority, const std::string& text) {
    notes.push_back(session.With({.priority = priority}).Submit(Note, head.File("order"), text));
  };
  for (const char* text : {"a", "b", "c"}) note(0, text);
  for (const char* text : {"1", "2", "3"}) note(5, text);
  for (const char* text : {"x", "y", "z"}) note(-5, text);
  REQUIRE(WaitUntil([&] { return head.Status().tasks_ready() == 9; }, kDeadline));
  Append(head.File("gate"), "x");
  session.Get(notes);
  CHECK(ReadFile(head.File("order")) == "123abcxyz");
}

TEST_CASE("a driver with few tasks does not wait behind another's 100,000", "[tasks]") {
  TestHead head({.num_cpus = 1});
  Session few = head.Connect();
  {
    Session many = head.Connect();
    auto gate = many.Submit(Gate, head.File("begun"), head.File("gate"));
    REQUIRE(AwaitFile(head.File("begun")));
    std::vector<Ref<int>> crowd;
    for (int i = 0; i < 100'000; ++i) crowd.push_back(many.Submit(Note, head.File("order"), "m"));
    std::vector<Ref<int>> ours;
    for (int i = 0; i < 10; ++i) ours.push_back(few.Submit(Note, head.File("order"), "F"));
    REQUIRE(WaitUntil([&] { return head.Status().tasks_ready() == 100'010; }, kDeadline));
    Append(head.File("gate"), "x");
    few.Get(ours, kDeadline);
    CHECK(ReadFile(head.File("order")).rfind('F') < 5'000);
  }
  CHECK(few.Get(few.Submit(Add, 1, 1)) == 2);  // the crowd has gone with its driver
}

TEST_CASE("a task that can never fit fails at once and names the resource", "[tasks]") {
  TestHead head({.num_cpus = 2, .resources = R"({"disk": 1})"});
  Session session = head.Connect();
  auto message = [&](const TaskOptions& options) -> std::string {
    try {
      session.Get(session.With(options).Submit(Add, 1, 1), kDeadline);
    } catch (const TaskUnschedulableError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(message({.num_cpus = 3}).find("num_cpus") != std::string::npos);
  CHECK(message({.resources = {{"disk", 2}}}).find("disk") != std::string::npos);
  CHECK(message({.resources = {{"tape", 1}}}).find("tape") != std::string::npos);
  CHECK(message({.memory = uint64_t{1} << 60}).find("memory") != std::string::npos);
  CHECK(session.Get(session.With({.num_cpus = 2}).Submit(Add, 1, 1)) == 2);
}

TEST_CASE("an error runs down a chain of tasks and names them", "[tasks]") {
  TestHead head;
  Session session = head.Connect();
  auto failed = session.With({.name = "root of it"}).Submit(Throw, "too far");
  auto next = session.With({.name = "second"}).Submit(Add, failed, 1);
  auto last = session.With({.name = "third"}).Submit(Add, 1, next);
  try {
    session.Get(last);
    FAIL("no error came");
  } catch (const TaskError& error) {
    CHECK(error.type() == "std::out_of_range");
    CHECK(error.message() == "too far");
    CHECK(error.task() == "root of it");
    CHECK(error.worker_pid() > 0);
    CHECK(error.chain() == std::vector<std::string>{"second", "third"});
  }
  CHECK_THROWS_AS(session.Get(next), TaskError);
}

TEST_CASE("a task is listed by its name", "[tasks]") {
  TestHead head;
  Session session = head.Connect();
  auto gate = session.With({.name = "my gate"}).Submit(Gate, head.File("begun"), head.File("gate"));
  REQUIRE(AwaitFile(head.File("begun")));
  auto tasks = head.Tasks();
  REQUIRE(tasks.size() == 1);
  CHECK(tasks[0].name() == "my gate");
  CHECK(tasks[0].id() == gate.id());
  CHECK(IsAlive(static_cast<pid_t>(tasks[0].worker_pid())));
  Append(head.File("gate"), "x");
  session.Get(gate);
}

TEST_CASE("detached tasks and their results outlive the driver", "[tasks]") {
  TestHead head({.num_cpus = 1});
  Child driver = head.Drive("leaver", {head.File("begun"), head.File("gate"), head.File("note")});
  REQUIRE(driver.AwaitExitCode() == 0);
  std::string output = driver.Output();
  std::string ref = output.substr(output.find("ref=") + 4, 16);
  REQUIRE(WaitUntil([&] { return head.Status().drivers() == 0; }, kDeadline));
  CHECK_FALSE(Exists(head.File("note")));
  Append(head.File("gate"), "x");
  {
    Session session = head.Connect();
    CHECK(session.Get(session.FromId<int>(ref), kDeadline) == 4);
    CHECK(ReadFile(head.File("note")) == "late");
  }
  for (const v1::TaskInfo& task : head.Tasks()) {
    if (task.session_number() == 0) CHECK(head.Kiln({"release", task.id()}).AwaitExitCode() == 0);
  }
}

}  // namespace kiln::testing
