"""The calls of the package: init and shutdown, put, get, wait, refs, options, what a program asks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import gc
import json
import pickle
import threading
import time
import unittest
import weakref
from pathlib import Path

import kiln
from support import DriverCase, PlaceCase, wait_until


@kiln.remote
def add(a, b=0):
    return a + b


@kiln.remote
def sleep_for(seconds, value=None):
    time.sleep(seconds)
    return value


class Sessions(PlaceCase):
    def test_init_starts_a_head_that_ends_with_the_program(self) -> None:
        out = self.check_run("""
            import kiln, os
            assert not kiln.is_initialized()
            context = kiln.init(num_cpus=3, object_store_memory=100_000_000, resources={"gpu": 2})
            assert kiln.is_initialized() and context.owned
            resources = kiln.cluster_resources()
            assert resources["CPU"] == 3 and resources["gpu"] == 2, resources
            assert context.num_cpus == 3 and context.store_bytes >= 100_000_000, context.store_bytes
            for word in ("unix:/", "Workers", "3 CPUs", "Object store", "Dashboard", "started by this program"):
                assert word in repr(context), (word, repr(context))
            assert context.address_info["address"] == context.address
            kiln.shutdown()
            assert not kiln.is_initialized()
            kiln.shutdown()
            print(kiln.get(kiln.remote(lambda: 5).remote()))  # begins anew by itself
            """)
        self.assertEqual(out, "5\n")

    def test_every_call_begins_a_session_by_itself(self) -> None:
        for call in ("kiln.put(1)", "kiln.remote(len).remote([])", "kiln.cluster_resources()",
                     "kiln.nodes()"):
            with self.subTest(call):
                self.check_run(f"import kiln\n{call}\nassert kiln.is_initialized()")

    def test_init_twice_is_an_error_unless_that_is_ignored(self) -> None:
        self.check_run("""
            import kiln
            first = kiln.init(num_cpus=1)
            try: kiln.init()
            except RuntimeError as error: assert "ignore_reinit_error" in str(error)
            else: raise SystemExit("no error")
            assert kiln.init(ignore_reinit_error=True) is first
            with first: ref = kiln.put(1)
            assert not kiln.is_initialized()
            for _ in range(5):
                with kiln.init(num_cpus=1): assert kiln.get(kiln.remote(len).remote("ab")) == 2
            """)

    def test_a_running_head_is_joined_by_every_form_of_its_address(self) -> None:
        info = self.place.start_head()
        del self.place.env["KILN_SESSION_DIR"]
        directory = str(self.place.session_dir)
        try:
            for address, environment in ((info["address"], {}), (directory, {}),
                                         (None, {"KILN_ADDRESS": info["address"]}),
                                         (None, {"KILN_SESSION_DIR": directory}),
                                         ("auto", {"KILN_SESSION_DIR": directory})):
                with self.subTest(address=address, environment=environment):
                    out = self.check_run(f"""
                        import kiln
                        context = kiln.init({address!r})
                        assert not context.owned and "was running" in repr(context)
                        print(context.address)
                        """, env=environment)
                    self.assertEqual(out.strip(), info["address"])
            self.check_run("import kiln\nassert kiln.init('local', num_cpus=1).owned")
        finally:
            self.place.env["KILN_SESSION_DIR"] = directory

    def test_no_head_where_one_is_asked_for(self) -> None:
        self.check_run("""
            import kiln
            for address in ("auto", "/no/such/directory", "unix:/no/such.sock", "127.0.0.1:1", "nonsense"):
                try: kiln.init(address)
                except ConnectionError as error: assert str(error)
                else: raise SystemExit(f"no error: {address}")
                assert not kiln.is_initialized()
            """)

    def test_options_for_a_head_that_runs_already_are_refused(self) -> None:
        self.place.start_head()
        self.check_run("""
            import kiln
            for options in ({"num_cpus": 1}, {"object_store_memory": 10**8}, {"resources": {"a": 1}}):
                try: kiln.init(**options)
                except ValueError as error: assert "runs already" in str(error)
                else: raise SystemExit(f"no error: {options}")
                assert not kiln.is_initialized()
            """)

    def test_wrong_options_are_named(self) -> None:
        self.check_run("""
            import kiln, warnings
            for options, kind in (({"num_cpu": 1}, TypeError), ({"num_cpus": 0}, ValueError), ({"num_cpus": 1.5}, ValueError),
                                  ({"object_store_memory": -1}, ValueError), ({"runtime_env": {"pip": ["x"]}}, ValueError),
                                  ({"runtime_env": {"working_dir": "/no/such"}}, ValueError)):
                try: kiln.init(**options)
                except kind as error: assert next(iter(options)) in str(error), error
                else: raise SystemExit(f"no error: {options}")
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                kiln.init(num_cpus=1, dashboard_port=1, runtime_env={"env_vars": {"A": "b"}, "working_dir": "/"})
            assert "dashboard_port" in str(caught[0].message)
            import os
            assert kiln.get(kiln.remote(lambda: (os.getcwd(), os.environ["A"])).remote()) == ("/", "b")
            """)

    def test_what_was_got_stays_readable_after_shutdown(self) -> None:
        self.check_run("""
            import kiln, numpy
            kiln.init(num_cpus=1)
            array = kiln.get(kiln.put(numpy.ones(1_000_000)))
            small = kiln.get(kiln.put(numpy.ones(10)))
            kiln.shutdown()
            kiln.init(num_cpus=1)
            kiln.put(numpy.zeros(1_000_000))
            assert array.sum() == 1_000_000 and small.sum() == 10
            """)


class Objects(DriverCase):
    def test_put_get_and_lists_of_refs(self) -> None:
        refs = [kiln.put(i) for i in range(100)]
        self.assertEqual(kiln.get(refs), list(range(100)))
        self.assertEqual(kiln.get(tuple(refs[:2])), [0, 1])
        self.assertEqual(kiln.get([refs[0], refs[0]]), [0, 0])
        self.assertEqual(kiln.get([]), [])
        self.assertEqual(kiln.get(refs[3], timeout=0), 3)

    def test_a_ref_is_a_value_of_its_own(self) -> None:
        ref, other = kiln.put(1), kiln.put(1)
        [again] = kiln.get(kiln.put([ref]))
        self.assertTrue(again == ref and hash(again) == hash(ref) and again is not ref)
        self.assertTrue(ref != other and ref != 1 and len({ref, again, other}) == 2)
        self.assertEqual(repr(ref), f"ObjectRef({ref.hex()})")
        self.assertEqual((len(ref.hex()), bytes.fromhex(ref.hex())), (16, ref.binary()))
        self.assertIs(copy.copy(ref), ref)
        self.assertIs(copy.deepcopy([ref])[0], ref)
        self.assertIsNotNone(weakref.ref(ref)())
        self.assertIs(kiln.ObjectRef[int], kiln.ObjectRef)
        for wrong in (lambda: kiln.ObjectRef(), lambda: iter(ref), lambda: pickle.dumps(ref),
                      lambda: ref < other):
            with self.assertRaises(TypeError):
                wrong()

    def test_refs_as_arguments_are_values_and_inside_containers_refs(self) -> None:
        @kiln.remote
        def kinds(plain, inside, *, named):
            return type(plain).__name__, type(inside[0]).__name__, type(named).__name__, kiln.get(inside[0])

        ref = kiln.put(7)
        self.assertEqual(kiln.get(kinds.remote(ref, [ref], named=ref)),
                         ("int", "ObjectRef", "int", 7))
        chain = add.remote(1, 1)
        for _ in range(50):
            chain = add.remote(chain, b=ref)
        self.assertEqual(kiln.get(chain), 352)

    def test_a_ref_returned_by_a_task_lives_on(self) -> None:
        @kiln.remote
        def make():
            return [kiln.put(b"x" * 200_000), add.remote(1, 2)]

        stored, task = kiln.get(make.remote())
        self.assertEqual((len(kiln.get(stored)), kiln.get(task)), (200_000, 3))

    def test_wait_gives_what_is_ready_in_the_order_asked(self) -> None:
        slow, fast, stored = sleep_for.remote(1), add.remote(1), kiln.put(1)
        self.assertEqual(kiln.wait([slow, fast, stored], num_returns=2), ([fast, stored], [slow]))
        self.assertEqual(kiln.wait([slow, fast], timeout=0.01, num_returns=2), ([fast], [slow]))
        self.assertEqual(kiln.wait([slow], timeout=0), ([], [slow]))
        self.assertEqual(kiln.wait([fast, stored]), ([fast], [stored]))
        self.assertEqual(kiln.wait((slow,), fetch_local=False), ([slow], []))
        failed = kiln.remote(lambda: 1 / 0).remote()
        self.assertEqual(kiln.wait([failed]), ([failed], []))

    def test_a_loop_of_waits_sees_each_ref_once(self) -> None:
        refs = [sleep_for.options(num_cpus=0.1).remote(i % 7 / 500, i) for i in range(60)]
        seen = []
        while refs:
            ready, refs = kiln.wait(refs, num_returns=min(3, len(refs)))
            seen += kiln.get(ready)
        self.assertEqual(sorted(seen), list(range(60)))

    def test_futures_and_await(self) -> None:
        future = sleep_for.remote(0.05, 5).future()
        self.assertIsInstance(future, concurrent.futures.Future)
        self.assertEqual(future.result(timeout=30), 5)
        self.assertIsInstance(kiln.remote(lambda: 1 / 0).remote().future().exception(timeout=30),
                              ZeroDivisionError)

        async def main():
            ref = add.remote(1, 2)
            several = await asyncio.gather(*(add.remote(i) for i in range(20)), ref, ref)
            with self.assertRaises(ZeroDivisionError):
                await kiln.remote(lambda: 1 / 0).remote()
            slow = sleep_for.remote(60)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(slow, 0.05)
            kiln.cancel(slow)
            return several

        self.assertEqual(asyncio.run(main()), [*range(20), 3, 3])

    def test_objects_are_freed_when_their_refs_are_gone(self) -> None:
        kiln.get(add.remote(1))
        base = self.place.status()["objects"]
        refs = [kiln.put(i) for i in range(200)] + [add.remote(i) for i in range(200)]
        kiln.get(refs)
        cycle = [refs]
        cycle.append(cycle)
        del refs, cycle
        gc.collect()
        wait_until(lambda: self.place.status()["objects"] <= base, "the objects are freed")


class Tasks(DriverCase):
    def test_numbers_of_returns(self) -> None:
        pair = kiln.remote(num_returns=2)(lambda: (1, [2]))
        first, second = pair.remote()
        self.assertEqual((kiln.get(first), kiln.get(second)), (1, [2]))
        path = Path(self.place.work) / "touched"
        self.assertIsNone(kiln.remote(num_returns=0)(lambda: path.touch() or ()).remote())
        wait_until(path.exists, "the task without results ran")
        many = kiln.remote(lambda: range(1_000)).options(num_returns=1_000).remote()
        self.assertEqual(kiln.get(many), list(range(1_000)))

    def test_options_are_checked_where_they_are_given(self) -> None:
        for options, kind in (({"cpus": 1}, ValueError), ({"num_cpus": -1}, ValueError),
                              ({"num_cpus": "2"}, TypeError),
                              ({"num_returns": -1}, ValueError), ({"num_returns": 1.5}, TypeError),
                              ({"max_retries": -2}, ValueError), ({"retry_exceptions": 5},
                                                                  TypeError),
                              ({"retry_exceptions": [5]}, TypeError), ({"timeout": -1}, ValueError),
                              ({"timeout": float("nan")}, ValueError), ({"resources": {"CPU": 1}},
                                                                        ValueError),
                              ({"name": 5}, TypeError), ({"num_gpus": 1},
                                                         ValueError), ({"priority": 2**31},
                                                                       ValueError)):
            for give in (lambda: kiln.remote(**options), lambda: add.options(**options)):
                with self.subTest(options), self.assertRaisesRegex(kind, next(iter(options))):
                    give()
        async def coroutine():
            pass

        for wrong in (5, int, add, coroutine):
            with self.subTest(wrong), self.assertRaises(TypeError):
                kiln.remote(wrong)

    def test_options_do_not_change_the_function_itself(self) -> None:
        ref = add.options(name="sum", num_cpus=0.5, priority=3).remote(1, 2)
        self.assertEqual(kiln.get(ref), 3)
        self.assertEqual(kiln.get(add.remote(1)), 1)
        rows = json.loads(self.place.kiln("list", "tasks", "--json"))
        rows = rows["tasks"] if isinstance(rows, dict) else rows
        self.assertIn("sum", [row["name"] for row in rows])

    def test_small_shares_of_a_cpu_let_many_sleep_at_once(self) -> None:
        began = time.monotonic()
        kiln.get([sleep_for.options(num_cpus=0.2).remote(0.3) for _ in range(8)])
        self.assertLess(time.monotonic() - began, 1.9)

    def test_what_a_task_knows_of_itself(self) -> None:
        def look():
            context = kiln.get_runtime_context()
            return (context.get_task_name(), context.get_task_id(), context.get_attempt_number(),
                    context.get_assigned_resources(), context.is_canceled(), context.get_worker_id())

        ref = kiln.remote(look).options(num_cpus=0.5, name="look").remote()
        name, task, attempt, resources, cancelled, _ = kiln.get(ref)
        self.assertEqual((name, attempt, resources, cancelled),
                         ("look", 0, {"CPU": 0.5}, False))
        self.assertEqual(task, ref.hex())
        context = kiln.get_runtime_context()
        self.assertEqual((context.get_task_id(), context.is_canceled()), (None, False))
        self.assertEqual(context.get_node_id(), kiln.nodes()[0]["NodeID"])
        self.assertEqual(len(context.get_job_id()), 8)

    def test_resources_nodes_and_timeline(self) -> None:
        self.assertEqual(kiln.cluster_resources()["CPU"], 2)
        ref = sleep_for.remote(1)
        wait_until(lambda: kiln.available_resources().get("CPU") == 1, "one CPU is taken")
        kiln.get(ref)
        wait_until(lambda: kiln.available_resources().get("CPU") == 2, "no CPU is taken")
        [node] = kiln.nodes()
        self.assertTrue(node["Alive"] and node["Resources"]["CPU"] == 2)
        events = wait_until(lambda: [e for e in kiln.timeline() or [] if e["name"] == "sleep_for"],
                            "it is noted")
        self.assertGreaterEqual(max(event["dur"] for event in events), 900_000)
        path = Path(self.place.work) / "trace.json"
        self.assertIsNone(kiln.timeline(str(path)))
        self.assertIsInstance(json.loads(path.read_text()), list)

    def test_threads_submit_and_get_at_once(self) -> None:
        errors: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for i in range(60):
                    refs = [add.remote(number, i), kiln.put([number, i]),
                            add.remote(kiln.put(number), 1)]
                    assert kiln.get(refs, timeout=60) == [number + i, [number, i], number + 1]
                    assert kiln.wait(refs, num_returns=3)[1] == []
                    assert refs[0].future().result(60) == number + i
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])


if __name__ == "__main__":
    unittest.main()
