"""TS-CAM: the coupled map by hand and against numpy, what trains and what does not, the three maps at test."""

import functools
import math

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate
from torch import nn
from torch.nn import functional

from cmr.methods.tscam import couple
from cmr.nets.backbones import Backbone
from cmr.optim import make_optimizer
from cmr.presets import make
from tests.methods import small
from tests.methods.small import LABELS, images

build = functools.partial(small.build, "tscam")


def woken(**changes):
    """A method whose attention is far from even, as training would leave it."""
    method = build(**changes).eval()
    for block in method.transformer.blocks:
        nn.init.normal_(block.attn.qkv.weight, std=0.3)
    return method


def test_four_cells_and_one_block_by_hand():
    # The features are the tokens: four cells, (1, -1, 1, -1) or its opposite, which a norm leaves alone. Attention
    # as worked out in tests/nets/test_transformer.py: 3/7 for the first cell, 1/21 for each of the others. Class 0
    # reads the first number of a cell's own token, class 1 the second one.
    bright = torch.tensor([1.0, -1.0, 1.0, -1.0])
    grid = torch.stack([bright, -bright, -bright, -bright]).T.reshape(1, 4, 2, 2)
    method = build(Backbone("none", nn.Sequential(), 4, 1), classes=2, depth=1, width=4, heads=1).eval()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.zero_()
        block = method.transformer.blocks[0]
        method.transformer._tokens = lambda features: torch.cat((bright[None, None], features.flatten(2).mT), 1)
        for norm in (method.transformer.norm, block.norm1):
            norm.weight.fill_(1)
        block.attn.qkv.weight[4:8] = torch.eye(4)
        block.attn.qkv.bias[0] = 2 * math.log(3)
        method.semantic.weight[0, 0, 1, 1] = method.semantic.weight[1, 1, 1, 1] = 1
        logits, maps = method.localize(grid)
        torch.testing.assert_close(logits, torch.tensor([[-0.5, 0.5]]), atol=1e-4, rtol=0)
        want = torch.tensor([[9.0, -1.0, -1.0, -1.0], [-9.0, 1.0, 1.0, 1.0]]) / 21
        torch.testing.assert_close(maps.flatten(2)[0], want, atol=1e-4, rtol=0)


def test_coupling_against_numpy():
    semantic, attention = torch.randn(2, 5, 3, 4), torch.rand(2, 6, 3, 4)
    want = np.einsum("bkhw,blhw->bkhw", semantic.numpy(), attention.numpy()) / 6
    torch.testing.assert_close(couple(semantic, attention), torch.from_numpy(want))


def test_the_semantic_map_is_a_3x3_convolution_of_the_tokens_and_its_mean_the_logit():
    method = woken()
    nn.init.normal_(method.semantic.bias)
    with torch.no_grad():
        patches, attention = method.transformer.look(method.backbone(images()))
        logits, maps = method.localize(images())
    weight, bias = method.semantic.weight.detach().numpy(), method.semantic.bias.detach().numpy()
    for image in range(3):
        for k in range(3):
            layers = zip(patches[image].numpy(), weight[k], strict=True)
            said = sum(correlate(token, kernel, mode="constant") for token, kernel in layers) + bias[k]
            assert logits[image, k].item() == pytest.approx(said.mean(), abs=1e-4)
            np.testing.assert_allclose(maps[image, k], said * attention[image].mean(0).numpy(), atol=1e-5)


def test_training_is_the_cross_entropy_of_the_mean_semantic_map():
    method = build().eval()
    losses = method.losses(images(), LABELS)
    logits, _ = method.localize(images())
    torch.testing.assert_close(losses["total"], functional.cross_entropy(logits, LABELS))
    assert losses["accuracy"] == (logits.argmax(1) == LABELS).float().mean()


def test_maps_at_test_are_the_product_and_its_two_factors():
    found = {}
    for name in ("coupled", "semantic", "attention"):
        method = woken(test_map=name)
        with torch.no_grad():
            logits, found[name] = method.localize(images())
        torch.testing.assert_close(logits, woken().localize(images())[0])
    torch.testing.assert_close(found["semantic"] * found["attention"], found["coupled"])
    assert (found["attention"] == found["attention"][:, :1]).all()  # of no class
    assert (found["attention"] > 0).all()
    assert found["attention"].std((2, 3)).min() > 0


def ask_otherwise(method):
    """Another query of the class token in the last block, and no other query."""

    def add(_module, _args, output):
        output = output.clone()
        output[:, 0, : output.shape[2] // 3] += 1.0
        return output

    method.transformer.blocks[-1].attn.qkv.register_forward_hook(add)


def test_the_last_blocks_query_of_the_class_token_moves_the_map_and_not_the_loss():
    method = woken()
    total, maps = method.losses(images(), LABELS)["total"], method.localize(images())[1]
    ask_otherwise(method)
    torch.testing.assert_close(method.losses(images(), LABELS)["total"], total, atol=0, rtol=0)
    assert (method.localize(images())[1] - maps).abs().max() > 1e-3 * maps.abs().max()


def test_with_a_loss_of_its_own_the_class_token_learns_where_to_look():
    method = woken(class_token_weight=2.0)
    losses = method.losses(images(), LABELS)
    _, class_token = method.transformer(method.backbone(images()))
    own = functional.cross_entropy(method.class_head(class_token), LABELS)
    torch.testing.assert_close(losses["ce_class_token"], own)
    patches = functional.cross_entropy(method.localize(images())[0], LABELS)
    torch.testing.assert_close(losses["total"], patches + 2 * own)
    ask_otherwise(method)
    assert method.losses(images(), LABELS)["total"] != losses["total"]


def test_the_transformer_learns_at_the_new_layers_rate():
    method = build(class_token_weight=1.0)
    groups = make_optimizer(method, make("tiny", method="tscam", lr=0.25, lr_new=8.0)).param_groups
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    new = [*method.transformer.parameters(), *method.semantic.parameters(), *method.class_head.parameters()]
    old = list(method.backbone.parameters())
    assert {rates[id(parameter)] for parameter in new} == {2.0}
    assert {rates[id(parameter)] for parameter in old} == {0.25}
    assert len(old) + len(new) == len(rates)


def test_steps_multiply():
    method = woken()
    shown = method.steps(images(), LABELS)
    assert list(shown) == ["image", "semantic map", "attention", "coupled"]
    torch.testing.assert_close(shown["semantic map"] * shown["attention"], shown["coupled"])
    torch.testing.assert_close(shown["coupled"], method.localize(images())[1][torch.arange(3), LABELS])
