#include "kiln/array.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>

#include "common/value/json.h"
#include "kiln/kiln.h"
#include "tests/unit/fake_runtime.h"

namespace kiln {
namespace {

double Sum(std::span<const double> numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), 0.0);
}
KILN_TASK(Sum);

size_t Axes(const Array<double>& array) {
  return array.shape().size();
}
KILN_TASK(Axes);

Array<double> Scaled(const Array<double>& in, double factor) {
  WritableArray<double> out = MakeArray<double>(in.shape());
  for (size_t i = 0; i < in.size(); ++i) out[i] = in[i] * factor;
  return out;
}
KILN_TASK(Scaled);

std::vector<int> Reversed(std::vector<int> numbers) {
  return {numbers.rbegin(), numbers.rend()};
}
KILN_TASK(Reversed);

Array<double> Same(Array<double> array) {
  return array;
}
KILN_TASK(Same);

WritableArray<float> Ones(size_t size) {
  auto out = MakeArray<float>(size);
  std::fill(out.begin(), out.end(), 1.0f);
  return out;
}
KILN_TASK(Ones);

struct Fixture {
  std::shared_ptr<testing::FakeRuntime> runtime = std::make_shared<testing::FakeRuntime>();
  Session session{runtime};

  template <typename T>
  Ref<T> FromJson(const char* json) {
    detail::Id id = runtime->PutBytes(value::ParseJson(json)->value);
    return Ref<T>(std::make_shared<const detail::RefHandle>(runtime, id));
  }
};

