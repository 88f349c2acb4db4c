"""How far the two views' maps agree: what all classes share counts in the whole map and not in the own part."""

import dataclasses

import pytest
import torch

from cmr.methods import METHODS
from cmr.nets.backbones import build_backbone
from cmr.study.agreement import view_agreement


class Pictures:
    """Stands in for `Batches`: eight images in one batch, whatever is asked."""

    def epoch(self, index):
        generator = torch.Generator().manual_seed(2)
        pictures = torch.randint(0, 256, (8, 3, 64, 64), generator=generator, dtype=torch.uint8)
        yield pictures[: len(index)], torch.arange(len(index)) % 3, index


def build(**changes):
    torch.manual_seed(0)
    settings = dataclasses.replace(METHODS["cmr"].Settings(), sizes=(8, 16), **changes)
    return METHODS["cmr"](build_backbone("tiny"), 3, settings).eval()


def test_what_all_classes_share_brings_whole_maps_together_and_not_the_own_parts():
    plain, shared = build(), build()
    for branch in (shared.net.branch_x, shared.net.branch_xt):
        branch.head.weight.data += 100.0
    before, after = view_agreement(plain, Pictures(), 24), view_agreement(shared, Pictures(), 24)
    assert after.map > before.map + 0.3
    assert after.own == pytest.approx(before.own, abs=0.01)
    assert -1 <= before.own < after.map


def test_one_branch_that_sees_the_whole_image_twice_agrees_with_itself():
    method = build(share_heads=True, hide_probability=0.0, caam=False, ssam=False)
    method.views = lambda pictures: (pictures, pictures)
    found = view_agreement(method, Pictures(), 9)
    assert (found.map, found.own) == pytest.approx((1.0, 1.0), abs=1e-5)


def test_the_same_cells_every_time_and_no_trace_in_the_random_numbers():
    method = build()
    state = torch.get_rng_state()
    first = view_agreement(method, Pictures(), 9)
    assert torch.equal(torch.get_rng_state(), state)
    assert view_agreement(method, Pictures(), 9) == first != view_agreement(method, Pictures(), 9, seed=1)
