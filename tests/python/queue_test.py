"""kiln.util.queue.Queue, SignalActor and Semaphore: what tasks share by them."""

from __future__ import annotations

import asyncio
import os
import queue as library
import signal
import threading
import unittest

import kiln
from kiln.util.queue import Empty, Full, Queue, _cancelled_with_us
from kiln.util.testing import Semaphore, SignalActor
from calls import Folder, setUpModule, tearDownModule, touch


class Unpicklable:
    def __reduce__(self):
        raise TypeError("not this one")


class QueueTest(unittest.TestCase):
    def setUp(self) -> None:
        self.queue = Queue(actor_options={"num_cpus": 0})

    def test_items_come_out_in_the_order_they_went_in(self) -> None:
        for item in (1, "two", [3], None):
            self.queue.put(item)
        self.assertEqual(len(self.queue), 4)
        self.assertEqual([self.queue.get() for _ in range(4)], [1, "two", [3], None])
        self.assertTrue(self.queue.empty())

    def test_an_empty_queue_says_so(self) -> None:
        for get in (self.queue.get_nowait, lambda: self.queue.get(block=False),
                    lambda: self.queue.get(timeout=0.01), lambda: self.queue.get_nowait_batch(1)):
            with self.assertRaises(Empty) as caught:
                get()
            self.assertIsInstance(caught.exception, library.Empty)

    def test_a_full_queue_says_so(self) -> None:
        small = Queue(1, actor_options={"num_cpus": 0})
        small.put(1)
        self.assertTrue(small.full())
        for put in (small.put_nowait, lambda item: small.put(item, block=False),
                    lambda item: small.put(item, timeout=0.01),
                    lambda item: small.put_nowait_batch([item])):
            with self.assertRaises(Full) as caught:
                put(2)
            self.assertIsInstance(caught.exception, library.Full)
        self.assertEqual(small.get(), 1)
        self.assertTrue(small.empty())

    def test_put_waits_for_room_and_get_for_an_item(self) -> None:
        small = Queue(1, actor_options={"num_cpus": 0})
        small.put(0)
        putter = threading.Thread(target=small.put, args=(1,))
        putter.start()
        self.assertEqual([small.get(), small.get()], [0, 1])
        putter.join()

        @kiln.remote
        def take(queue):
            return queue.get()

        taken = take.remote(small)
        small.put("item")
        self.assertEqual(kiln.get(taken), "item")

    def test_batches_are_all_or_nothing(self) -> None:
        small = Queue(3, actor_options={"num_cpus": 0})
        small.put_nowait_batch([1, 2])
        with self.assertRaises(Full):
            small.put_nowait_batch([3, 4])
        with self.assertRaises(Empty):
            small.get_nowait_batch(3)
        self.assertEqual(small.get_nowait_batch(2), [1, 2])
        self.assertEqual(small.get_nowait_batch(0), [])

    def test_bad_arguments_are_refused(self) -> None:
        for call in (lambda: self.queue.get(timeout=-1), lambda: self.queue.put(1, timeout=-1),
                     lambda: self.queue.get_nowait_batch(-1)):
            with self.assertRaises(ValueError):
                call()
        with self.assertRaises(TypeError):
            Queue("3")  # type: ignore[arg-type]

    def test_async_twins_do_the_same(self) -> None:
        small = Queue(1, actor_options={"num_cpus": 0})

        async def work():
            await small.put_async(1)
            with self.assertRaises(Full):
                await small.put_async(2, timeout=0.01)
            waiting = asyncio.ensure_future(small.put_async(3))
            first = await small.get_async()
            await waiting
            second = await small.get_async(block=False)
            with self.assertRaises(Empty):
                await small.get_async(timeout=0.01)
            return first, second

        self.assertEqual(asyncio.run(work()), (1, 3))

    def test_many_tasks_put_and_take_every_item_once(self) -> None:
        bounded = Queue(5, actor_options={"num_cpus": 0})

        @kiln.remote(num_cpus=0.5)
        def produce(queue, first):
            for item in range(first, first + 100):
                queue.put(item)

        @kiln.remote(num_cpus=0.5)
        def consume(queue):
            return [queue.get() for _ in range(100)]

        consumers = [consume.remote(bounded) for _ in range(2)]
        kiln.get([produce.remote(bounded, first) for first in (0, 100)])
        taken = [item for items in kiln.get(consumers) for item in items]
        self.assertEqual(sorted(taken), list(range(200)))

    def test_who_gave_up_waiting_takes_nothing(self) -> None:
        for _ in range(20):
            with self.assertRaises(Empty):
                self.queue.get(timeout=0.001)
        waiting = self.queue.actor.get.remote(None)
        kiln.cancel(waiting)
        with self.assertRaises(kiln.exceptions.TaskCancelledError):
            kiln.get(waiting)
        self.queue.put("kept")
        self.assertEqual(self.queue.get(timeout=5), "kept")

    def test_who_was_interrupted_takes_nothing(self) -> None:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        self.assertRaises(KeyboardInterrupt, self.queue.get)
        self.queue.put("first")
        self.assertEqual(self.queue.get(timeout=30), "first")

        async def give_up() -> None:
            await asyncio.wait_for(self.queue.get_async(), 0.1)

        self.assertRaises(asyncio.TimeoutError, asyncio.run, give_up())
        self.queue.put("second")
        self.assertEqual(self.queue.get(timeout=30), "second")

    def test_who_was_interrupted_puts_nothing(self) -> None:
        small = Queue(1, actor_options={"num_cpus": 0})
        small.put("first")
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        self.assertRaises(KeyboardInterrupt, small.put, "given up")
        self.assertEqual(small.get(), "first")
        small.put("second")
        self.assertEqual(small.get(), "second")
        self.assertTrue(small.empty())

    def test_what_was_taken_when_the_interrupt_came_goes_back(self) -> None:
        self.queue.put_nowait_batch([1, 2])
        call = self.queue.actor.get.remote(None)
        kiln.wait([call])
        with self.assertRaises(KeyboardInterrupt), _cancelled_with_us(call, self.queue.actor.give_back):
            raise KeyboardInterrupt
        self.assertEqual([self.queue.get(), self.queue.get()], [1, 2])

    def test_shutdown_ends_it(self) -> None:
        other = Queue(actor_options={"num_cpus": 0})
        waiting = other.actor.get.remote(None)
        other.shutdown(force=True)
        with self.assertRaises(kiln.exceptions.ActorDiedError):
            kiln.get(waiting)
        other.shutdown()

    def test_a_named_queue_is_found(self) -> None:
        named = Queue(actor_options={"num_cpus": 0, "name": "a queue"})
        named.put(1)
        self.assertEqual(kiln.get(kiln.get_actor("a queue").qsize.remote()), 1)

    def test_what_cannot_be_pickled_fails_at_once(self) -> None:
        with self.assertRaisesRegex(TypeError, "not this one"):
            self.queue.put(Unpicklable())
        self.assertTrue(self.queue.empty())


