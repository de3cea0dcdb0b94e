#include "common/peer/object_cache.h"

#include <catch2/catch.hpp>
#include <vector>

namespace kiln::peer {
namespace {

TEST_CASE("the head hears of the first handle and of the last, not of those between") {
  ObjectCache cache;
  CHECK(cache.AddHandle(7, /*from_head=*/false));
  CHECK_FALSE(cache.AddHandle(7, false));
  CHECK(cache.DropHandle(7) == 0);
  CHECK(cache.DropHandle(7) == 1);
  CHECK(cache.Find(7) == nullptr);
  CHECK(cache.DropHandle(7) == 0);
}

TEST_CASE("references the head counted by itself are given back too") {
  ObjectCache cache;
  CHECK_FALSE(cache.AddHandle(7, /*from_head=*/true));
  CHECK_FALSE(cache.AddHandle(7, true));
  CHECK(cache.DropHandle(7) == 0);
  CHECK(cache.DropHandle(7) == 2);
}

TEST_CASE("a watched object is told once, and only with its value") {
  ObjectCache cache;
  cache.AddHandle(1, true);
  CHECK_FALSE(cache.OnValue(2, value::CopyBytes("x")));  // unknown
  cache.Find(1)->watched = true;
  CHECK_FALSE(cache.OnReady(1));
  CHECK(cache.OnValue(1, value::CopyBytes("x")));
  CHECK_FALSE(cache.OnValue(1, value::CopyBytes("x")));
}

TEST_CASE("a waiter for values is not content with readiness") {
  ObjectCache cache;
  cache.AddHandle(1, true);
  std::vector<ObjectId> ids = {1};
  Waiter values, readiness;
  CHECK(cache.StartWaiting(ids, /*for_value=*/true, &values) == ids);
  CHECK(cache.StartWaiting(ids, /*for_value=*/false, &readiness) == ids);
  values.missing = readiness.missing = 1;
  cache.OnReady(1);
  CHECK(readiness.missing == 0);
  CHECK(values.missing == 1);
  cache.OnValue(1, value::CopyBytes("x"));
  CHECK(values.missing == 0);
  CHECK(cache.StartWaiting(ids, true, &values).empty());
}

TEST_CASE("a waiter that has enough is not told of more") {
  ObjectCache cache;
  std::vector<ObjectId> ids = {1, 2, 3};
  for (ObjectId id : ids) cache.AddHandle(id, true);
  Waiter waiter;
  cache.StartWaiting(ids, false, &waiter);
  waiter.missing = 1;
  for (ObjectId id : ids) cache.OnReady(id);
  CHECK(waiter.missing == 0);
}

TEST_CASE("an object named twice is waited for once") {
  ObjectCache cache;
  cache.AddHandle(1, true);
  std::vector<ObjectId> ids = {1, 1, 1};
  Waiter waiter;
  CHECK(cache.StartWaiting(ids, true, &waiter).size() == 1);
}

TEST_CASE(
    "answers for objects released meanwhile, and waiters that gave up, are nobody's concern") {
  ObjectCache cache;
  cache.OnReady(5);
  cache.OnValue(5, value::CopyBytes("x"));
  CHECK(cache.size() == 0);
  cache.AddHandle(6, true);
  std::vector<ObjectId> ids = {6};
  {
    Waiter gone;
    cache.StartWaiting(ids, false, &gone);
    cache.StopWaiting(ids, &gone);
  }
  cache.OnReady(6);
  CHECK(cache.Find(6)->sealed);
}

}  // namespace
}  // namespace kiln::peer
