"""Ten products of random matrices, made by tasks and multiplied by tasks that need them.

The second task gets the refs of the first two and starts when both results exist. It reads them
where they lie, in shared memory; a pool sends each matrix through a pipe, here and back.
"""

from multiprocessing.pool import Pool

import kiln
from kiln.examples._report import Report, main, skipped

try:
    import numpy as np
except ModuleNotFoundError as missing:
    raise skipped(missing)


def random_matrix(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).random((size, size))


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a @ b


def serially(count: int, size: int) -> list[np.ndarray]:
    return [multiply(random_matrix(2 * i, size), random_matrix(2 * i + 1, size))
            for i in range(count)]


def in_pool(pool: Pool, count: int, size: int) -> list[np.ndarray]:
    matrices = pool.starmap(random_matrix, [(seed, size) for seed in range(2 * count)])
    return pool.starmap(multiply, zip(matrices[::2], matrices[1::2]))


def in_tasks(count: int, size: int) -> list[np.ndarray]:
    make, product = kiln.remote(random_matrix), kiln.remote(multiply)
    return kiln.get([product.remote(make.remote(2 * i, size), make.remote(2 * i + 1, size))
                     for i in range(count)])


def run(report: Report) -> None:
    count, size = report.size(10, 4), report.size(1000, 200)
    # The rows of a product add up to a times the added rows of b: quick to check.
    sums = [random_matrix(2 * i, size) @ random_matrix(2 * i + 1, size).sum(axis=1)
            for i in range(count)]

    def right(products: list[np.ndarray]) -> bool:
        return len(products) == count and all(
            np.allclose(product.sum(axis=1), expected)
            for product, expected in zip(products, sums))

    report.time("serial", serially, count, size, correct=right)
    with report.start("Pool()", Pool) as pool:
        report.time("multiprocessing", in_pool, pool, count, size, correct=right, repeat=2)
    report.start("kiln.init()", kiln.init)
    report.time("kiln", in_tasks, count, size, correct=right, repeat=2)


if __name__ == "__main__":
    main(run)