@kiln.remote(num_cpus=0.25)
def pass_by(signal, path):
    kiln.get(signal.wait.remote())
    return touch(path)


class SignalTest(Folder):
    def test_tasks_wait_for_the_signal(self) -> None:
        signal = SignalActor.remote()
        refs = [pass_by.remote(signal, self.path(str(i))) for i in range(3)]
        while kiln.get(signal.cur_num_waiters.remote()) < 3:
            pass
        self.assertEqual(kiln.wait(refs, timeout=0)[0], [])
        kiln.get(signal.send.remote())
        kiln.get(refs)
        self.assertTrue(kiln.get(signal.is_set.remote()))
        kiln.get(signal.wait.remote())
        kiln.get(signal.clear.remote())
        self.assertFalse(kiln.get(signal.is_set.remote()))

    def test_a_semaphore_lets_so_many_in(self) -> None:
        semaphore = Semaphore.remote(2)
        kiln.get([semaphore.acquire.remote() for _ in range(2)])
        self.assertTrue(kiln.get(semaphore.locked.remote()))
        third = semaphore.acquire.remote()
        self.assertEqual(kiln.wait([third], timeout=0.02)[0], [])
        kiln.get(semaphore.release.remote())
        kiln.get(third)


if __name__ == "__main__":
    unittest.main()
