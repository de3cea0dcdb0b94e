#include <catch2/catch.hpp>
#include <thread>

#include "common/value/error_value.h"
#include "common/value/json.h"
#include "kiln/kiln.h"
#include "tests/unit/fake_runtime.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;

struct Person {
  std::string name;
  int age = 0;
  KILN_STRUCT(name, age)
};

int Add(int a, int b) {
  return a + b;
}
KILN_TASK(Add);

double Half(double number) {
  return number / 2;
}
KILN_TASK(Half);

std::string Greet(const Person& person, std::string_view greeting) {
  return std::string(greeting) + ", " + person.name;
}
KILN_TASK(Greet);

size_t Length(std::string text) noexcept {
  return text.size();
}
KILN_TASK(Length);

void Nothing() {}
KILN_TASK(Nothing);

void Fail(const std::string& message) {
  throw std::out_of_range(message);
}
KILN_TASK(Fail);

int Odd(int) {
  throw 42;
}
KILN_TASK(Odd);

std::vector<std::string> Split(int count) {
  std::vector<std::string> parts;
  for (int i = 0; i < count; ++i) parts.push_back("part " + std::to_string(i));
  return parts;
}
KILN_TASK(Split);

std::vector<double> SplitNumbers() {
  return {1.5, 2.5};
}
KILN_TASK(SplitNumbers);

std::tuple<int, std::string> NumberAndText() {
  return {7, "seven"};
}
KILN_TASK(NumberAndText);

std::pair<bool, std::vector<int>> FlagAndNumbers() {
  return {true, {1, 2}};
}
KILN_TASK(FlagAndNumbers);

int Nested(int depth) {
  if (depth == 0) return 1;
  Session session = CurrentSession();
  return 1 + session.Get(session.Submit(Nested, depth - 1));
}
KILN_TASK(Nested);

int CallsFail() {
  Session session = CurrentSession();
  session.Get(session.Submit(Fail, "inner"));
  return 0;
}
KILN_TASK(CallsFail);

std::vector<Ref<int>> MakeRefs(int count) {
  Session session = CurrentSession();
  std::vector<Ref<int>> refs;
  for (int i = 0; i < count; ++i) refs.push_back(session.Put(i));
  return refs;
}
KILN_TASK(MakeRefs);

int SumRefs(const std::vector<Ref<int>>& refs) {
  int sum = 0;
  for (int number : CurrentSession().Get(refs)) sum += number;
  return sum;
}
KILN_TASK(SumRefs);

std::string IdOf(Ref<int> ref) {
  return ref.id();
}
KILN_TASK(IdOf);

int Unregistered(int number) {
  return number;
}

struct Fixture {
  std::shared_ptr<testing::FakeRuntime> runtime = std::make_shared<testing::FakeRuntime>();
  Session session{runtime};

  template <typename T>
  Ref<T> RefTo(const std::string& bytes) {
    detail::Id id = runtime->PutBytes(bytes);
    return Ref<T>(std::make_shared<const detail::RefHandle>(runtime, id));
  }
};

TEST_CASE_METHOD(Fixture, "a task's result is got through its ref", "[api]") {
  Ref<int> a = session.Submit(Add, 1, 2);
  Ref<int> b = session.With({.num_cpus = 2, .max_retries = 0}).Submit(Add, a, 3);
  CHECK(session.Get(b) == 6);
  REQUIRE(runtime->submitted.size() == 2);
  CHECK(runtime->submitted[0].function == "Add");
  CHECK(runtime->submitted[0].library.empty());
  CHECK(runtime->submitted[0].options == TaskOptions{});
  CHECK(runtime->submitted[1].options.num_cpus == 2);
  CHECK(runtime->submitted[1].options.max_retries == 0);
}

