"""CCAM: the weights of the ranks, the maps they make for every class, the non-local blocks."""

import functools

import pytest
import torch
from torch.nn import functional

from cmr.errors import UserError
from cmr.methods.ccam import LAYERS, NonLocal, combine, rank_weights
from cmr.nets import BACKBONES
from cmr.optim import make_optimizer
from cmr.presets import make
from tests.methods import small
from tests.methods.small import LABELS, images

build = functools.partial(small.build, "ccam")
# Number of cells of each block's map at 64 px: strides 4, 8, 16, 16, and 4, 8 for tiny.
CELLS = {name: [256, 64, 16, 16] for name in BACKBONES} | {"tiny": [256, 64]}


def wake(method):
    """Gives the batch norms of the blocks the weights that training would."""
    for block in method.blocks:
        torch.nn.init.uniform_(block.norm.weight, 0.5, 1.5)
    return method


@pytest.mark.parametrize(
    ("classes", "share", "want"),
    [
        (1, 0.5, [1]),
        (2, 0.5, [1, 0]),
        (3, 0.5, [1, 0, 0]),
        (4, 0.5, [1, 0, 0, -1]),
        (8, 0.5, [1, 4 / 9, 1 / 9, 0, 0, -1 / 9, -4 / 9, -1]),
        (12, 0.5, [1, 0.64, 0.36, 0.16, 0.04, 0, 0, -0.04, -0.16, -0.36, -0.64, -1]),
        (5, 0.2, [1, 0, -1 / 9, -4 / 9, -1]),
        (4, 0.01, [1, 0, -1 / 4, -1]),  # one rank at least
        (4, 1.0, [1, 4 / 9, 1 / 9, 0]),
    ],
)
def test_quadratic_weights_by_hand(classes, share, want):
    torch.testing.assert_close(rank_weights("quadratic", classes, share), torch.tensor(want, dtype=torch.float32))


def test_quadratic_weights_of_cub_are_the_published_ones():
    weights = rank_weights("quadratic", 200)
    assert weights[[0, 99, 100, 199]].tolist() == [1, 0, 0, -1]
    assert weights[1].item() == pytest.approx((98 / 99) ** 2)
    assert weights[102].item() == pytest.approx(-((2 / 99) ** 2))
    torch.testing.assert_close(weights, -weights.flip(0))


def test_the_other_functions_by_hand():
    assert rank_weights("linear", 5).tolist() == [1, 0.5, 0, -0.5, -1]
    assert rank_weights("top1", 4).tolist() == [1, 0, 0, 0]
    assert rank_weights("top1_bottom1", 4).tolist() == [1, 0, 0, -1]
    assert [rank_weights(name, 1).tolist() for name in ("linear", "top1", "top1_bottom1")] == [[1]] * 3


@pytest.mark.parametrize("gamma", ["quadratic", "linear", "top1_bottom1", "top1"])
@pytest.mark.parametrize("classes", [1, 2, 3, 7, 20, 50, 1000])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_weights_start_at_one_and_never_rise(gamma, classes, share):
    weights = rank_weights(gamma, classes, share)
    assert weights.shape == (classes,)
    assert weights[0] == 1
    assert (weights.diff() <= 1e-6).all()
    assert weights.min() >= -1


def test_weights_refuse_what_they_cannot_be():
    with pytest.raises(UserError, match="top_share: 0 is not a share of the classes; give a number above 0, at most 1"):
        rank_weights("quadratic", 4, 0)
    with pytest.raises(UserError, match="unknown gamma 'quadratik': did you mean 'quadratic'"):
        rank_weights("quadratik", 4)


def by_loop(maps, logits, weights):
    """The definition: class k first, the others behind it by score; of equal scores the lower class first."""
    out = torch.zeros_like(maps)
    for b in range(len(maps)):
        ranking = sorted(range(maps.shape[1]), key=lambda c: (-logits[b, c].item(), c))
        for k in range(maps.shape[1]):
            for weight, c in zip(weights, [k] + [c for c in ranking if c != k], strict=True):
                out[b, k] += weight * maps[b, c]
    return out


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 12, 20])
def test_every_class_is_put_first(classes):
    maps, logits = torch.randn(2, classes, 4, 3), torch.randn(2, classes)
    for weights in (rank_weights("quadratic", classes), rank_weights("linear", classes), torch.randn(classes)):
        torch.testing.assert_close(combine(maps, logits, weights), by_loop(maps, logits, weights), atol=2e-5, rtol=1e-5)


def test_equal_scores_are_ranked_by_class():
    maps, weights = torch.randn(2, 5, 2, 2), torch.randn(5)
    logits = torch.tensor([[1.0, 2.0, 2.0, 0.0, 2.0], [0.0] * 5])
    torch.testing.assert_close(combine(maps, logits, weights), by_loop(maps, logits, weights))


def test_one_pixel_by_hand():
    maps = torch.tensor([1.0, 4.0, 2.0, 3.0]).view(1, 4, 1, 1)  # also the scores: ranks are classes 1, 3, 2, 0
    got = combine(maps, maps.flatten(1), torch.tensor([1.0, 0.5, 0.0, -1.0])).flatten()
    # class 1: 4 + 3/2 - 1; class 3: 3 + 4/2 - 1; class 2: 2 + 4/2 - 1; class 0: 1 + 4/2 - 2
    assert got.tolist() == [1.0, 4.5, 3.0, 4.0]


