// Actors that live as they should: their calls, their names, who keeps them.
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <numeric>
#include <set>

#include "tests/cluster/actors.h"
#include "tests/cluster/files.h"
#include "tests/cluster/tasks.h"
#include "tests/cluster/test_head.h"

namespace kiln::testing {
namespace {

using CounterHandle = ActorHandle<Counter>;

// Appends numbers; shows in which order calls came.
class Recorder {
 public:
  void Note(int number) { numbers_.push_back(number); }
  void NoteAll(const Array<int64_t>& numbers) {
    for (int64_t number : numbers) numbers_.push_back(static_cast<int>(number));
  }
  std::vector<int> Numbers() const { return numbers_; }
  Array<int64_t> Squares() const {
    auto squares = MakeArray<int64_t>(numbers_.size());
    for (size_t i = 0; i < numbers_.size(); ++i) squares[i] = int64_t{numbers_[i]} * numbers_[i];
    return squares;
  }

 private:
  std::vector<int> numbers_;
};
KILN_ACTOR(Recorder, &Recorder::Note, &Recorder::NoteAll, &Recorder::Numbers, &Recorder::Squares);

class BadlyMade {
 public:
  explicit BadlyMade(const std::string& reason) { throw std::domain_error(reason); }
  int Value() const { return 1; }
};
KILN_ACTOR(BadlyMade, &BadlyMade::Value);

// An actor that makes others and calls them.
class Team {
 public:
  explicit Team(int size) {
    for (int i = 0; i < size; ++i) members_.push_back(CurrentSession().Create<Counter>(i));
  }
  std::vector<CounterHandle> Members() const { return members_; }
  int Sum() const {
    std::vector<Ref<int>> values;
    for (const auto& member : members_) values.push_back(member.Call(&Counter::Value));
    const std::vector<int> got = CurrentSession().Get(values);
    return std::accumulate(got.begin(), got.end(), 0);
  }
  int SumOfTask(int a) const {
    return CurrentSession().Get(CurrentSession().Submit(Add, a, Sum()));
  }
  ActorHandle<Team> Self() const { return CurrentActor<Team>(); }

