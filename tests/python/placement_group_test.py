"""kiln.util.placement_group: bundles of resources that are reserved together."""

from __future__ import annotations

import os
import unittest

import kiln
from kiln.util.placement_group import placement_group, remove_placement_group
from kiln.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from calls import Folder, setUpModule, tearDownModule, touch, wait_for_file


@kiln.remote
def wait(path, begun=None):
    if begun:
        touch(begun)
    wait_for_file(path)
    return os.getpid()


@kiln.remote
def answer():
    return 42


@kiln.remote
class Counter:
    def __init__(self):
        self.count = 0

    def add(self):
        self.count += 1
        return self.count


class PlacementGroupTest(Folder):
    def make(self, *args, **kwargs):
        group = placement_group(*args, **kwargs)
        self.addCleanup(remove_placement_group, group)
        return group

    def test_a_group_is_reserved_and_its_tasks_run(self) -> None:
        group = self.make([{"CPU": 1}, {"CPU": 1}], name="both")
        self.assertIsNone(kiln.get(group.ready(), timeout=30))
        self.assertEqual(group.bundle_count, 2)
        self.assertEqual(kiln.available_resources().get("CPU", 0), 0)
        inside = answer.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group))
        self.assertEqual(kiln.get(inside.remote(), timeout=30), 42)
        self.assertEqual(kiln.get(answer.options(
            placement_group=group, placement_group_bundle_index=1).remote(), timeout=30), 42)

    def test_others_wait_until_it_is_removed(self) -> None:
        group = placement_group([{"CPU": 2}])
        self.assertTrue(group.wait(30))
        outside = answer.remote()
        self.assertEqual(kiln.wait([outside], timeout=0.05)[0], [])
        remove_placement_group(group)
        self.assertEqual(kiln.get(outside, timeout=30), 42)

    def test_it_is_reserved_as_a_whole(self) -> None:
        path = self.path("go")
        busy = wait.remote(path, self.path("begun"))
        wait_for_file(self.path("begun"))
        group = self.make([{"CPU": 1}, {"CPU": 1}])
        self.assertFalse(group.wait(0.05))
        inside = answer.options(placement_group=group).remote()
        self.assertEqual(kiln.wait([inside], timeout=0.05)[0], [])
        touch(path)
        kiln.get(busy)
        self.assertEqual(kiln.get(inside, timeout=30), 42)

    def test_an_actor_lives_on_its_bundle(self) -> None:
        group = placement_group([{"CPU": 1}])
        actor = Counter.options(num_cpus=1, scheduling_strategy=PlacementGroupSchedulingStrategy(
            group, placement_group_bundle_index=0)).remote()
        self.assertEqual(kiln.get([actor.add.remote() for _ in range(3)], timeout=30), [1, 2, 3])
        remove_placement_group(group)
        with self.assertRaises(kiln.exceptions.ActorDiedError):
            kiln.get(actor.add.remote(), timeout=30)

    def test_what_can_never_fit_says_so(self) -> None:
        with self.assertRaises(kiln.exceptions.TaskUnschedulableError):
            kiln.get(placement_group([{"CPU": 64}]).ready(), timeout=30)
        group = self.make([{"CPU": 1}])
        with self.assertRaises(kiln.exceptions.TaskUnschedulableError):
            kiln.get(answer.options(placement_group=group, num_cpus=2).remote(), timeout=30)

    def test_what_waits_in_a_removed_group_fails(self) -> None:
        group = placement_group([{"CPU": 1}])
        path = self.path("never")
        inside = wait.options(placement_group=group)
        refs = [inside.remote(path), inside.remote(path)]
        self.assertTrue(group.wait(30))
        remove_placement_group(group)
        for ref in refs:
            with self.assertRaises(kiln.exceptions.RayError):
                kiln.get(ref, timeout=30)
        with self.assertRaises(kiln.exceptions.TaskUnschedulableError):
            kiln.get(inside.remote(path), timeout=30)

    def test_a_group_goes_where_its_handle_goes(self) -> None:
        group = self.make([{"CPU": 1}])

        @kiln.remote(num_cpus=0.5)
        def use(group):
            return kiln.get(answer.options(placement_group=group).remote())

        self.assertEqual(kiln.get(use.remote(group), timeout=30), 42)

    def test_mistakes_are_told(self) -> None:
        for bundles in ([], [{}], [{"CPU": 0}], [{"CPU": -1}]):
            with self.assertRaises(ValueError):
                placement_group(bundles)
        with self.assertRaises(TypeError):
            placement_group([1])  # type: ignore[list-item]
        with self.assertRaisesRegex(ValueError, "one of PACK"):
            placement_group([{"CPU": 1}], strategy="NEAR")
        with self.assertRaisesRegex(ValueError, "one machine"):
            placement_group([{"CPU": 1}] * 2, strategy="STRICT_SPREAD")
        group = self.make([{"CPU": 1}])
        with self.assertRaisesRegex(ValueError, "has 1 bundles"):
            answer.options(placement_group=group, placement_group_bundle_index=1)
        with self.assertRaisesRegex(ValueError, "scheduling_strategy"):
            answer.options(scheduling_strategy="SOMEWHERE")
        self.assertEqual(kiln.get(answer.options(scheduling_strategy="SPREAD").remote(), timeout=30), 42)


if __name__ == "__main__":
    unittest.main()
