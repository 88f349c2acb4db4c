"""Maps from gradients: what they must be where the classifier is linear, and against the formulas by autograd."""

import json

import pytest
import torch
from torch import nn

from cmr.assemble import batches_for_test
from cmr.cli import main
from cmr.errors import UserError
from cmr.evaluate import evaluate
from cmr.maps import of_labels
from cmr.maps.layers import KINDS
from cmr.maps.posthoc import posthoc_call
from cmr.methods import METHODS
from cmr.nets.backbones import build_backbone
from cmr.presets import make
from cmr.study import runs
from cmr.study.reevaluate import changed, reevaluate
from cmr.study.splits import splits

LABELS = torch.tensor([2, 0, 3])


def build(name="cam", scale=1.0, **changes):
    method = METHODS[name](build_backbone("tiny"), 4, METHODS[name].Settings(**changes)).eval()
    head = getattr(method, "head", None) or method.net.branch_x.head
    nn.init.normal_(head.weight, std=scale)
    nn.init.normal_(head.bias)
    return method


def images(count=3, side=64):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def features_and_gradient(method, pictures, labels):
    """A and dlogit/dA by autograd, without the library."""
    kept = []
    hook = method.backbone.register_forward_hook(lambda *seen: kept.append(seen[2]))
    logits, _ = method.localize(pictures)
    hook.remove()
    chosen = logits.gather(1, labels[:, None]).sum()
    return kept[0].detach(), torch.autograd.grad(chosen, kept[0])[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["cam", "cmr", "ccam"])  # CCAM has a block of its own behind the last stage