TEST_CASE_METHOD(Fixture, "an array made by Create is sealed where it lies", "[array]") {
  WritableArray<double> matrix = session.Create<double>({200, 300});
  CHECK(reinterpret_cast<uintptr_t>(matrix.data()) % 64 == 0);
  CHECK(matrix.size() == 60'000);
  std::iota(matrix.begin(), matrix.end(), 0.0);
  matrix(1, 2) = 50;
  const double* place = matrix.data();
  Ref<Array<double>> ref = session.Put(std::move(matrix));
  CHECK(runtime->rooms_sealed == 1);
  Array<double> got = session.Get(ref);
  CHECK(got.data() == place);
  CHECK(got.shape() == std::vector<size_t>{200, 300});
  CHECK(got(0, 1) == 1);
  CHECK(got(1, 2) == 50);
}

TEST_CASE_METHOD(Fixture, "a small array takes no room in the store", "[array]") {
  auto small = session.Create<int>({2, 2});
  std::iota(small.begin(), small.end(), 1);
  Ref<Array<int>> ref = session.Put(std::move(small));
  CHECK(runtime->rooms_created == 0);
  CHECK(std::ranges::equal(session.Get(ref), std::vector{1, 2, 3, 4}));
}

TEST_CASE_METHOD(Fixture, "an array put twice becomes two objects", "[array]") {
  auto filled = session.Create<int>(100'000);
  std::iota(filled.begin(), filled.end(), 1);
  Array<int> array = std::move(filled);
  Ref<Array<int>> first = session.Put(array);
  Ref<Array<int>> second = session.Put(array);
  CHECK(runtime->rooms_sealed == 1);
  CHECK(first != second);
  CHECK(std::ranges::equal(session.Get(second), array));
  CHECK(session.Get(first).data() != session.Get(second).data());
}

TEST_CASE_METHOD(Fixture, "a task's array result is made in place", "[array]") {
  Ref<Array<float>> ones = session.Submit(Ones, 100'000);
  CHECK(runtime->rooms_created == 1);
  CHECK(runtime->rooms_sealed == 1);
  Array<float> got = session.Get(ones);
  CHECK(got.size() == 100'000);
  CHECK(std::ranges::count(got, 1.0f) == 100'000);
}

TEST_CASE_METHOD(Fixture, "arrays, vectors and spans of one type are the same value", "[array]") {
  std::vector<double> numbers = {1, 2, 3.5};
  CHECK(session.Get(session.Submit(Sum, numbers)) == 6.5);
  CHECK(session.Get(session.Submit(Sum, std::span<const double>(numbers))) == 6.5);
  CHECK(session.Get(session.Submit(Sum, Array<double>(numbers))) == 6.5);
  Ref<std::vector<double>> vector = session.Put(numbers);
  Ref<Array<double>> scaled = session.Submit(Scaled, vector, 2);
  CHECK(session.Get(session.Submit(Sum, scaled)) == 13);
  CHECK(session.Get(session.Submit(Reversed, std::vector{1, 2})) == std::vector{2, 1});
  CHECK(session.Get(session.Put(std::vector<float>())).empty());
}

TEST_CASE_METHOD(Fixture, "an array is received without a copy and may be returned", "[array]") {
  Ref<Array<double>> put = session.Put(Array<double>({1, 2, 3}));
  Array<double> first = session.Get(put);
  CHECK(first.data() == session.Get(put).data());
  Array<double> same = session.Get(session.Submit(Same, put));
  CHECK(std::ranges::equal(same, first));
}

TEST_CASE_METHOD(Fixture, "an array outlives its ref and session", "[array]") {
  Array<double> kept;
  {
    Session other{std::make_shared<testing::FakeRuntime>()};
    kept = other.Get(other.Put(Array<double>({4, 5})));
  }
  CHECK(kept[1] == 5);
}

TEST_CASE_METHOD(Fixture, "lists, as JSON has them, are arrays", "[array]") {
  CHECK(session.Get(session.Submit(Sum, FromJson<Array<double>>("[1, 2.5]"))) == 3.5);
  Array<int> cube = session.Get(FromJson<Array<int>>("[[[1,2]],[[3,4]]]"));
  CHECK(cube.shape() == std::vector<size_t>{2, 1, 2});
  CHECK(std::ranges::equal(cube, std::vector{1, 2, 3, 4}));
  CHECK(session.Get(FromJson<std::vector<double>>("[]")).empty());
  CHECK(session.Get(FromJson<Array<int>>("[[],[]]")).shape() == std::vector<size_t>{2, 0});
}

TEST_CASE_METHOD(Fixture, "lists that are no array are refused", "[array]") {
  auto refusal = [&](const char* json) -> std::string {
    try {
      session.Get(FromJson<Array<int>>(json));
      return "accepted";
    } catch (const TypeMismatchError& error) {
      return error.message();
    }
  };
  CHECK_THAT(refusal("[[1],[2,3]]"), Catch::EndsWith("got lists of different lengths"));
  CHECK_THAT(refusal("[[1],2]"), Catch::EndsWith("got lists of different depths"));
  CHECK_THAT(refusal("[1,[2]]"), Catch::Contains("different"));
  CHECK_THAT(refusal("5"), Catch::EndsWith("expected kiln::Array<int>, got 5"));
  CHECK_THAT(refusal("[\"x\"]"), Catch::EndsWith("expected int, got string \"x\""));
  std::string deep = std::string(40, '[') + "1" + std::string(40, ']');
  CHECK_THAT(refusal(deep.c_str()), Catch::Contains("different"));
}

TEST_CASE_METHOD(Fixture, "numbers of another type are converted if they fit", "[array]") {
  Ref<std::vector<int64_t>> longs = session.Put(std::vector<int64_t>{1, -2, 3});
  CHECK(session.Get(session.FromId<std::vector<double>>(longs.id())) ==
        std::vector<double>{1, -2, 3});
  CHECK(session.Get(session.FromId<std::vector<int8_t>>(longs.id())) ==
        std::vector<int8_t>{1, -2, 3});
  CHECK_THROWS_WITH(session.Get(session.FromId<std::vector<uint16_t>>(longs.id())),
                    Catch::Contains("got -2 at position 1"));
  Ref<std::vector<double>> reals = session.Put(std::vector<double>{1, 2});
  CHECK_THROWS_WITH(session.Get(session.FromId<std::vector<int>>(reals.id())),
                    Catch::Contains("got reals (<f8)"));
  CHECK(session.Get(session.FromId<std::vector<float>>(reals.id())) == std::vector<float>{1, 2});
}

TEST_CASE_METHOD(Fixture, "a matrix is no vector", "[array]") {
  Ref<Array<double>> matrix = session.Put(session.Create<double>({2, 2}));
  CHECK(session.Get(session.Submit(Axes, matrix)) == 2);
  CHECK_THROWS_WITH(session.Get(session.Submit(Sum, matrix)),
                    Catch::Contains("got an array of 2 axes"));
  CHECK_THROWS_WITH(session.Get(session.FromId<std::string>(matrix.id())),
                    Catch::Contains("expected std::string, got an array <f8 of shape [2, 2]"));
}

TEST_CASE_METHOD(Fixture, "an array larger than any memory is refused", "[array]") {
  CHECK_THROWS_AS(session.Create<double>({size_t{1} << 40, size_t{1} << 40}), std::length_error);
  CHECK_THROWS_AS(session.Create<double>(SIZE_MAX), std::length_error);
  runtime->store_full = true;
  CHECK_THROWS_AS(session.Create<double>(1'000'000), ObjectStoreFullError);
}

TEST_CASE("outside of a task arrays are made in private memory", "[array]") {
  WritableArray<int> array = MakeArray<int>({3, 4});
  CHECK(reinterpret_cast<uintptr_t>(array.data()) % 64 == 0);
  array(2, 3) = 7;
  Array<int> done = std::move(array);
  CHECK(done[11] == 7);
  CHECK(Array<int>().empty());
  CHECK(Array<int>().span().empty());
}

}  // namespace
}  // namespace kiln