TEST_CASE_METHOD(Fixture, "arguments are converted as a call would, without losing anything",
                 "[api]") {
  CHECK(session.Get(session.Submit(Half, 3)) == 1.5);
  CHECK(session.Get(session.Submit(Half, session.Submit(Add, 1, 2))) == 1.5);
  CHECK(session.Get(session.Submit(Add, short{1}, 'a')) == 98);
  CHECK(session.Get(session.Submit(Length, "four")) == 4);
  CHECK(session.Get(session.Submit(Length, std::string_view("four"))) == 4);
  CHECK(session.Get(session.Submit(Greet, Person{"Ada", 36}, "Hello")) == "Hello, Ada");
  CHECK_THROWS_AS(session.Submit(Add, int64_t{1} << 40, 1), BadArgumentsError);
  CHECK_THROWS_AS(session.Submit(Add, SIZE_MAX, 1), BadArgumentsError);
}

TEST_CASE_METHOD(Fixture, "a function that returns nothing gives a Ref<void>", "[api]") {
  Ref<void> done = session.Submit(Nothing);
  session.Get(done);
  session.Get(std::vector<Ref<void>>{done, session.Submit(Nothing)});
  CHECK_THROWS_AS(session.Get(session.Submit(Fail, "x")), TaskError);
}

