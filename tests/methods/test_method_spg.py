"""SPG: what counts as object and background, who teaches whom, and that the test is CAM's."""

import functools

import cv2
import numpy as np
import pytest
import torch

from cmr.methods.cam import CAM
from cmr.methods.spg import IGNORED, LAYERS, guidance, guided_loss
from cmr.nets import BACKBONES
from cmr.nets.backbones import build_backbone
from tests.methods import small
from tests.methods.small import LABELS, images

build = functools.partial(small.build, "spg")
BOTH = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
NOTHING_COUNTS = {"high_b2": 1.0, "low_b2": 0.0, "high_b1": 1.0, "low_b1": 0.0, "high_c": 1.0, "low_c": 0.0}


def reference(attention, high, low, min_pixels):
    """The rule in plain loops, in the order in which the benchmark writes the mask: object, then background."""
    target = np.full_like(attention, IGNORED)
    for image, out in zip(attention, target, strict=True):
        chosen = image > np.float32(high)
        if chosen.sum() < min_pixels:
            chosen = image > np.float32(0.7) * image.max()
        out[chosen] = 1
        out[image < np.float32(low)] = 0
    return target


def test_guidance_by_hand():
    attention = torch.tensor([[[0.0, 0.25, 0.26], [0.5, 0.75, 0.8], [1.0, 0.2, 0.76]]])
    got = guidance(attention, high=0.75, low=0.25, min_pixels=0)
    ign = IGNORED
    assert got.tolist() == [[[0, ign, ign], [ign, ign, 1], [1, 0, 1]]]  # neither 0.75 nor 0.25 itself is decided


def test_the_rule_of_30_pixels_is_each_image_s_own():
    attention = torch.full((3, 10, 10), 0.3)
    attention[:, 0, 0] = 0.8  # the maximum: 0.7 times it is 0.56
    attention[:, 5:] = 0.6  # 50 pixels that only the lowered threshold takes
    attention[0].flatten()[1:30] = 0.75  # with the maximum 30 above 0.7: no need
    attention[1].flatten()[1:29] = 0.75  # with the maximum 29
    objects = (guidance(attention, 0.7, 0.1, 30) == 1).flatten(1).sum(1)
    assert objects.tolist() == [30, 29 + 50, 1 + 50]
    assert (guidance(attention, 0.7, 0.1, 29) == 1).flatten(1).sum(1).tolist() == [30, 29, 1 + 50]
    assert (guidance(attention, 0.7, 0.1, 0) == 1).flatten(1).sum(1).tolist() == [30, 29, 1]


def test_background_has_the_last_word():
    attention = torch.full((1, 4, 4), 0.02)
    attention[0, 0, 0] = 0.04  # above 0.7 times the maximum, and still below the lower threshold
    assert (guidance(attention, 0.5, 0.05) == 0).all()


@BOTH
@pytest.mark.parametrize(("high", "low", "least"), [(0.7, 0.05, 30), (0.95, 0.1, 30), (0.5, 0.5, 0)])
def test_guidance_against_plain_loops(dtype, high, low, least):
    attention = (torch.rand(6, 12, 12) * torch.linspace(0.3, 1, 6)[:, None, None]).to(dtype)
    got = guidance(attention, high, low, least)
    assert got.dtype == torch.float32
    np.testing.assert_array_equal(got.numpy(), reference(attention.float().numpy(), high, low, least))
    if high == low:
        assert torch.equal(got == IGNORED, attention == high)


def test_guidance_hands_no_gradient_back():
    assert not guidance(torch.rand(2, 4, 4, requires_grad=True), 0.7, 0.1).requires_grad


@BOTH
def test_guided_loss_is_the_mean_over_the_pixels_that_count(dtype):
    logits = torch.randn(3, 5, 5).to(dtype).requires_grad_()
    target = torch.tensor([0.0, IGNORED, 1.0])[torch.randint(3, (3, 5, 5))]
    loss = guided_loss(logits, target)
    counted = target != IGNORED
    chosen = logits.detach()[counted].double().sigmoid().numpy()
    want = -np.log(np.where(target[counted] == 1, chosen, 1 - chosen)).mean()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(want, rel=1e-5)
    loss.backward()
    assert (logits.grad[~counted] == 0).all()
    assert (logits.grad[counted] != 0).all()


def test_guided_loss_where_no_pixel_counts():
    logits = torch.randn(2, 3, 3, requires_grad=True)
    loss = guided_loss(logits, torch.full((2, 3, 3), IGNORED))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_every_parameter_is_reached_where_no_pixel_counts():
    method = build(**NOTHING_COUNTS, min_pixels=0)
    losses = method.losses(images(), LABELS)
    assert [losses[name].item() for name in ("b2", "b1", "c")] == [0, 0, 0]
    losses["total"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize(
    ("loss", "taught"), [("ce", {"head"}), ("b2", {"b2", "b_shared"}), ("b1", {"b1", "b_shared"}), ("c", {"c"})]
)
def test_a_loss_teaches_its_own_layers_and_never_where_its_target_comes_from(loss, taught):
    method = build()
    method.losses(images(), LABELS)[loss].backward()
    for part in ("head", "b1", "b2", "b_shared", "c"):
        reached = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in getattr(method, part).parameters()]
        assert all(reached) if part in taught else not any(reached), part
    assert next(method.backbone.parameters()).grad.abs().sum() > 0


