"""Placement groups over the session stream, on a head with 2 CPUs."""

import unittest

import grpc
import values
from head import HeadTest, group_pb2, session_pb2, state_pb2, task_pb2, wait_until
from stream import Stream, frame

Code = grpc.StatusCode
ADD, SLEEP = 1, 2


def cpus(*amounts):
    return [task_pb2.Resources(num_cpus=amount) for amount in amounts]


class Driver(Stream):
    def reserve(self, *amounts, group=0, **more):
        """Makes a group with a bundle of each of these amounts of CPUs. Returns: its id."""
        group = group or self.new_id()
        self.send(frame(create_group=group_pb2.CreateGroup(
            id=group, bundles=cpus(*amounts), value=values.integer(1), **more)))
        return group

    def remove(self, group):
        self.send(frame(remove_group=group_pb2.RemoveGroup(id=group)))

    def member(self, class_id, function, group, bundle_index=-1, num_cpus=1, **more):
        self.define(class_id, function, placement_group=group, bundle_index=bundle_index,
                    resources=task_pb2.Resources(num_cpus=num_cpus), **more)

    def add(self, class_id=ADD):
        return self.submit(class_id, values.integer(1), values.integer(2))

    def sync(self):
        """Returns when the head has seen all that was sent."""
        self.value(self.put(values.integer(0)))

    def number(self, object_id):
        return values.number(self.value(object_id).value)

    def error(self, object_id):
        """The bytes of the error that an object is."""
        kind, body, _ = values.decode(self.value(object_id).value)
        if kind != values.ERROR:
            raise AssertionError(f"no error: {body}")
        return body


class Groups(HeadTest):
    def tearDown(self):
        self.head.wait_until_empty()

    def drive(self):
        driver = Driver(self.head).greet()
        self.addCleanup(driver.cancel)
        return driver

    def close(self, driver):
        driver.send_end()
        self.assertEqual(driver.end()[0], Code.OK)

    def groups(self, *filters):
        request = state_pb2.ListRequest(filters=filters)
        return self.head.state.ListPlacementGroups(request).groups

    def group(self, group):
        [row] = self.groups(f"id={group:016x}")
        return row

    def test_a_group_is_reserved_used_and_removed(self):
        driver = self.drive()
        group = driver.reserve(1, 0.5, name="gang")
        self.assertEqual(driver.number(group), 1)
        row = self.group(group)
        self.assertEqual((row.name, row.state, row.session_number, list(row.bundles)),
                         ("gang", "CREATED", driver.welcome.session_number, cpus(1, 0.5)))
        self.assertEqual(self.head.status().used.num_cpus, 1.5)
        self.assertEqual(dict(self.head.status().used.custom), {})
        self.assertIn("{1 CPU} {0.5 CPU}", self.head.run("list", "placement-groups").stdout)
        driver.member(ADD, "Add", group, bundle_index=0)
        self.assertEqual(driver.number(driver.add()), 3)
        driver.remove(group)
        wait_until(lambda: self.group(group).state == "REMOVED", "it is removed")
        self.assertIn("it was removed", self.group(group).detail)
        self.assertEqual(self.head.status().used.num_cpus, 0)
        self.assertIn(b"UNSCHEDULABLE", driver.error(driver.add()))
        self.close(driver)

    def test_tasks_submitted_before_wait_for_their_group(self):
        driver = self.drive()
        first = driver.reserve(2)
        driver.value(first)
        second = driver.reserve(2)
        driver.member(ADD, "Add", second, num_cpus=2)
        task = driver.add()
        driver.sync()
        self.assertIn("num_cpus: 2 asked, 0 here", self.group(second).detail)
        wait_until(lambda: self.head.task_info(f"{task:016x}").detail
                   == "waits for its placement group", "the task waits")
        driver.remove(first)
        self.assertEqual(driver.number(task), 3)
        self.assertEqual(driver.number(second), 1)
        self.close(driver)

    def test_a_group_that_never_fits_is_an_error(self):
        driver = self.drive()
        group = driver.reserve(2, 1)
        self.assertIn(b"3 asked, 2 here", driver.error(group))
        self.assertEqual(self.group(group).state, "REMOVED")
        self.close(driver)

    def test_a_task_that_asks_for_more_than_its_bundle_is_an_error(self):
        driver = self.drive()
        group = driver.reserve(1, name="small")
        driver.member(ADD, "Add", group, bundle_index=0, num_cpus=2)
        self.assertIn(b"bundle 0 of its placement group small", driver.error(driver.add()))
        driver.member(SLEEP, "Add", group, bundle_index=3)
        self.assertIn(b"none with the index 3", driver.error(driver.add(SLEEP)))
        self.close(driver)

    def test_removal_ends_what_runs_in_the_group(self):
        driver = self.drive()
        group = driver.reserve(1)
        driver.member(SLEEP, "Sleep", group, max_retries=3)
        task = driver.submit(SLEEP, values.integer(60_000))
        driver.sync()
        self.head.wait_until_running(f"{task:016x}")
        self.assertEqual(self.group(group).used.num_cpus, 1)
        driver.remove(group)
        self.assertIn(b"its placement group was removed", driver.error(task))
        self.close(driver)

    def test_a_group_ends_with_its_session_a_detached_one_does_not(self):
        driver = self.drive()
        own, detached = driver.reserve(1), driver.reserve(1, detached=True)
        driver.value(own)
        driver.value(detached)
        self.close(driver)
        wait_until(lambda: self.group(own).state == "REMOVED", "its own is removed")
        self.assertIn("the driver that it lived for has ended", self.group(own).detail)
        row = self.group(detached)
        self.assertEqual((row.state, row.session_number), ("CREATED", 0))
        other = self.drive()
        other.member(ADD, "Add", detached)
        self.assertEqual(other.number(other.add()), 3)
        other.remove(detached)
        self.close(other)

    def test_broken_groups_end_the_session(self):
        for amounts, more in (((), {}), ((-1,), {}), ((1,) * 257, {}), ((1,), {"group": 1 << 40})):
            with self.subTest(amounts[:1], **more):
                driver = self.drive()
                driver.reserve(*amounts, **more)
                self.assertEqual(driver.end()[0], Code.INVALID_ARGUMENT)

    def test_unknown_groups_are_passed_over(self):
        driver = self.drive()
        driver.remove(12345)
        driver.define(ADD, "Add")
        self.assertEqual(driver.number(driver.add()), 3)
        self.close(driver)


if __name__ == "__main__":
    unittest.main()
