"""ADL: the drop mask and the importance map by hand, the draw between them, where they act, and that test has none."""

import functools

import pytest
import torch
from torch.nn import functional

from cmr.methods.adl import LAYERS, drop_mask, self_attention
from cmr.nets import BACKBONES
from cmr.nets.backbones import build_backbone
from tests.methods import small
from tests.methods.small import LABELS, images

build = functools.partial(small.build, "adl")


def features():
    # Two images of two channels; channel means 1, 2, 3, 4 and ten times that: each has its own maximum.
    mean = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    first = torch.stack((mean - 0.5, mean + 0.5))
    return torch.stack((first, 10 * first))  # (2, 2, 2, 2)


def test_attention_is_the_channel_mean():
    want = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert self_attention(features())[0, 0].equal(want)
    assert self_attention(features())[1, 0].equal(10 * want)


@pytest.mark.parametrize(
    ("threshold", "kept"),
    [
        (1.0, [1, 1, 1, 0]),
        (0.75, [1, 1, 0, 0]),  # 3 is 0.75 of the maximum, not below it
        (0.5, [1, 0, 0, 0]),
        (0.0, [0, 0, 0, 0]),
    ],
)
def test_drop_mask_hides_what_reaches_the_threshold_of_each_image(threshold, kept):
    mask = drop_mask(self_attention(features()), threshold)
    assert mask.dtype == torch.bool
    assert mask.shape == (2, 1, 2, 2)
    assert mask.flatten(1).int().tolist() == [kept, kept]


def test_drop_multiplies_by_the_mask_or_by_the_importance():
    x = features()
    masked = build(drop_rate=1.0, drop_threshold=0.75).drop(x)
    assert masked.equal(x * torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    weighted = build(drop_rate=0.0, drop_threshold=0.75).drop(x)
    importance = torch.tensor([[0.7310586, 0.8807970], [0.9525741, 0.9820138]])  # 1 / (1 + e^-a) at a = 1, 2, 3, 4
    torch.testing.assert_close(weighted[0], x[0] * importance)


def test_one_draw_for_the_whole_batch_with_the_drop_rate():
    method = build(drop_rate=0.75, drop_threshold=0.5)
    x = torch.rand(6, 4, 3, 3, generator=torch.Generator().manual_seed(0)) + 0.1
    mask = drop_mask(self_attention(x), 0.5)
    importance = self_attention(x).sigmoid()
    dropped = 0
    for _ in range(1000):
        out = method.drop(x)
        if out.equal(x * mask):
            dropped += 1
        else:
            torch.testing.assert_close(out, x * importance)
    assert dropped / 1000 == pytest.approx(0.75, abs=0.05)  # 3.6 standard deviations


def test_every_layer_draws_for_itself():
    method = build(drop_rate=0.5).eval()
    seen = []
    drop = method.drop

    def watch(x):
        out = drop(x)
        seen.append(bool(((out == 0) & (x > 0)).any()))
        return out

    method.drop = watch
    for _ in range(30):
        method.losses(images(32), LABELS)
    assert set(zip(seen[::2], seen[1::2], strict=True)) == {(a, b) for a in (True, False) for b in (True, False)}


def test_gradient_passes_through_the_importance_and_not_through_the_mask():
    x = features().requires_grad_()
    build(drop_rate=1.0, drop_threshold=0.75).drop(x).sum().backward()
    assert x.grad.equal(torch.tensor([[1.0, 1.0], [0.0, 0.0]]).expand(2, 2, 2, 2))
    x = features().requires_grad_()
    build(drop_rate=0.0).drop(x).sum().backward()
    # y_c = x_c s(a) with a = mean x: the sum over c has the derivative s + a s (1 - s)
    a = self_attention(features())
    s = 1 / (1 + torch.exp(-a))
    torch.testing.assert_close(x.grad, (s + a * s * (1 - s)).expand(2, 2, 2, 2))


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_loss_is_that_of_the_network_written_out(rate):
    method = build(drop_rate=rate, drop_threshold=0.8).eval()
    body = method.backbone.body

    def layer(x):
        a = x.mean(1, keepdim=True)
        peak = a.flatten(1).max(1).values[:, None, None, None]
        return x * (a < 0.8 * peak) if rate else x / (1 + torch.exp(-a))

    x = body.maxpool(body.act1(body.bn1(body.conv1(images()))))
    x = layer(body.layer2(layer(body.layer1(x))))
    logits = x.mean((2, 3)) @ method.head.weight.T + method.head.bias
    losses = method.losses(images(), LABELS)
    torch.testing.assert_close(losses["total"], functional.cross_entropy(logits, LABELS))
    assert losses["accuracy"].item() == pytest.approx((logits.argmax(1) == LABELS).float().mean().item())


def test_bfloat16_drops_the_same_positions():
    x = torch.rand(4, 64, 8, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    method = build(drop_rate=1.0, drop_threshold=0.95)
    out = method.drop(x)
    assert out.dtype == torch.bfloat16
    assert ((out == 0) == (method.drop(x.float()) == 0)).all()


def test_positions_of_vgg_and_resnet_are_the_published_ones():
    body = build_backbone("vgg16").body
    pools = [f"features.{i}" for i, layer in enumerate(body.features) if isinstance(layer, torch.nn.MaxPool2d)]
    last = f"features.{len(body.features) - 1}"
    before_pool4 = f"features.{int(pools[3].split('.')[1]) - 1}"
    assert LAYERS["vgg16"] == (pools[2], before_pool4, last)
    assert LAYERS["resnet50"] == ("layer3.0", "layer4.0", "layer4.2")
    assert len(build_backbone("resnet18").body.layer4) == 2  # so layer4.1 is its last block


@pytest.mark.parametrize("name", BACKBONES)
def test_acts_in_every_backbone(name):
    method = build(name, drop_rate=1.0)
    changed = []
    drop = method.drop
    method.drop = lambda x: (changed.append(not x.equal(drop(x))), drop(x))[1]
    method.losses(images()[:2], LABELS[:2])["total"].backward()
    assert changed == [True] * len(LAYERS[name])
    assert all(parameter.grad is not None for parameter in method.parameters())


def test_steps_show_what_the_last_layer_would_do():
    method = build(drop_threshold=0.8).eval()
    shown = method.steps(images(), LABELS)
    a = method.backbone(images()).mean(1)
    torch.testing.assert_close(shown["self-attention"], a)
    assert shown["drop mask"].equal(a < 0.8 * a.flatten(1).max(1).values[:, None, None])
    maps = method.localize(images())[1]
    torch.testing.assert_close(shown["class map"], maps[torch.arange(3), LABELS])