def test_each_target_comes_from_the_right_map_with_its_own_thresholds():
    thresholds = {"high_b2": 0.6, "low_b2": 0.2, "high_b1": 0.7, "low_b1": 0.3, "high_c": 0.55, "low_c": 0.45}
    method = build(**thresholds, min_pixels=0)
    attention = torch.tensor([[[0.1, 0.5, 0.65]]])
    said = {
        "b1": torch.tensor([[[0.2, 0.9, 0.5]]]).logit(),
        "b2": torch.tensor([[[0.8, 0.1, 0.5]]]).logit(),
        "c": torch.full((1, 1, 3), 9.0),
    }
    targets = {name: target.tolist() for name, target in method.targets(attention, said).items()}
    assert targets == {
        "b2": [[[0, IGNORED, 1]]],  # from the attention
        "b1": [[[1, 0, IGNORED]]],  # from B2
        "c": [[[IGNORED, IGNORED, IGNORED]]],  # from the mean of both, 0.5 everywhere
    }


def test_total_is_the_sum_of_its_four_parts():
    losses = build().losses(images(), LABELS)
    torch.testing.assert_close(losses["total"], losses["ce"] + losses["b2"] + losses["b1"] + losses["c"])


@torch.no_grad()
def test_attention_is_the_true_class_s_map_enlarged_and_scaled():
    method = build().eval()
    _, attention, said = method.look(images(), LABELS)
    maps = method.localize(images())[1]
    assert {part.shape for part in (attention, *said.values())} == {(3, 64, 64)}
    for i, label in enumerate(LABELS):
        large = cv2.resize(maps[i, label].numpy(), (64, 64), interpolation=cv2.INTER_LINEAR)
        want = (large - large.min()) / np.ptp(large)
        np.testing.assert_allclose(attention[i].numpy(), want, atol=1e-4)
        assert attention[i].min() == 0
        assert attention[i].max() == 1


@torch.no_grad()
def test_the_two_inner_heads_read_their_own_layers():
    method = build().eval()
    inner = []
    for part in (method.b1, method.b2):
        part.register_forward_pre_hook(lambda _module, args: inner.append(tuple(args[0].shape)))
    method.look(images(), LABELS)
    assert sorted(inner) == [(3, 32, 16, 16), (3, 128, 8, 8)]


@torch.no_grad()
def test_at_test_it_is_cam_and_nothing_else_runs():
    method = build().eval()
    cam = CAM(method.backbone, 3, CAM.Settings()).eval()
    cam.head = method.head
    want = cam.localize(images())
    for part in (method.b1, method.b2, method.b_shared, method.c):
        part.register_forward_pre_hook(lambda _module, _args: pytest.fail("a guiding layer ran at test"))
    got = method.localize(images())
    torch.testing.assert_close(got, want, atol=0, rtol=0)
    assert got[1].min() < 0  # raw and signed


@BOTH
def test_losses_are_float32_and_finite(dtype):
    method = build()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        losses = method.losses(images().contiguous(memory_format=torch.channels_last), LABELS)
    assert {value.dtype for value in losses.values()} == {torch.float32}
    assert all(value.isfinite() for value in losses.values())


def test_steps_show_what_training_does():
    method = build().eval()
    steps = method.steps(images(), LABELS)
    assert list(steps) == ["image", "attention", "target of B2", "target of B1", "target of C"]
    assert all(step.shape == (3, 64, 64) and not step.requires_grad for step in list(steps.values())[1:])
    for name in list(steps)[2:]:
        assert set(steps[name].unique().tolist()) <= {0.0, IGNORED, 1.0}
        assert (steps[name] == 1).flatten(1).any(1).all()
    np.testing.assert_array_equal(steps["target of B2"].numpy(), reference(steps["attention"].numpy(), 0.7, 0.05, 30))
    again = method.steps(images(), LABELS)
    assert all(torch.equal(steps[name], again[name]) for name in steps)


def test_every_backbone_has_its_layers():
    assert set(LAYERS) == set(BACKBONES)
    channels = {
        name: tuple(backbone.layer_channels(layer) for layer in LAYERS[name])
        for name, backbone in ((name, build_backbone(name)) for name in LAYERS)
    }
    assert channels == {
        "inception_v3": (288, 768),  # the numbers of the paper's network
        "vgg16": (512, 512),
        "resnet50": (1024, 1024),
        "resnet18": (256, 256),
        "squeezenet1_1": (256, 384),
        "tiny": (32, 128),
    }
