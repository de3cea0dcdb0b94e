"""Async actors: calls that overlap in an event loop, bounds, streams, cancel, the loop itself."""

from __future__ import annotations

import asyncio
import contextvars
import unittest

import kiln
from support import DriverCase, PlaceCase


@kiln.remote
class Signal:
    """Lets others wait."""

    def __init__(self):
        self.event = asyncio.Event()
        self.waiting = 0
        self.most = 0

    async def wait(self):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await self.event.wait()
        finally:
            self.waiting -= 1
        return self.most

    async def send(self):
        self.event.set()

    def count(self):
        return self.waiting


@kiln.remote(max_concurrency=2, concurrency_groups={"control": 1})
class Bounded(Signal):
    """At most two wait at once."""

    @kiln.method(concurrency_group="control")
    async def open(self):
        self.event.set()

    @kiln.method(concurrency_group="control")
    def seen(self):
        return self.waiting


class Overlap(DriverCase):
    def test_thousands_of_calls_are_under_way_at_once(self) -> None:
        signal = Signal.options(max_concurrency=3000).remote()
        refs = [signal.wait.remote() for _ in range(2000)]
        signal.send.remote()
        self.assertEqual(max(kiln.get(refs)), 2000)

    def test_the_default_bound_is_1000(self) -> None:
        signal = Signal.remote()
        refs = [signal.wait.remote() for _ in range(1500)]
        with self.assertRaises(kiln.exceptions.GetTimeoutError):
            kiln.get(signal.send.remote(), timeout=0.2)  # waits behind them
        for ref in refs[:1000]:
            kiln.cancel(ref)
        self.assertEqual(max(kiln.get(refs[1000:])), 1000)

    def test_max_concurrency_bounds_the_default_group_alone(self) -> None:
        actor = Bounded.remote()
        refs = [actor.wait.remote() for _ in range(5)]
        while kiln.get(actor.seen.remote()) < 2:
            pass
        self.assertEqual(kiln.get(actor.seen.remote()), 2)
        actor.open.remote()
        self.assertEqual(max(kiln.get(refs)), 2)

    def test_plain_methods_run_in_the_loop_too(self) -> None:
        @kiln.remote
        class Mixed:
            async def a(self):
                return id(asyncio.get_running_loop())

            def b(self):
                return id(asyncio.get_running_loop())

        actor = Mixed.remote()
        self.assertEqual(*kiln.get([actor.a.remote(), actor.b.remote()]))

    def test_calls_begin_in_order(self) -> None:
        @kiln.remote
        class Order:
            def __init__(self):
                self.seen = []

            async def add(self, i):
                self.seen.append(i)
                await asyncio.sleep(0)

            def all(self):
                return self.seen

        actor = Order.remote()
        refs = [actor.add.remote(i) for i in range(1000)]
        kiln.get(refs)
        self.assertEqual(kiln.get(actor.all.remote()), list(range(1000)))