def test_the_first_rank_alone_is_cam():
    maps, logits = torch.randn(2, 6, 4, 4), torch.randn(2, 6)
    torch.testing.assert_close(combine(maps, logits, rank_weights("top1", 6)), maps)


def test_combine_computes_in_float32():
    maps, logits = torch.randn(2, 40, 3, 3).bfloat16(), torch.randn(2, 40).bfloat16()
    weights = rank_weights("quadratic", 40)
    got = combine(maps, logits, weights)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, by_loop(maps.float(), logits.float(), weights), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("training", [True, False])
def test_a_block_starts_as_the_identity(dtype, training):
    f = torch.randn(2, 16, 6, 5).to(dtype)
    out = NonLocal(16).train(training)(f)
    assert out.dtype == dtype
    assert torch.equal(out, f)


def block_and_oracle(f, seed=0):
    torch.manual_seed(seed)
    block = NonLocal(f.shape[1]).eval()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    theta, phi, g = (conv(f).flatten(2) for conv in (block.theta, block.phi, block.g))
    weights = torch.einsum("bcn,bcm->bnm", theta, phi).softmax(2)  # no scale, as published
    gathered = torch.einsum("bnm,bcm->bcn", weights, g).view_as(f)
    scale = (block.norm.running_var + block.norm.eps).sqrt()
    normed = (block.out(gathered) - block.norm.running_mean[:, None, None]) / scale[:, None, None]
    return block, f + block.norm.weight[:, None, None] * normed + block.norm.bias[:, None, None]


@pytest.mark.parametrize("channels", [4, 16, 40])  # 4: theta and phi keep one channel
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_block_is_its_formula(channels, layout):
    f = torch.randn(2, channels, 6, 5).to(memory_format=layout)
    block, want = block_and_oracle(f)
    torch.testing.assert_close(block(f), want, atol=1e-4, rtol=1e-4)


def test_a_block_under_autocast_computes_in_float32():
    f = torch.randn(2, 16, 6, 5).bfloat16()
    block, want = block_and_oracle(f.float())
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(block(f), want.bfloat16(), atol=0, rtol=2**-7)


def test_a_block_keeps_no_square_of_the_places():
    kept = []
    f = torch.randn(1, 16, 32, 32, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t.numel()), t)[1], lambda t: t):
        out = NonLocal(16)(f)
    assert max(kept) < 1024 * 1024 / 8
    out.sum().backward()


def test_blocks_leave_the_untrained_network_alone():
    plain, full = build(non_local=False).eval(), build().eval()
    assert len(plain.blocks) == 0
    torch.testing.assert_close(full.localize(images()), plain.localize(images()))
    woken = wake(full).localize(images())[0]
    assert not torch.allclose(woken, plain.localize(images())[0])


@pytest.mark.parametrize("backbone", sorted(set(BACKBONES) - {"resnet50"}))  # whose layers are resnet18's
def test_blocks_sit_at_the_published_strides(backbone):
    method = build(backbone).eval()
    seen = []
    for block in method.blocks:
        block.register_forward_hook(lambda _module, args, _output: seen.append(args[0].shape))
    logits, maps = method.localize(images()[:1])
    assert [h * w for _, _, h, w in seen] == CELLS[backbone]
    assert [c for _, c, _, _ in seen] == [block.norm.num_features for block in method.blocks]
    assert logits.shape == (1, 3)
    assert maps.isfinite().all()


def test_every_backbone_has_its_layers():
    assert set(LAYERS) == set(BACKBONES)
    assert LAYERS["resnet50"] == LAYERS["resnet18"]


def test_blocks_learn_at_the_new_layers_rate():
    method = build()
    groups = make_optimizer(method, make("tiny", method="ccam", lr=0.25, lr_new=8.0)).param_groups
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert {rates[id(parameter)] for parameter in method.blocks.parameters()} == {2.0}
    assert {rates[id(parameter)] for parameter in method.backbone.parameters()} == {0.25}


def test_gradients_wake_the_blocks():
    method = build()
    method.losses(images(), LABELS)["total"].backward()
    for block in method.blocks:
        assert block.norm.weight.grad.abs().sum() > 0
        assert block.theta.weight.grad.abs().sum() == 0  # nothing passes a weight of 0
    method.zero_grad()
    wake(method).losses(images(), LABELS)["total"].backward()
    for block in method.blocks:
        for part in (block.theta.weight, block.phi.weight, block.g.weight, block.out.weight):
            assert part.grad.abs().sum() > 0


def test_training_is_the_cross_entropy_and_the_test_map_the_combination():
    method = wake(build(classes=5)).eval()
    logits, maps = method.localize(images())
    losses = method.losses(images(), LABELS)
    torch.testing.assert_close(losses["total"], functional.cross_entropy(logits, LABELS))
    assert losses["accuracy"] == (logits.argmax(1) == LABELS).float().mean()
    raw = method.head(method.features(images()))[1]
    torch.testing.assert_close(maps, by_loop(raw, logits, rank_weights("quadratic", 5)), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(maps, raw)


def test_steps_add_up():
    method = build(classes=6).eval()
    shown = method.steps(images(), LABELS)
    assert list(shown) == ["image", "class map", "upper ranks", "lower ranks", "combined"]
    torch.testing.assert_close(shown["upper ranks"] - shown["lower ranks"], shown["combined"])
    torch.testing.assert_close(shown["combined"], method.localize(images())[1][torch.arange(3), LABELS])