 private:
  std::vector<CounterHandle> members_;
};
KILN_ACTOR(Team, &Team::Members, &Team::Sum, &Team::SumOfTask, &Team::Self);

int AddMany(const CounterHandle& counter, int times) {
  std::vector<Ref<int>> added;
  for (int i = 0; i < times; ++i) added.push_back(counter.Call(&Counter::Add, 1));
  CurrentSession().Get(added);
  return times;
}
KILN_TASK(AddMany);

CounterHandle MakeCounter(int start) {
  return CurrentSession().Create<Counter>(start);
}
KILN_TASK(MakeCounter);

int MakeDetached(const Session& session, const DriverProgram::Arguments&) {
  auto counter = session.With(ActorOptions{.name = "kept", .detached = true}).Create<Counter>(40);
  return session.Get(counter.Call(&Counter::Add, 1)) == 41 ? 0 : 1;
}
const DriverProgram kDetacher("actor-detacher", MakeDetached);

int HoldActor(const Session& session, const DriverProgram::Arguments& arguments) {
  auto counter = session.With(ActorOptions{.name = "held"}).Create<Counter>(0);
  session.Get(counter.Call(&Counter::Value));
  Append(arguments.at(0), "x");
  pause();
  return 0;
}
const DriverProgram kHolder("actor-holder", HoldActor);

bool AwaitEndOf(pid_t pid) {
  return WaitUntil([&] { return !IsAlive(pid); }, kDeadline);
}

}  // namespace

TEST_CASE("an actor keeps its state in a process of its own", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto one = session.Create<Counter>(5);
  auto other = session.Create<Counter>(session.Submit(Add, 3, 4));
  CHECK(session.Get(one.Call(&Counter::Add, 10), kDeadline) == 15);
  CHECK(session.Get(one.Call(&Counter::Add, session.Submit(Add, 1, 1)), kDeadline) == 17);
  CHECK(session.Get(other.Call(&Counter::Value), kDeadline) == 7);
  const std::set<int> pids = {session.Get(one.Call(&Counter::Pid)),
                              session.Get(other.Call(&Counter::Pid)), getpid()};
  CHECK(pids.size() == 3);
  CHECK(session.Get(one.Call(&Counter::Value)) == 17);
}

TEST_CASE("calls run in the order in which they were submitted", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto recorder = session.Create<Recorder>();
  std::vector<int> expected;
  for (int i = 0; i < 1000; ++i) {
    // Those that wait for a task hold up those after them.
    if (i % 100 == 0) {
      recorder.Call(&Recorder::Note, session.Submit(Add, i, 0));
    } else {
      recorder.Call(&Recorder::Note, i);
    }
    expected.push_back(i);
  }
  CHECK(session.Get(recorder.Call(&Recorder::Numbers), kDeadline) == expected);
}

TEST_CASE("arrays go to an actor and come from it through the store", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto recorder = session.Create<Recorder>();
  auto numbers = session.Create<int64_t>(size_t{100'000});
  std::iota(numbers.begin(), numbers.end(), 0);
  recorder.Call(&Recorder::NoteAll, session.Put(std::move(numbers)));
  Array<int64_t> squares = session.Get(recorder.Call(&Recorder::Squares), kDeadline);
  REQUIRE(squares.size() == 100'000);
  CHECK(squares[9999] == 99'980'001);
}

TEST_CASE("a constructor that throws is the error of every call", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto badly = session.Create<BadlyMade>("out of paint");
  for (int i = 0; i < 3; ++i) {
    CHECK_THROWS_WITH(session.Get(badly.Call(&BadlyMade::Value), kDeadline),
                      Catch::Contains("out of paint"));
  }
  CHECK_THROWS_AS(session.Get(badly.Call(&BadlyMade::Value), kDeadline), ActorDiedError);
}

TEST_CASE("an actor ends after its last call when nobody has a handle", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto counter = session.Create<Counter>(head.File("begun"), head.File("ended"));
  const int pid = session.Get(counter.Call(&Counter::Pid), kDeadline);
  std::vector<Ref<int>> added;
  for (int i = 0; i < 100; ++i) added.push_back(counter.Call(&Counter::Add, 1));
  auto copy = counter;
  counter = {};
  CHECK(SizeOf(head.File("ended")) == 0);
  added.push_back(copy.Call(&Counter::Add, 1));
  copy = {};
  CHECK(session.Get(added, kDeadline).back() == 101);
  CHECK(AwaitFile(head.File("ended")));
  CHECK(AwaitEndOf(pid));
  CHECK(SizeOf(head.File("begun")) == 1);
  CHECK(SizeOf(head.File("ended")) == 1);
}

TEST_CASE("handles are arguments of tasks and results of them", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto counter = session.Create<Counter>(0);
  auto four = session.Submit(AddMany, counter, 100);
  auto five = session.Submit(AddMany, counter, 100);
  CHECK(session.Get(std::vector{four, five}, kDeadline) == std::vector{100, 100});
  CHECK(session.Get(counter.Call(&Counter::Value)) == 200);
  // The task that made it has ended: the handle in its result keeps it.
  CounterHandle made = session.Get(session.Submit(MakeCounter, 8), kDeadline);
  CHECK(session.Get(made.Call(&Counter::Add, 1), kDeadline) == 9);
  Ref<std::vector<CounterHandle>> stored = session.Put(std::vector{made});
  made = {};
  CHECK(session.Get(session.Get(stored)[0].Call(&Counter::Value), kDeadline) == 9);
}

TEST_CASE("actors make and call actors, and submit tasks", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto team = session.Create<Team>(4);
  CHECK(session.Get(team.Call(&Team::Sum), kDeadline) == 6);
  std::vector<CounterHandle> members = session.Get(team.Call(&Team::Members), kDeadline);
  CHECK(session.Get(members[3].Call(&Counter::Add, 10), kDeadline) == 13);
  CHECK(session.Get(team.Call(&Team::SumOfTask, 1), kDeadline) == 17);
  CHECK(session.Get(team.Call(&Team::Self), kDeadline) == team);
  const int pid = session.Get(members[0].Call(&Counter::Pid), kDeadline);
  session.Kill(team);
  CHECK(AwaitEndOf(pid));  // with the actor that made it
}

TEST_CASE("an actor has a name that others find it by", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  Session other = head.Connect();
  const ActorOptions named{.name = "counter", .namespace_ = "tests"};
  auto counter = session.With(named).Create<Counter>(1);
  CHECK(other.Get(other.GetActor<Counter>("counter", "tests").Call(&Counter::Add, 1), kDeadline) ==
        2);
  CHECK_THROWS_AS(other.GetActor<Counter>("counter"), ActorNotFoundError);
  CHECK_THROWS_AS(other.GetActor<Recorder>("counter", "tests"), TypeMismatchError);
  CHECK_THROWS_AS(other.With(named).Create<Counter>(1), NameTakenError);
  ActorOptions existing = named;
  existing.get_if_exists = true;
  CHECK(other.With(existing).Create<Counter>(1) == counter);
  CHECK(session.Get(counter.Call(&Counter::Value)) == 2);
  session.Kill(counter);
  CHECK(WaitUntil(
      [&] {
        try {
          (void)other.GetActor<Counter>("counter", "tests");
          return false;
        } catch (const ActorNotFoundError&) {
          return true;
        }
      },
      kDeadline));
  CHECK(other.Get(other.With(existing).Create<Counter>(7).Call(&Counter::Value), kDeadline) == 7);
}

TEST_CASE("an actor is called by the names of its methods", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto counter = session.With(ActorOptions{.name = "counter"}).Create<Counter>(1);
  AnyActor any = session.GetActor("counter");
  CHECK(any.class_name() == "Counter");
  CHECK(session.Get(any.Call<int>("Add", session.Submit(Add, 2, 2)), kDeadline) == 5);
  CHECK_THROWS_AS(session.Get(any.Call<int>("Ad", 4), kDeadline), FunctionNotFoundError);
  CHECK_THROWS_AS(session.Get(any.Call<int>("Add", "x"), kDeadline), BadArgumentsError);
}

TEST_CASE("a detached actor outlives the program that made it", "[actor]") {
  TestHead head;
  Child driver = head.Drive("actor-detacher");
  CHECK(driver.AwaitExitCode() == 0);
  Session session = head.Connect();
  auto counter = session.GetActor<Counter>("kept");
  CHECK(session.Get(counter.Call(&Counter::Add, 1), kDeadline) == 42);
  session.Kill(counter);
  CHECK_THROWS_AS(session.Get(counter.Call(&Counter::Value), kDeadline), ActorDiedError);
}

TEST_CASE("an actor ends with the program that made it", "[actor]") {
  TestHead head;
  Child driver = head.Drive("actor-holder", {head.File("ready")});
  REQUIRE(AwaitFile(head.File("ready")));
  Session session = head.Connect();
  auto counter = session.GetActor<Counter>("held");
  const int pid = session.Get(counter.Call(&Counter::Pid), kDeadline);
  driver.Kill(SIGKILL);
  CHECK(AwaitEndOf(pid));
  CHECK_THROWS_AS(session.Get(counter.Call(&Counter::Value), kDeadline), ActorDiedError);
}

TEST_CASE("calls run beside each other up to max_concurrency", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto counter = session.With(ActorOptions{.max_concurrency = 2, .concurrency_groups = {{"io", 1}}})
                     .Create<Counter>(0);
  auto gated = [&](const std::string& gate, const std::string& group = "") {
    return counter.With({.concurrency_group = group})
        .Call(&Counter::Gate, head.File("begun" + gate), head.File(gate));
  };
  auto one = gated("a"), two = gated("b"), three = gated("c"), four = gated("d", "io");
  for (const char* gate : {"beguna", "begunb", "begund"}) CHECK(AwaitFile(head.File(gate)));
  CHECK_FALSE(Exists(head.File("begunc")));
  Append(head.File("b"), "x");
  CHECK(session.Get(two, kDeadline));
  CHECK(AwaitFile(head.File("begunc")));
  for (const char* gate : {"a", "c", "d"}) Append(head.File(gate), "x");
  CHECK(session.Get(one, kDeadline));
  CHECK(session.Get(three, kDeadline));
  CHECK(session.Get(four, kDeadline));
}

TEST_CASE("a call over max_pending_calls is refused", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto counter = session.With(ActorOptions{.max_pending_calls = 3}).Create<Counter>(0);
  session.Get(counter.Call(&Counter::Value), kDeadline);
  auto gate = counter.Call(&Counter::Gate, head.File("begun"), head.File("gate"));
  auto first = counter.Call(&Counter::Add, 1);
  auto second = counter.Call(&Counter::Add, 1);
  CHECK_THROWS_AS(counter.Call(&Counter::Add, 1), PendingCallsLimitError);
  CHECK_THROWS_AS(counter.Call(&Counter::Add, 1), ResourceExhaustedError);
  Append(head.File("gate"), "x");
  CHECK(session.Get(second, kDeadline) == 2);
  CHECK(session.Get(counter.Call(&Counter::Add, 1), kDeadline) == 3);
}

TEST_CASE("a call is cancelled, queued or running", "[actor]") {
  TestHead head;
  Session session = head.Connect();
  auto counter = session.Create<Counter>(0);
  auto running = counter.Call(&Counter::Gate, head.File("begun"), head.File("gate"));
  auto queued = counter.Call(&Counter::Add, 1);
  REQUIRE(AwaitFile(head.File("begun")));
  session.Cancel(queued);
  CHECK_THROWS_AS(session.Get(queued, kDeadline), TaskCancelledError);
  session.Cancel(running);
  CHECK_FALSE(session.Get(running, kDeadline));
  CHECK(session.Get(counter.Call(&Counter::Value), kDeadline) == 0);
}

TEST_CASE("an actor with CPUs holds them, one without holds none", "[actor]") {
  TestHead head({.num_cpus = 2});
  Session session = head.Connect();
  std::vector<CounterHandle> idle;
  for (int i = 0; i < 10; ++i) idle.push_back(session.Create<Counter>(i));
  for (const auto& counter : idle) session.Get(counter.Call(&Counter::Value), kDeadline);
  CHECK(head.Status().used().num_cpus() == 0);
  auto greedy = session.With(ActorOptions{.num_cpus = 1.5}).Create<Counter>(0);
  session.Get(greedy.Call(&Counter::Value), kDeadline);
  CHECK(head.Status().used().num_cpus() == 1.5);
  auto refused = session.With(ActorOptions{.num_cpus = 3}).Create<Counter>(0);
  CHECK_THROWS_AS(session.Get(refused.Call(&Counter::Value), kDeadline), TaskUnschedulableError);
}

}  // namespace kiln::testing
