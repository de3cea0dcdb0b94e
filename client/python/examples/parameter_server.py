"""A parameter server: an actor holds the weights, workers send gradients and read them without a copy.

Logistic regression by stochastic gradient descent. The weights are an array in the object store; each
worker gets a view of it. Asynchronous: a worker gets new weights as soon as its gradient has come in.
"""

import multiprocessing
import multiprocessing.connection
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

import kiln as ray
from kiln.examples._report import Report, main

WORKERS = 2
RATE = 0.5


def make_data(seed: int, rows: int, columns: int) -> tuple[Any, Any]:
    """Points and their labels; which side of one plane through the origin they lie on."""
    plane = np.random.default_rng(7).standard_normal(columns)
    points = np.random.default_rng(seed).standard_normal((rows, columns))
    return points, (points @ plane > 0).astype(float)


def gradient(weights: Any, points: Any, labels: Any) -> Any:
    predicted = 1 / (1 + np.exp(-(points @ weights)))
    return points.T @ (predicted - labels) / len(labels)


def accuracy(weights: Any, points: Any, labels: Any) -> float:
    return float(np.mean((points @ weights > 0) == (labels > 0.5)))


class ParameterServer:
    def __init__(self, columns: int) -> None:
        self._weights = np.zeros(columns)

    def apply(self, *gradients: Any) -> Any:
        self._weights = self._weights - RATE * sum(gradients) / len(gradients)
        return self._weights

    def weights(self) -> Any:
        return self._weights


class Worker:
    def __init__(self, seed: int, rows: int, columns: int) -> None:
        self._points, self._labels = make_data(seed, rows, columns)
        self._batches = np.random.default_rng(seed)

    def gradient(self, weights: Any, batch: int) -> Any:
        chosen = self._batches.integers(0, len(self._labels), batch)
        return gradient(weights, self._points[chosen], self._labels[chosen])


def train_serial(steps: int, rows: int, columns: int, batch: int) -> Any:
    data = [make_data(seed, rows, columns) for seed in range(WORKERS)]
    draws = [np.random.default_rng(seed) for seed in range(WORKERS)]
    weights = np.zeros(columns)
    for step in range(steps):
        points, labels = data[step % WORKERS]
        chosen = draws[step % WORKERS].integers(0, rows, batch)
        weights = weights - RATE * gradient(weights, points[chosen], labels[chosen])
    return weights


def _work(pipe: Connection, seed: int, rows: int, columns: int, batch: int) -> None:
    worker = Worker(seed, rows, columns)
    while (weights := pipe.recv()) is not None:
        pipe.send(worker.gradient(weights, batch))


def train_multiprocessing(steps: int, rows: int, columns: int, batch: int) -> Any:
    """The weights are pickled through a Pipe to each worker, and its gradients back."""
    server = ParameterServer(columns)
    pairs = [multiprocessing.Pipe() for _ in range(WORKERS)]
    processes = [multiprocessing.Process(target=_work, args=(there, seed, rows, columns, batch))
                 for seed, (_, there) in enumerate(pairs)]
    pipes: list[Any] = [here for here, _ in pairs]
    for process in processes:
        process.start()
    for pipe in pipes:
        pipe.send(server.weights())
    for _ in range(steps):
        pipe = multiprocessing.connection.wait(pipes)[0]
        pipes[pipes.index(pipe)].send(server.apply(pipes[pipes.index(pipe)].recv()))
    for pipe, process in zip(pipes, processes):
        pipe.recv()
        pipe.send(None)
        process.join()
    return server.weights()


def train_async(steps: int, rows: int, columns: int, batch: int) -> Any:
    server = ray.remote(ParameterServer).remote(columns)
    workers = [ray.remote(Worker).remote(seed, rows, columns) for seed in range(WORKERS)]
    weights = server.weights.remote()
    worker_of = {worker.gradient.remote(weights, batch): worker for worker in workers}
    for _ in range(steps):
        ready, _ = ray.wait(list(worker_of))
        worker = worker_of.pop(ready[0])
        # The gradient goes from the worker to the server, and the weights back: the driver sees refs.
        weights = server.apply.remote(ready[0])
        worker_of[worker.gradient.remote(weights, batch)] = worker
    return ray.get(server.weights.remote())


def run(report: Report) -> None:
    steps, rows = report.size(300, 40), report.size(20_000, 2_000)
    columns, batch = report.size(2_000, 50), report.size(2_000, 500)
    test_points, test_labels = make_data(99, 2_000, columns)

    def learned(weights: Any) -> bool:
        return accuracy(weights, test_points, test_labels) > 0.8

    report.time("serial", train_serial, steps, rows, columns, batch, correct=learned)
    report.time("multiprocessing asynchronous", train_multiprocessing, steps, rows, columns, batch,
                correct=learned)
    report.start("kiln.init()", ray.init)
    report.time("kiln asynchronous", train_async, steps, rows, columns, batch, correct=learned)
    report.note(f"{steps} gradients of {columns} weights, from batches of {batch} points.")


if __name__ == "__main__":
    main(run)