class Results(DriverCase):
    def test_refs_can_be_awaited(self) -> None:
        @kiln.remote
        def double(x):
            return 2 * x

        @kiln.remote
        class Caller:
            async def call(self, x):
                first, second = await asyncio.gather(double.remote(x), double.remote(x + 1))
                return first + second + await double.remote(100)

            async def call_actor(self, other):
                return await other.count.remote()

        caller = Caller.remote()
        self.assertEqual(kiln.get([caller.call.remote(i) for i in range(20)]),
                         [4 * i + 202 for i in range(20)])
        self.assertEqual(kiln.get(caller.call_actor.remote(Signal.remote())), 0)

    def test_exceptions_and_several_results(self) -> None:
        @kiln.remote
        class Various:
            async def fail(self):
                await asyncio.sleep(0)
                raise KeyError("async")

            def fail_at_once(self):
                raise ValueError("plain")

            @kiln.method(num_returns=2)
            async def two(self):
                return 1, 2

            async def cannot_travel(self):
                return asyncio.get_running_loop()

        actor = Various.remote()
        with self.assertRaisesRegex(KeyError, "async") as raised:
            kiln.get(actor.fail.remote())
        self.assertIn("in fail", str(raised.exception))
        self.assertRaises(ValueError, kiln.get, actor.fail_at_once.remote())
        self.assertEqual(kiln.get(actor.two.remote()), [1, 2])
        self.assertRaisesRegex(TypeError, "cannot be pickled", kiln.get, actor.cannot_travel.remote())

    def test_retries_of_what_raises(self) -> None:
        @kiln.remote
        class Flaky:
            def __init__(self):
                self.calls = 0

            @kiln.method(max_task_retries=3, retry_exceptions=True)
            async def call(self):
                self.calls += 1
                if self.calls < 3:
                    raise ValueError(self.calls)
                return self.calls

        self.assertEqual(kiln.get(Flaky.remote().call.remote()), 3)

    def test_async_generators_are_streams(self) -> None:
        @kiln.remote
        class Generators:
            async def squares(self, count):
                for i in range(count):
                    await asyncio.sleep(0)
                    yield i * i

            def plain(self, count):
                yield from range(count)

            async def fail(self):
                yield 1
                raise KeyError("end")

            @kiln.method(stream_window=1)
            async def slowly(self, count):
                for i in range(count):
                    yield i

            async def ping(self):
                return "pong"

        actor = Generators.remote()
        self.assertEqual([kiln.get(ref) for ref in actor.squares.remote(5)], [0, 1, 4, 9, 16])
        self.assertEqual([kiln.get(ref) for ref in actor.plain.remote(3)], [0, 1, 2])
        stream = actor.fail.remote()
        self.assertEqual(kiln.get(next(stream)), 1)
        self.assertRaises(KeyError, next, stream)
        slow = actor.slowly.remote(4)
        self.assertEqual(kiln.get(actor.ping.remote()), "pong")  # a full window blocks nobody else
        self.assertEqual([kiln.get(ref) for ref in slow], [0, 1, 2, 3])

    def test_async_for_over_a_stream(self) -> None:
        @kiln.remote
        class Consumer:
            async def total(self, count):
                return sum([await ref async for ref in numbers.remote(count)])

        @kiln.remote(num_returns="streaming")
        def numbers(count):
            yield from range(count)

        self.assertEqual(kiln.get(Consumer.remote().total.remote(10)), 45)


class Cancels(DriverCase):
    def test_a_coroutine_is_cancelled(self) -> None:
        @kiln.remote
        class Sleeper:
            def __init__(self):
                self.began = self.ended = False

            async def sleep(self):
                self.began = True
                try:
                    await asyncio.sleep(600)
                finally:
                    self.ended = kiln.get_runtime_context().is_canceled()

            def state(self):
                return self.began, self.ended

        actor = Sleeper.remote()
        ref = actor.sleep.remote()
        while not kiln.get(actor.state.remote())[0]:
            pass
        kiln.cancel(ref)
        with self.assertRaises(kiln.exceptions.TaskCancelledError):
            kiln.get(ref, timeout=30)
        self.assertEqual(kiln.get(actor.state.remote()), (True, True))

    def test_one_that_waits_for_its_turn_is_dropped(self) -> None:
        actor = Bounded.remote()
        first, second, waits = (actor.wait.remote() for _ in range(3))
        while kiln.get(actor.seen.remote()) < 2:
            pass
        kiln.cancel(waits)
        with self.assertRaises(kiln.exceptions.TaskCancelledError):
            kiln.get(waits, timeout=30)
        kiln.cancel(first)
        self.assertRaises(kiln.exceptions.TaskCancelledError, kiln.get, first, timeout=30)
        third = actor.wait.remote()  # in the place of the first
        while kiln.get(actor.seen.remote()) < 2:
            pass
        actor.open.remote()
        self.assertEqual(kiln.get([second, third]), [2, 2])

    def test_a_stream_that_nobody_wants_ends_its_generator(self) -> None:
        @kiln.remote
        class Source:
            def __init__(self):
                self.closed = asyncio.Event()

            async def numbers(self):
                try:
                    i = 0
                    while True:
                        yield i
                        i += 1
                        await asyncio.sleep(0.001)
                finally:
                    self.closed.set()

            async def wait_closed(self):
                return await self.closed.wait()

        source = Source.remote()
        stream = source.numbers.remote()
        self.assertEqual(kiln.get(next(stream)), 0)
        stream.close()
        self.assertTrue(kiln.get(source.wait_closed.remote(), timeout=30))


