"""EIL and MEIL: what is erased, one network for all paths, gradients that add up, and that test erases nothing."""

import functools

import pytest
import torch
from torch.nn import functional

from cmr.methods.eil import LAYERS, LAYERS_MULTI
from cmr.nets import BACKBONES
from tests.methods import small
from tests.methods.small import LABELS, images

build = functools.partial(small.build, "eil")


def erase(x, threshold):
    """The erasing of one image at a time, as an oracle."""
    out = x.clone()
    for i, image in enumerate(x.detach()):
        mean = image.mean(0)
        out[i] = torch.where(mean < threshold * mean.max(), x[i], torch.zeros(()))
    return out


def one_path(method, erased_at, threshold):
    """Logits of one path, layer by layer, in a pass of its own."""
    x = images()
    for name, module in method.backbone.body.named_children():
        x = module(x)
        if name == erased_at:
            x = erase(x, threshold)
    return x.mean((2, 3)) @ method.head.weight.T + method.head.bias


def test_mask_by_hand():
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[3.0, 4.0], [5.0, 8.0]]]])  # channel means 2, 3, 4, 6
    assert build(erase_threshold=0.5).kept(x).flatten().tolist() == [True, False, False, False]  # 3 = 0.5 * 6 goes
    assert build(erase_threshold=0.7).kept(x).flatten().tolist() == [True, True, True, False]
    assert build(erase_threshold=0.7).kept(10 * x).equal(build(erase_threshold=0.7).kept(x))


def test_erases_the_region_and_nothing_else():
    method = build().eval()
    given, taken = [], []
    body = method.backbone.body
    body.layer1.register_forward_hook(lambda _module, _args, output: given.append(output))
    body.layer2.register_forward_pre_hook(lambda _module, args: taken.append(args[0]))
    method.losses(images(), LABELS)
    unerased, erased = taken[0].chunk(2)
    assert unerased.equal(given[0])
    mean = given[0].mean(1)
    gone = mean >= 0.7 * mean.flatten(1).max(1).values[:, None, None]
    assert gone.any(2).any(1).all() and not gone.all()
    gone = gone[:, None].expand_as(erased)
    assert (erased[gone] == 0).all()
    assert erased[~gone].equal(given[0][~gone])


@pytest.mark.parametrize(("which", "sizes"), [("eil", (3, 3, 6)), ("meil", (3, 6, 9))])
def test_all_paths_go_through_one_network_in_one_pass(which, sizes):
    method = small.build(which)
    seen = []
    for name in ("conv1", "layer1", "layer2"):
        module = method.backbone.body.get_submodule(name)
        module.register_forward_pre_hook(lambda _module, args, name=name: seen.append((name, len(args[0]))))
    method.losses(images(), LABELS)
    assert seen == list(zip(("conv1", "layer1", "layer2"), sizes, strict=True))
    assert method.state_dict().keys() == small.build("cam").state_dict().keys()  # no parameters of its own


@pytest.mark.parametrize(("which", "layers"), [("eil", (None, "layer1")), ("meil", (None, "maxpool", "layer1"))])
def test_loss_and_gradient_are_the_sums_of_separate_passes(which, layers):
    method = small.build(which, erase_threshold=0.6, erased_weight=0.5).eval()
    losses = method.losses(images(), LABELS)
    losses["total"].backward()
    got = {name: parameter.grad.clone() for name, parameter in method.named_parameters()}
    method.zero_grad()
    paths = [functional.cross_entropy(one_path(method, layer, 0.6), LABELS) for layer in layers]
    for weight, path in zip((1.0, 0.5, 0.5), paths, strict=False):
        (weight * path).backward(retain_graph=True)  # gradients add up
    names = ["ce_unerased", *(f"ce_erased_{layer}" for layer in layers[1:])]
    assert set(losses) == {"total", "accuracy", *names}
    for name, path in zip(names, paths, strict=True):
        torch.testing.assert_close(losses[name], path)
    torch.testing.assert_close(losses["total"], paths[0] + 0.5 * sum(paths[1:]))
    assert len({round(path.item(), 5) for path in paths}) == len(paths)
    for name, parameter in method.named_parameters():
        torch.testing.assert_close(got[name], parameter.grad, atol=1e-5, rtol=1e-4)


def test_mask_passes_no_gradient():
    method = build()
    x = torch.rand(2, 5, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (x * method.kept(x)).sum().backward()
    assert x.grad.equal(method.kept(x).expand_as(x).float())


def test_batch_norm_takes_one_set_of_statistics_from_both_paths():
    method = build()
    norm = method.backbone.body.layer2[0].bn1
    taken = []
    norm.register_forward_pre_hook(lambda _module, args: taken.append(args[0].detach()))
    method.losses(images(), LABELS)
    assert norm.num_batches_tracked == 1
    assert len(taken[0]) == 6
    torch.testing.assert_close(norm.running_mean, 0.1 * taken[0].mean((0, 2, 3)))
    apart = 0.1 * taken[0][:3].mean((0, 2, 3))
    assert (norm.running_mean - apart).abs().max() > 1e-4  # the erased half does count


def test_threshold_of_one_erases_the_maximum_only_and_weight_of_zero_leaves_cam():
    x = torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    assert (~build(erase_threshold=1.0).kept(x)).sum((1, 2, 3)).tolist() == [1, 1, 1, 1]
    method, cam = build(erased_weight=0.0).eval(), small.build("cam").eval()
    torch.testing.assert_close(method.losses(images(), LABELS)["total"], cam.losses(images(), LABELS)["total"])


def test_accuracy_is_that_of_the_unerased_path():
    method = build(erase_threshold=0.1).eval()
    logits, _ = method.localize(images())
    labels = logits.argmax(1)
    assert method.losses(images(), labels)["accuracy"] == 1.0
    assert method.losses(images(), (labels + 1) % 3)["accuracy"] == 0.0


def test_bfloat16_erases_the_same_positions():
    x = torch.rand(4, 64, 8, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    method = build(erase_threshold=0.95)
    assert (x * method.kept(x)).dtype == torch.bfloat16
    assert method.kept(x).equal(method.kept(x.float()))
    assert 0 < (~method.kept(x)).sum() < 128


@pytest.mark.parametrize("name", BACKBONES)
def test_acts_in_every_backbone(name):
    assert set(LAYERS[name]) < set(LAYERS_MULTI[name])
    method = small.build("meil", name)
    kept = []
    mask = method.kept
    method.kept = lambda x: (kept.append(mask(x)), mask(x))[1]
    losses = method.losses(images()[:2], LABELS[:2])
    losses["total"].backward()
    assert len(kept) == len(LAYERS_MULTI[name])
    assert not any(m.all() for m in kept)
    assert all(parameter.grad is not None for parameter in method.parameters())
    assert kept[0].shape[2] > kept[1].shape[2] or name == "tiny"  # the earlier layer is the finer one


@pytest.mark.parametrize("which", ["eil", "meil"])
def test_steps_show_masks_and_both_maps(which):
    method = small.build(which).eval()
    shown = method.steps(images(), LABELS)
    assert [name for name in shown if name.startswith("kept")] == [f"kept at {layer}" for layer in method.layers]
    maps = method.localize(images())[1]
    torch.testing.assert_close(shown["unerased map"], maps[torch.arange(3), LABELS])
    logits = one_path(method, "layer1", 0.7)
    means = shown["erased map"].mean((1, 2)) + method.head.bias[LABELS]
    torch.testing.assert_close(means, logits[torch.arange(3), LABELS], atol=1e-5, rtol=1e-4)
