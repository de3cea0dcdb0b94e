"""The nearest neighbours of 10,000 word vectors: all pairs compared, by blocks of words.

The vectors are stored once and every task reads them there; it returns the five words nearest to
each of its own, not the similarities of all pairs, which would take 800 MB.
"""

from multiprocessing import Pool

import kiln
from kiln.examples._report import Report, main, skipped

try:
    import numpy as np
except ModuleNotFoundError as missing:
    raise skipped(missing)

NEIGHBOURS = 5


def word_vectors(words: int, topics: int = 100, length: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Returns a unit vector for each word, near its topic's, and the topics of the words."""
    random = np.random.default_rng(1)
    topic = random.integers(topics, size=words)
    vectors = random.normal(size=(topics, length))[topic] + random.normal(size=(words, length))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), topic


def neighbours(vectors: np.ndarray, block: slice) -> np.ndarray:
    """Returns the indices of the words nearest to each word of a block, nearest first."""
    similarity = vectors[block] @ vectors.T
    own = np.arange(len(vectors))[block]
    similarity[np.arange(len(own)), own] = -1  # a word is no neighbour of itself
    nearest = np.argpartition(-similarity, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    order = np.argsort(-np.take_along_axis(similarity, nearest, axis=1), axis=1)
    return np.take_along_axis(nearest, order, axis=1)


def blocks(words: int, size: int) -> list[slice]:
    return [slice(begin, min(begin + size, words)) for begin in range(0, words, size)]


def run(report: Report) -> None:
    words, block_size = report.size(10_000, 1_000), report.size(500, 100)
    vectors, topic = word_vectors(words)
    parts = blocks(words, block_size)

    def right(results: list[np.ndarray]) -> bool:
        nearest = np.concatenate(results)
        return (nearest.shape == (words, NEIGHBOURS) and
                bool(np.mean(topic[nearest] == topic[:, None]) > 0.95))

    def in_tasks() -> list[np.ndarray]:
        task, shared = kiln.remote(neighbours), kiln.put(vectors)
        return kiln.get([task.remote(shared, part) for part in parts])

    expected = report.time("serial", lambda: [neighbours(vectors, part) for part in parts],
                           correct=right)
    with report.start("Pool()", Pool) as pool:
        report.time("multiprocessing", pool.starmap, neighbours,
                    [(vectors, part) for part in parts], 1, correct=right, repeat=2)
    report.start("kiln.init()", kiln.init)
    found = report.time("kiln", in_tasks, correct=right, repeat=2)
    report.check("The same neighbours as serially",
                 np.array_equal(np.concatenate(found), np.concatenate(expected)))


if __name__ == "__main__":
    main(run)
