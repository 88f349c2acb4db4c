"""What a pixel's eight neighbours say about it, as tables over their 256 combinations; and how kernels are compiled.

numba keeps compiled kernels beside their own file and looks at that file only: after a change here, remove
`cmr/metrics/contours/__pycache__`.
"""

from collections.abc import Callable

import numpy as np
from numba import njit

# The eight neighbours as (dx, dy), clockwise from north; bit i of a neighbourhood's code stands for RING[i].
RING = ((0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1))


def compiled(function: Callable) -> Callable:
    """Compiles without the GIL and keeps the result on disk, or only in memory where no folder can be written."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba: "cannot cache function: no locator available" (read-only installation and home)
        return njit(nogil=True)(function)


def _neighbour_groups(eight: bool) -> np.ndarray:
    """For each code of a neighbourhood: the number of components its pixels form, and a member of each."""
    table = np.zeros((256, 5), np.int8)
    for code in range(256):
        left = {i for i in range(8) if code >> i & 1}
        groups = []
        while left:
            group, grown = set(), {left.pop()}
            while grown:
                group |= grown
                grown = {j for j in left for i in grown if _adjacent(RING[i], RING[j], eight)}
                left -= grown
            # With four neighbours only the even ones (north, east, south, west) touch the centre.
            members = sorted(group) if eight else sorted(i for i in group if i % 2 == 0)
            groups += members[:1]
        table[code, 0] = len(groups)
        table[code, 1 : 1 + len(groups)] = groups
    return table


def _adjacent(a: tuple[int, int], b: tuple[int, int], eight: bool) -> bool:
    dx, dy = abs(a[0] - b[0]), abs(a[1] - b[1])
    return max(dx, dy) == 1 if eight else dx + dy == 1


def _half_squares() -> np.ndarray:
    """For each code: by how many half squares the polygon's area grows when the centre is added to the neighbours."""
    table = np.zeros(256, np.int32)
    for code in range(256):
        for corner in (1, 3, 5, 7):  # the square of the centre, a diagonal neighbour and the two between
            table[code] += sum(code >> (i % 8) & 1 for i in (corner - 1, corner, corner + 1)) >= 2
    return table


GROUPS_8, GROUPS_4, HALF_SQUARES = _neighbour_groups(True), _neighbour_groups(False), _half_squares()
