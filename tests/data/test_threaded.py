"""Many small jobs in threads: few jobs, in order, few ahead."""

import threading

import numpy as np
import pytest

from cmr.data import check, threaded
from cmr.data.split import NO_BOXES, Split
from cmr.data.threaded import PIECE, in_threads
from cmr.errors import UserError


class Counted(threaded.ThreadPoolExecutor):
    jobs = 0

    def submit(self, *arguments, **named):
        Counted.jobs += 1
        return super().submit(*arguments, **named)


@pytest.fixture
def counted(monkeypatch):
    Counted.jobs = 0
    monkeypatch.setattr(threaded, "ThreadPoolExecutor", Counted)
    return Counted


@pytest.mark.parametrize("n", [0, 1, PIECE, PIECE + 1, 20_000])
def test_results_are_in_order_and_jobs_are_few(counted, n):
    assert list(in_threads(lambda i: -i, n, 3)) == [-i for i in range(n)]
    assert counted.jobs == -(-n // PIECE)


def test_no_more_than_a_few_pieces_are_begun_before_results_are_taken(counted):
    results = in_threads(lambda i: i, 10**6, 2)
    assert next(results) == 0
    assert counted.jobs <= 2 * 4 + 1
    results.close()


def test_an_error_comes_in_its_place_and_stops_the_rest(counted):
    seen = []

    def fails(i):
        seen.append(i)
        if i == 200:
            raise UserError("image 200 is broken")
        return i

    taken = []
    with pytest.raises(UserError, match="image 200"):
        taken.extend(in_threads(fails, 10**6, 2))
    assert len(seen) < 200 + 20 * PIECE


def test_data_check_uses_every_core_and_reads_each_image_once(monkeypatch):
    barrier, reads = threading.Barrier(3, timeout=30), []

    def read(i):
        reads.append(i)
        if i % PIECE == 0:  # the first of three pieces wait for one another: three threads are at work
            barrier.wait()
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr(check, "threads", lambda most: 3)
    n = 3 * PIECE
    ids, sizes = tuple(map(str, range(n))), np.full((n, 2), 2)
    split = Split("Grey", "test", ids, np.zeros(n, np.int64), sizes, (NO_BOXES,) * n, ("a",), read, "0" * 16)
    assert check.check(split, progress=False) == []
    assert sorted(reads) == list(range(n))
