"""Costs that can be worked out by hand, and clocks that are not the machine's."""

import itertools

import pytest
import torch
from torch import nn

from cmr.study import cost

CPU = torch.device("cpu")
MIB = 2**18  # float32 numbers in a MiB


def test_multiply_adds_of_a_convolution_and_its_gradients():
    conv = nn.Conv2d(3, 5, 3, padding=1, bias=False)
    images = torch.randn(2, 3, 8, 8)
    forward = 2 * 5 * 8 * 8 * 3 * 3 * 3
    assert cost.multiply_adds(lambda: conv(images)) == forward
    assert cost.multiply_adds(lambda: conv(images).sum().backward()) == 2 * forward  # of the weight; none of the image
    images.requires_grad_()
    assert cost.multiply_adds(lambda: conv(images).sum().backward()) == 3 * forward


def test_memory_is_given_back():
    def one_after_the_other():
        for _ in range(5):
            torch.zeros(4 * MIB)

    assert cost.peak_memory_mb(one_after_the_other, CPU) == 4.0
    kept = []
    assert cost.peak_memory_mb(lambda: kept.extend(torch.zeros(4 * MIB) for _ in range(5)), CPU) == 20.0


def test_views_and_operations_in_place_hold_nothing_more():
    def work():
        tensor = torch.zeros(4 * MIB)
        tensor.view(4, MIB)[1:].add_(1).relu_()

    assert cost.peak_memory_mb(work, CPU) == 4.0


def test_what_a_gradient_needs_is_held():
    weight = torch.ones(2 * MIB, requires_grad=True)  # there before, so not counted

    def work():
        out = weight.exp().exp()  # both results are kept for the way back, 2 MiB each
        return out.detach()[:1]

    assert cost.peak_memory_mb(work, CPU) == 4.0
    with torch.no_grad():
        assert cost.peak_memory_mb(lambda: weight.exp().exp().exp().exp(), CPU) == 4.0  # one in, one out
    assert cost.peak_memory_mb(lambda: weight.exp().exp().exp().exp(), CPU) == 8.0


def test_rounds_take_turns_and_start_warm():
    called = []
    ticks = itertools.count(0, 6)  # 6 seconds from one look at the clock to the next
    works = {"a": lambda: called.append("a"), "b": lambda: called.append("b")}
    seconds = cost.interleaved(works, 2, CPU, steps=3, clock=lambda: next(ticks))
    assert "".join(called) == "ab" + "aaabbb" * 2
    assert seconds == {"a": [2.0, 2.0], "b": [2.0, 2.0]}


def test_a_slow_round_does_not_change_the_ratio():
    assert cost.ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0
    with pytest.raises(ValueError, match="shorter"):
        cost.ratio([1.0, 2.0], [1.0])