TEST_CASE_METHOD(Fixture, "many refs are got at once, in their order", "[api]") {
  std::vector<Ref<int>> refs;
  for (int i = 0; i < 100; ++i) refs.push_back(session.Submit(Add, i, i));
  std::vector<int> got = session.Get(refs);
  REQUIRE(got.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(got[i] == 2 * i);
  CHECK(session.Get(std::vector<Ref<int>>()).empty());
}

TEST_CASE_METHOD(Fixture, "put values come back", "[api]") {
  CHECK(session.Get(session.Put(5)) == 5);
  CHECK(session.Get(session.Put("text")) == "text");
  CHECK(session.Get(session.Put(std::string_view("view"))) == "view");
  const std::map<std::string, int> map = {{"a", 1}};
  CHECK(session.Get(session.Put(map)) == map);
  CHECK(session.Get(session.Put(Person{"Ada", 36})).age == 36);
  CHECK(session.Get(session.Put(std::vector<bool>{true, false})) == std::vector<bool>{true, false});
}

TEST_CASE_METHOD(Fixture, "an exception arrives with type, message, task and process", "[api]") {
  Ref<void> failed = session.With({.name = "my task"}).Submit(Fail, "too far");
  try {
    session.Get(failed);
    FAIL("nothing was thrown");
  } catch (const TaskError& error) {
    CHECK(error.type() == "std::out_of_range");
    CHECK(error.message() == "too far");
    CHECK(error.task() == "my task");
    CHECK(error.worker_pid() == ::getpid());
    CHECK(error.chain().empty());
    CHECK_THAT(error.what(), Catch::Contains("too far") && Catch::Contains("my task"));
  }
}

TEST_CASE_METHOD(Fixture, "whatever is thrown arrives", "[api]") {
  try {
    session.Get(session.Submit(Odd, 1));
    FAIL("nothing was thrown");
  } catch (const TaskError& error) {
    CHECK(error.type() == "int");
  }
}

TEST_CASE_METHOD(Fixture, "an error that comes up through another task keeps its kind and origin",
                 "[api]") {
  try {
    session.Get(session.Submit(CallsFail));
    FAIL("nothing was thrown");
  } catch (const TaskError& error) {
    CHECK(error.type() == "std::out_of_range");
    CHECK(error.message() == "inner");
    CHECK(error.task() == "Fail");
    CHECK(error.chain() == std::vector<std::string>{"CallsFail"});
  }
}

template <typename Exception>
void CheckKind(Fixture& fixture, ErrorKind kind) {
  ErrorInfo info{kind, "T", "what happened", "Task", 12, {"Outer"}};
  Ref<int> ref = fixture.RefTo<int>(EncodeError(info));
  try {
    fixture.session.Get(ref);
    FAIL("nothing was thrown");
  } catch (const Exception& error) {
    CHECK(typeid(error) == typeid(Exception));
    CHECK(*error.info() == info);
  }
}

TEST_CASE_METHOD(Fixture, "every kind of error has its exception", "[api]") {
  CheckKind<TaskError>(*this, ErrorKind::kTaskFailed);
  CheckKind<WorkerCrashedError>(*this, ErrorKind::kWorkerCrashed);
  CheckKind<TaskCancelledError>(*this, ErrorKind::kCancelled);
  CheckKind<TaskTimeoutError>(*this, ErrorKind::kTimedOut);
  CheckKind<TaskUnschedulableError>(*this, ErrorKind::kUnschedulable);
  CheckKind<FunctionNotFoundError>(*this, ErrorKind::kFunctionNotFound);
  CheckKind<BadArgumentsError>(*this, ErrorKind::kInvalidArguments);
  CheckKind<ObjectStoreFullError>(*this, ErrorKind::kObjectStoreFull);
  CheckKind<ResourceExhaustedError>(*this, ErrorKind::kResourceExhausted);
  CheckKind<ObjectLostError>(*this, ErrorKind::kObjectLost);
}

TEST_CASE_METHOD(Fixture, "an object of another type is told when it is got", "[api]") {
  Ref<int> number = session.Put(5);
  CHECK_THROWS_WITH(session.Get(session.FromId<std::string>(number.id())),
                    "object " + number.id() + ": expected string, got 5");
  CHECK_THROWS_AS(session.Get(RefTo<int>("nonsense")), TypeMismatchError);
  CHECK_THROWS_AS(session.Get(RefTo<int>(value::Parts{.kind = value::Kind::kPickle}.ToString())),
                  TypeMismatchError);
}

TEST_CASE_METHOD(Fixture, "a get that takes too long throws", "[api]") {
  runtime->hold_tasks = true;
  Ref<int> slow = session.Submit(Add, 1, 2);
  CHECK_THROWS_AS(session.Get(slow, 20ms), GetTimeoutError);
  CHECK_THROWS_WITH(session.Get(slow, 2s), Catch::Contains("after 2000 ms"));
  runtime->RunHeld();
  CHECK(session.Get(slow, 1s) == 3);
}

TEST_CASE_METHOD(Fixture, "wait parts refs in their order, with no more ready than asked",
                 "[api]") {
  runtime->hold_tasks = true;
  std::vector<Ref<int>> refs;
  for (int i = 0; i < 5; ++i) refs.push_back(session.Submit(Add, i, 0));
  runtime->RunHeld(3);
  WaitResult<int> two = session.Wait(refs, 2);
  CHECK(two.ready == std::vector<Ref<int>>{refs[0], refs[1]});
  CHECK(two.not_ready == std::vector<Ref<int>>{refs[2], refs[3], refs[4]});
  WaitResult<int> all = session.Wait(refs, 5, 1ms);
  CHECK(all.ready.size() == 3);
  CHECK(all.not_ready.size() == 2);
  CHECK_THROWS_AS(session.Wait(refs, 0), std::invalid_argument);
  CHECK_THROWS_AS(session.Wait(refs, 6), std::invalid_argument);
  runtime->RunHeld();
}

TEST_CASE_METHOD(Fixture, "cancel names the task by its ref", "[api]") {
  Ref<int> ref = session.Submit(Add, 1, 2);
  session.Cancel(ref);
  session.Cancel(ref, true);
  detail::Id id = detail::ParseId(ref.id());
  CHECK(runtime->cancelled == std::vector<std::pair<detail::Id, bool>>{{id, false}, {id, true}});
}

TEST_CASE_METHOD(Fixture, "each element of a vector becomes an object", "[api]") {
  std::vector<Ref<std::string>> refs = session.With({.num_returns = 3}).SubmitMany(Split, 3);
  CHECK(session.Get(refs) == std::vector<std::string>{"part 0", "part 1", "part 2"});
  std::vector<Ref<std::string>> one = session.With({}).SubmitMany(Split, 1);
  CHECK(session.Get(one) == std::vector<std::string>{"part 0"});
  CHECK(session.Get(session.With({.num_returns = 2}).SubmitMany(SplitNumbers)) ==
        std::vector<double>{1.5, 2.5});
  CHECK(session.Get(session.With({.num_returns = 7}).Submit(Split, 2)).size() == 2);
  CHECK_THROWS_AS(session.With({.num_returns = 0}).SubmitMany(Split, 1), std::invalid_argument);
  CHECK_THROWS_WITH(session.Get(session.With({.num_returns = 2}).SubmitMany(Split, 3)),
                    Catch::Contains("returned 3 values, but num_returns is 2"));
}

TEST_CASE_METHOD(Fixture, "each element of a tuple becomes an object", "[api]") {
  auto [number, text] = session.With({}).SubmitTuple(NumberAndText);
  CHECK(session.Get(number) == 7);
  CHECK(session.Get(text) == "seven");
  auto [flag, numbers] = session.With({}).SubmitTuple(FlagAndNumbers);
  CHECK(session.Get(flag));
  CHECK(session.Get(numbers) == std::vector{1, 2});
}

TEST_CASE_METHOD(Fixture, "tasks submit tasks", "[api]") {
  CHECK(session.Get(session.Submit(Nested, 10)) == 11);
  CHECK_THROWS_AS(CurrentSession(), std::logic_error);
}

TEST_CASE_METHOD(Fixture, "refs travel inside values and keep their objects", "[api]") {
  Ref<std::vector<Ref<int>>> outer = session.Submit(MakeRefs, 4);
  std::vector<Ref<int>> inner = session.Get(outer);
  CHECK(session.Get(inner) == std::vector{0, 1, 2, 3});
  CHECK(session.Get(session.Submit(SumRefs, inner)) == 6);
  CHECK(session.Get(session.Submit(SumRefs, outer)) == 6);
  // A parameter that is a ref gets the ref itself.
  CHECK(session.Get(session.Submit(IdOf, inner[0])) == inner[0].id());
}

TEST_CASE_METHOD(Fixture, "references are given back with the last copy of a ref", "[api]") {
  {
    Ref<int> first = session.Put(1);
    detail::Id id = detail::ParseId(first.id());
    Ref<int> second = first;
    first = Ref<int>();
    CHECK(runtime->ReferenceCount(id) == 1);
    Ref<int> third = session.FromId<int>(second.id());
    CHECK(runtime->ReferenceCount(id) == 2);
    CHECK(second == third);
    auto many = session.With({.num_returns = 3}).SubmitMany(Split, 3);
    CHECK(runtime->TotalReferences() == 5);
  }
  CHECK(runtime->TotalReferences() == 0);
}

TEST_CASE_METHOD(Fixture, "an empty or foreign ref is a mistake that is told", "[api]") {
  Ref<int> empty;
  CHECK_FALSE(empty);
  CHECK_THROWS_AS(empty.id(), std::logic_error);
  CHECK_THROWS_AS(session.Get(empty), std::logic_error);
  CHECK_THROWS_AS(session.Submit(Add, empty, 1), std::logic_error);
  Session other{std::make_shared<testing::FakeRuntime>()};
  CHECK_THROWS_AS(session.Submit(Add, other.Put(1), 1), std::invalid_argument);
  CHECK_THROWS_AS(session.FromId<int>("12"), std::invalid_argument);
}

TEST_CASE_METHOD(Fixture, "a function without KILN_TASK is a mistake that is told", "[api]") {
  CHECK_THROWS_WITH(session.Submit(Unregistered, 1), Catch::Contains("KILN_TASK"));
}

TEST_CASE_METHOD(Fixture, "one session serves several threads", "[api]") {
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) right += session.Get(session.Submit(Add, t, i)) == t + i;
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right == 800);
  CHECK(runtime->TotalReferences() == 0);
}

}  // namespace
}  // namespace kiln