def test_the_published_formulas(kind, name):
    method = build(name)
    a, g = (value.double() for value in features_and_gradient(method, images(), LABELS))
    alpha = g**2 / (2 * g**2 + a.sum((2, 3), keepdim=True) * g**3)
    weights = {
        "gradcam": g.mean((2, 3), keepdim=True),
        "gradcam++": torch.where(g > 0, alpha * g, 0).sum((2, 3), keepdim=True),
        "layercam": g.relu(),
    }[kind]
    logits, maps = posthoc_call(method, kind)(images(), LABELS)
    torch.testing.assert_close(maps[:, 0].double(), (weights * a).sum(1).relu(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(logits, method.localize(images())[0], rtol=0, atol=0)
    assert maps.shape == (3, 1, 8, 8)
    assert (maps > 0).any()
    assert not maps.requires_grad and not logits.requires_grad


def test_gradcam_of_a_linear_classifier_is_the_positive_part_of_its_cam():
    method = build()
    cam = method.localize(images())[1][torch.arange(3), LABELS]  # (B, h, w), signed
    assert (cam < 0).any()
    _, maps = posthoc_call(method, "gradcam")(images(), LABELS)
    torch.testing.assert_close(maps[:, 0] * 64, cam.relu(), rtol=1e-4, atol=1e-5)  # 1 / N, of N = 8 x 8 cells


def test_tiny_gradients_do_not_vanish_from_gradcampp():
    small, usual = build(scale=1e-6), build(scale=1e-6)
    usual.load_state_dict(small.state_dict())
    usual.head.weight.data *= 1e3  # still so small that sum(A) g is nothing beside 2: the map grows in proportion
    maps = [posthoc_call(method, "gradcam++")(images(), LABELS)[1] for method in (small, usual)]
    torch.testing.assert_close(maps[0] * 1e3, maps[1], rtol=1e-2, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_alone_and_in_a_batch(kind):
    call = posthoc_call(build(), kind)
    together = call(images(), LABELS)[1]
    alone = torch.cat([call(images()[i : i + 1], LABELS[i : i + 1])[1] for i in range(3)])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-6)


def test_it_leaves_no_trace():
    method = build()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    graph = []
    hook = method.backbone.body.layer2.register_forward_hook(lambda *seen: graph.append(seen[2].requires_grad))
    with torch.no_grad():
        posthoc_call(method, "layercam")(images(), LABELS)
        assert not torch.is_grad_enabled()
    hook.remove()
    assert graph == [False]  # nothing was kept for a gradient inside the backbone
    assert torch.is_grad_enabled()
    assert not any(module._forward_hooks for module in method.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in method.parameters())
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_hooks_go_and_gradients_come_back_when_the_network_fails():
    method = build()
    with pytest.raises(RuntimeError):
        posthoc_call(method, "gradcam")(torch.zeros(2, 5, 64, 64), LABELS[:2])
    assert torch.is_grad_enabled()
    assert not any(module._forward_hooks for module in method.modules())


def test_bfloat16():
    method = build()
    exact = posthoc_call(method, "gradcam++")(images(), LABELS)[1]
    with torch.autocast("cpu", torch.bfloat16):
        maps = posthoc_call(method, "gradcam++")(images(), LABELS)[1].float()
    assert torch.nn.functional.cosine_similarity(maps.flatten(1), exact.flatten(1)).min() > 0.99


def test_the_evaluator_takes_them():
    config = make("tiny", method="cam", device="cpu")
    split = splits(config)[1]
    batches = batches_for_test(split, config, torch.device("cpu"), False)
    method = build()

    def own_positive(pictures):
        logits, maps = method.localize(pictures)
        return logits, maps.relu()

    found, outcomes = evaluate(posthoc_call(method, "gradcam"), split, batches, config, progress=False)
    same, _ = evaluate(of_labels(own_positive), split, batches, config, progress=False)
    assert found.top1_clas == same.top1_clas
    for metric in ("gt_known_loc", "top1_loc", "max_box_acc_v2", "pxap"):
        assert getattr(found, metric) == pytest.approx(
            getattr(same, metric), abs=0.5
        )  # rounding moves a threshold's pixel here and there
    other, _ = evaluate(posthoc_call(method, "layercam"), split, batches, config, progress=False)
    assert other.pxap != pytest.approx(same.pxap, abs=0.5)
    assert outcomes["maps"].shape == (32, 4, 4)


def test_unknown_kind_names_the_nearest():
    with pytest.raises(
        UserError, match=r"unknown maps 'grad-cam': did you mean 'gradcam'\? Known: gradcam, gradcam\+\+"
    ):
        posthoc_call(build(), "grad-cam")


def test_command_line(tiny_run, tmp_path, capsys):
    asked = ["evaluate", "--run", str(tiny_run.path), "--maps", "gradcam", "--out", str(tmp_path / "scores.json")]
    main([*asked, "--record", str(tmp_path)])
    assert "GT-known Loc" in capsys.readouterr().out
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["maps"] == "gradcam"
    (again,) = runs.find(tmp_path)
    assert again.record.maps == "gradcam"
    assert again.id == f"{tiny_run.id}-gradcam"
    ours = reevaluate(tiny_run, tiny_run.config, progress=False)  # the same maps where they are positive
    assert scores["result"]["Top-1 Clas"] == pytest.approx(ours.top1_clas, abs=1e-3)
    assert scores["result"]["PxAP"] != pytest.approx(ours.pxap, abs=1e-3)


def test_command_line_refuses(tiny_run, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "--run", str(tiny_run.path), "--maps", "layer-cam"])
    assert stopped.value.code == 2
    assert "unknown maps 'layer-cam': did you mean 'layercam'?" in capsys.readouterr().err


def test_sizes_and_mirror_image_reach_maps_from_gradients(tiny_run):
    config = changed(tiny_run.config, {"test_scales": [1.0, 2.0], "test_flip": True})
    once = reevaluate(tiny_run, tiny_run.config, progress=False, maps="layercam")
    often = reevaluate(tiny_run, config, progress=False, maps="layercam")
    assert often.pxap != pytest.approx(once.pxap, abs=1e-3)


class Broken(torch.autograd.Function):
    @staticmethod
    def forward(_, logits):
        return logits.clone()

    @staticmethod
    def backward(_, gradient):
        raise torch.OutOfMemoryError("no room")


def test_a_way_back_that_fails_says_why(monkeypatch):
    method = build()
    localize = method.localize

    def broken(seen):
        logits, maps = localize(seen)
        return Broken.apply(logits), maps

    monkeypatch.setattr(method, "localize", broken)
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        posthoc_call(method, "gradcam")(images(), LABELS)