class Loop(DriverCase):
    def test_a_constructor_may_start_tasks_of_asyncio(self) -> None:
        @kiln.remote
        class Background:
            def __init__(self):
                self.ticks = asyncio.Queue()
                self.task = asyncio.get_running_loop().create_task(self.run())

            async def run(self):
                while True:
                    self.ticks.put_nowait("tick")
                    await asyncio.sleep(0.001)

            async def tick(self):
                return await self.ticks.get()

        actor = Background.remote()
        self.assertEqual(kiln.get([actor.tick.remote() for _ in range(3)]), ["tick"] * 3)

    def test_each_call_has_a_context_of_its_own(self) -> None:
        @kiln.remote
        class Contexts:
            def __init__(self):
                self.variable = contextvars.ContextVar("variable", default=0)

            async def set(self, value):
                before = self.variable.get()
                self.variable.set(value)
                await asyncio.sleep(0.001)
                return before, self.variable.get(), kiln.get_runtime_context().get_task_name()

            async def id_twice(self):
                first = kiln.get_runtime_context().get_task_id()
                await asyncio.sleep(0.001)
                in_task = await asyncio.create_task(self.task_id())
                return first, kiln.get_runtime_context().get_task_id(), in_task

            async def task_id(self):
                return kiln.get_runtime_context().get_task_id()

        actor = Contexts.options(max_concurrency=7).remote()
        for i, (before, after, name) in enumerate(kiln.get([actor.set.remote(i) for i in range(50)])):
            self.assertEqual((before, after), (0, i))
            self.assertTrue(name.endswith("Contexts.set"))
        refs = [actor.id_twice.remote() for _ in range(20)]
        for ref, ids in zip(refs, kiln.get(refs)):
            self.assertEqual(ids, (ref.hex(),) * 3)

    def test_sys_exit_in_one_call_ends_the_actor(self) -> None:
        @kiln.remote
        class Exits:
            async def leave(self):
                await asyncio.sleep(0)
                raise SystemExit(3)

        actor = Exits.remote()
        with self.assertRaisesRegex(kiln.exceptions.ActorDiedError, "sys.exit"):
            kiln.get(actor.leave.remote(), timeout=30)

    def test_exit_actor(self) -> None:
        @kiln.remote
        class Exits:
            async def leave(self):
                await asyncio.sleep(0)
                kiln.actor.exit_actor()

            async def wait(self):
                await asyncio.sleep(600)

        actor = Exits.remote()
        waiting = actor.wait.remote()
        with self.assertRaisesRegex(kiln.exceptions.ActorDiedError, "exit_actor"):
            kiln.get(actor.leave.remote(), timeout=30)
        with self.assertRaises(kiln.exceptions.ActorDiedError):
            kiln.get(waiting, timeout=30)


class Blocking(PlaceCase):
    def test_a_blocking_get_works_and_is_warned_of_once(self) -> None:
        done = self.place.run("""
            import kiln
            kiln.init("local", num_cpus=2)
            @kiln.remote
            def f():
                return 1
            @kiln.remote
            class Blocks:
                async def call(self):
                    return kiln.get(f.remote()) + kiln.get(f.remote())
            actor = Blocks.remote()
            print(kiln.get([actor.call.remote(), actor.call.remote()]))
            """)
        self.assertEqual(done.stdout, "[2, 2]\n", done.stderr)
        self.assertEqual(done.stderr.count("blocks the event loop"), 1, done.stderr)


if __name__ == "__main__":
    unittest.main()
