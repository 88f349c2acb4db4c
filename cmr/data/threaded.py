"""The same work on each of very many images, in threads."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

PIECE = 64  # images in one job: a job of its own for each would cost ten times what asking for a file's size does


def in_threads(
    function: Callable[[int], Result], n: int, workers: int, piece: int = PIECE, ahead: int | None = None
) -> Iterator[Result]:
    """Calls a function with 0 to n - 1, a few pieces ahead of whoever takes the results.

    Args:
        function: called from several threads.
        n: how often.
        workers: threads.
        piece: calls in one job; 1 where a call is large.
        ahead: jobs begun before their results are asked for; None: four for each thread.

    Yields:
        The results, in order. An error of the function is raised in its place, and what was not begun is not done.

    Example:
        >>> list(in_threads(lambda i: i * i, 5, 2))
        [0, 1, 4, 9, 16]
    """

    def work(start: int) -> list[Result]:
        return [function(i) for i in range(start, min(start + piece, n))]

    pool = ThreadPoolExecutor(workers)
    most, begun = 4 * workers if ahead is None else ahead, deque[Future[list[Result]]]()
    try:
        for start in range(0, n, piece):
            # All of a million at once would take a gigabyte.
            if len(begun) == most:
                yield from begun.popleft().result()
            begun.append(pool.submit(work, start))
        while begun:
            yield from begun.popleft().result()
    finally:
        # Whoever leaves half way, or meets an error, must not wait for work that nobody wants.
        pool.shutdown(wait=True, cancel_futures=True)
