"""One product of two large matrices, by blocks of rows.

The matrices are made by tasks and stay in the object store: 392 MB each. Every block's task reads
both there. A pool's process would get each matrix through its pipe, so here it inherits them from
its parent, as is usual, and sends back its block.
"""

from multiprocessing import Pool

import kiln
from kiln.examples._report import Report, main, skipped

try:
    import numpy as np
except ModuleNotFoundError as missing:
    raise skipped(missing)


def create_matrix(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).random((size, size))


def multiply_rows(a: np.ndarray, b: np.ndarray, rows: slice) -> np.ndarray:
    return a[rows] @ b


def blocks(size: int, count: int = 14) -> list[slice]:
    edges = [size * i // count for i in range(count + 1)]
    return [slice(begin, end) for begin, end in zip(edges, edges[1:])]


def serially(size: int) -> list[np.ndarray]:
    a, b = create_matrix(1, size), create_matrix(2, size)
    return [multiply_rows(a, b, rows) for rows in blocks(size)]


inherited: tuple[np.ndarray, np.ndarray]


def inherit(a: np.ndarray, b: np.ndarray) -> None:
    global inherited
    inherited = a, b


def multiply_inherited_rows(rows: slice) -> np.ndarray:
    return multiply_rows(*inherited, rows)


def in_pool(size: int) -> list[np.ndarray]:
    matrices = create_matrix(1, size), create_matrix(2, size)
    with Pool(initializer=inherit, initargs=matrices) as pool:
        return pool.map(multiply_inherited_rows, blocks(size), chunksize=1)


def in_tasks(size: int) -> list[np.ndarray]:
    create, multiply = kiln.remote(create_matrix), kiln.remote(multiply_rows)
    a, b = create.remote(1, size), create.remote(2, size)
    return kiln.get([multiply.remote(a, b, rows) for rows in blocks(size)])


def run(report: Report) -> None:
    size = report.size(7000, 420)
    # The rows of a product add up to a times the added rows of b: quick to check.
    sums = create_matrix(1, size) @ create_matrix(2, size).sum(axis=1)

    def right(product: list[np.ndarray]) -> bool:
        return np.allclose(np.concatenate([block.sum(axis=1) for block in product]), sums)

    report.time("serial", serially, size, correct=right)
    report.time("multiprocessing", in_pool, size, correct=right)
    report.start("kiln.init()", kiln.init)
    report.time("kiln", in_tasks, size, correct=right)


if __name__ == "__main__":
    main(run)
