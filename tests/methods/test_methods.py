"""What defines each method: its two calls, what it hides, what trains."""

import dataclasses
import functools

import pytest
import torch

from cmr.errors import UserError
from cmr.methods import METHODS
from cmr.methods.settings import CMRSettings
from cmr.nets.backbones import build_backbone
from tests.methods.small import LABELS, build, images


@pytest.mark.parametrize("name", sorted(METHODS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_two_calls(name, dtype):
    method = build(name)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        losses = method.losses(images(), LABELS)
        logits, maps = method.eval().localize(images())
    assert all(value.ndim == 0 and value.isfinite() for value in losses.values())
    assert logits.shape == (3, 3)
    assert maps.shape == (3, 3, 8, 8)
    method.train()
    losses["total"].backward()
    missing = [n for n, p in method.named_parameters() if p.grad is None]
    assert not missing


@pytest.mark.parametrize("name", sorted(METHODS))
def test_localize_is_the_same_every_time(name):
    method = build(name).eval()
    torch.testing.assert_close(method.localize(images()), method.localize(images()), atol=0, rtol=0)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_maps_of_positive_weights_are_the_class_maps_less_what_speaks_against_the_class(name):
    method = build(name).eval()
    call = method.localize_positive()
    if call is None:
        assert name in (
            "acol",
            "ccam",
            "cmr",
            "danet",
            "tscam",
        )  # fused, combined, of several heads, weighed by attention
        return
    with torch.no_grad():
        logits, maps = method.localize(images())
        same, positive = call(images())
        torch.testing.assert_close(same, logits, atol=0, rtol=0)
        features = method.features(images())
        against = torch.einsum("bchw,kc->bkhw", features, method.head.weight.clamp(max=0))
    assert features.min() >= 0 > against.min()
    torch.testing.assert_close(positive + against, maps, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"ccam", "cmr", "danet"}))
def test_losses_never_look_at_values(name):
    # The meta device has shapes and no values: reading one, as .item() does, would raise. It has no autocast either,
    # which the three that are left out turn off.
    losses = build(name).to("meta").losses(images().to("meta"), LABELS.to("meta"))
    assert losses["total"].shape == ()


@pytest.mark.parametrize("name", ["adl", "cutmix", "eil", "has", "meil", "spg"])
def test_at_test_it_is_cam(name):
    method, cam = build(name).eval(), build("cam").eval()
    for ours, theirs in zip(method.localize(images()), cam.localize(images()), strict=True):
        assert ours.equal(theirs)
    assert method.losses(images(), LABELS)["total"] != cam.losses(images(), LABELS)["total"]
    assert (method.state_dict().keys() == cam.state_dict().keys()) == (name != "spg")  # alone with layers of its own


def test_a_backbone_in_which_a_method_does_not_know_its_layers_is_refused():
    backbone = build_backbone("tiny")
    backbone.name = "other"
    for name in ("adl", "ccam", "danet", "eil", "meil", "spg"):
        of_danet = {"hierarchy": "cub"} if name == "danet" else {}
        with pytest.raises(UserError, match=f"method '{name}' says no layers for backbone 'other'; it is defined for "):
            build(name, backbone, **of_danet)
    build("ccam", backbone, non_local=False)
    build("danet", backbone)  # without a hierarchy it needs no earlier stage


def test_cam_total_is_the_cross_entropy():
    method = build("cam").eval()
    logits, _ = method.localize(images())
    want = torch.nn.functional.cross_entropy(logits, LABELS)
    torch.testing.assert_close(method.losses(images(), LABELS)["total"], want)


def test_cam_convolution_for_vgg_only():
    assert isinstance(build("cam").conv, torch.nn.Identity)
    assert build("cam", conv_channels=32).head.weight.shape == (3, 32)
    vgg = METHODS["cam"](build_backbone("vgg16"), 3, METHODS["cam"].Settings())
    assert vgg.head.weight.shape == (3, 1024)


def test_has_hides_whole_cells_and_nothing_else():
    method = build("has", sizes=(16,))
    whole = torch.full((8, 3, 64, 64), 2.0)
    hidden = method.hide(whole)
    cells = hidden.unfold(2, 16, 16).unfold(3, 16, 16).flatten(4)  # (B, 3, 4, 4, 256)
    assert set(hidden.unique().tolist()) == {0.0, 2.0}
    assert (cells.amin(4) == cells.amax(4)).all()  # a cell is hidden whole or not at all
    assert 0.3 < (hidden == 0).float().mean() < 0.7


def test_has_zero_in_the_list_shows_the_whole_image():
    assert (build("has", sizes=(0,)).hide(images()) == images()).all()
    torch.manual_seed(0)
    batch = torch.ones(2000, 3, 8, 8)
    untouched = (build("has", sizes=(0, 4)).hide(batch) == 1).flatten(1).all(1).float().mean()
    assert untouched.item() == pytest.approx(0.5 + 0.5 * 0.5**4, abs=0.04)  # 0 drawn, or no cell of four hidden


def test_cmr_views_add_up_to_the_image():
    for fill in ("mean", "black", "noise"):
        x, x_tilde = build("cmr", fill=fill).views(images())
        shown = (x == images()).all(1) | (x_tilde == images()).all(1)
        assert shown.all()
    x, x_tilde = build("cmr").views(images())
    torch.testing.assert_close(x + x_tilde, images())


def test_cmr_total_is_equation_15():
    method = build("cmr", beta=7.0)
    losses = method.losses(images(), LABELS)
    torch.testing.assert_close(losses["total"], losses["ce_x"] + losses["ce_xt"] + 7.0 * losses["fusion"])
    assert {"delta_x", "delta_xt", "alpha_x", "alpha_xt"} <= set(losses)


def test_cmr_without_modules_has_no_scalars():
    losses = build("cmr", caam=False, ssam=False).losses(images(), LABELS)
    assert not {"delta_x", "alpha_x"} & set(losses)


def test_cmr_fusion_gradient_reaches_both_classifiers_and_the_backbone():
    method = build("cmr")
    losses = method.losses(images(), LABELS)
    losses["fusion"].backward()
    for part in (method.net.branch_x.head.weight, method.net.branch_xt.head.weight, next(method.backbone.parameters())):
        assert part.grad.abs().sum() > 0


def test_cmr_beta_warms_up_over_steps_and_is_whole_at_once_without():
    method = build("cmr", beta=10.0, beta_warmup=4)
    assert [round(float(method.beta()), 4) for _ in range(6)] == [2.5, 5.0, 7.5, 10.0, 10.0, 10.0]
    assert "step" in method.state_dict()  # a resumed run goes on with the warm-up
    assert method.eval().beta() == 10.0
    assert build("cmr", beta=10.0).beta() == 10.0


def test_cmr_stopped_branch_gets_no_gradient_from_the_fusion_loss():
    method = build("cmr", fusion_stop="x_tilde")
    method.losses(images(), LABELS)["fusion"].backward()
    assert method.net.branch_xt.head.weight.grad is None
    assert method.net.branch_x.head.weight.grad.abs().sum() > 0


def test_cmr_fusion_on_positive_parts_ignores_where_both_maps_are_negative():
    method = build("cmr", fusion_map="relu")
    method.net.branch_x.head.weight.data.fill_(-1.0)
    method.net.branch_xt.head.weight.data.fill_(-1.0)
    assert method.losses(images(), LABELS)["fusion"].item() == 0.0


def test_cmr_fusion_on_minmax_maps_does_not_see_what_is_added_to_a_whole_map():
    found = []
    for offset in (0.0, 7.0):
        method = build("cmr", fusion_map="minmax", fuse_conv=False, caam=False, ssam=False).eval()
        class_map = method.net.branch_x.head.class_map
        method.net.branch_x.head.class_map = lambda *given, add=offset, of=class_map: of(*given) + add
        torch.manual_seed(0)  # the same views
        found.append(method.losses(images(), LABELS)["fusion"].item())
    assert found[0] == pytest.approx(found[1], rel=1e-4) and found[0] > 0


def test_what_all_classes_share_cheapens_the_fusion_loss_of_raw_maps_and_not_of_mean_free_ones():
    # The softmax does not see a map that is added to every class's. Equation 14 does: the directions come together.
    found = {}
    for fusion_map in ("raw", "mean_free"):
        for shared in (0.0, 100.0):
            method = build("cmr", fusion_map=fusion_map, beta=1.0).eval()
            for branch in (method.net.branch_x, method.net.branch_xt):
                branch.head.weight.data += shared * torch.linspace(0, 1, branch.head.weight.shape[1])
            torch.manual_seed(0)  # the same views
            found[fusion_map, shared] = {name: value.item() for name, value in method.losses(images(), LABELS).items()}
    for name in ("ce_x", "ce_xt"):
        assert found["raw", 0.0][name] == pytest.approx(found["raw", 100.0][name], rel=1e-3)
    assert found["raw", 100.0]["fusion"] < 0.5 * found["raw", 0.0]["fusion"]
    assert found["mean_free", 100.0]["fusion"] == pytest.approx(found["mean_free", 0.0]["fusion"], rel=1e-3)


def test_the_fusion_loss_moves_what_all_classes_share_and_the_cross_entropy_does_not():
    method = build("cmr")
    losses, row_mean = method.losses(images(), LABELS), {}
    for name in ("ce_x", "fusion"):
        (gradient,) = torch.autograd.grad(losses[name], [method.net.branch_x.head.weight], retain_graph=True)
        row_mean[name] = (gradient.mean(0).abs().max() / gradient.abs().max()).item()
    assert row_mean["ce_x"] < 1e-5
    assert row_mean["fusion"] > 0.1


def test_mean_free_maps_at_test_add_up_to_nothing_over_the_classes():
    method = build("cmr").eval()
    logits, raw = method.localize(images())
    again = build("cmr", test_map="mean_free").eval()
    again.load_state_dict(method.state_dict())
    logits_again, centred = again.localize(images())
    torch.testing.assert_close(logits_again, logits)
    torch.testing.assert_close(centred.sum(1), torch.zeros_like(centred[:, 0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(centred[:, 0] - centred[:, 1], raw[:, 0] - raw[:, 1])


def test_has_views_repeat_the_batch_with_other_cells(monkeypatch):
    method = build("has", views=2)
    seen = []
    monkeypatch.setattr(type(method), "hide", lambda self, batch: (seen.append(batch), batch)[1])
    method.losses(images(), LABELS)
    torch.testing.assert_close(seen[0], images().repeat(2, 1, 1, 1))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_steps_are_pictures_and_maps(name):
    shown = build(name).eval().steps(images(), LABELS)
    assert next(iter(shown)) == "image"
    assert 3 <= len(shown) <= 5
    for value in shown.values():
        assert value.shape[0] == 3
        assert value.ndim == (4 if value.shape[1:2] == (3,) else 3)
        assert not value.requires_grad


NETWORKS = ("vgg16", "resnet50", "resnet18", "inception_v3", "squeezenet1_1", "tiny")


@functools.cache
def network(name):
    return build_backbone(name)


@pytest.mark.parametrize("backbone", NETWORKS)
@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_trains_and_tests_on_every_backbone(name, backbone):
    settings = METHODS[name].Settings()
    small = {"sizes": (16,), "head_channels": 8, "conv_channels": 8}
    known = {item.name for item in dataclasses.fields(settings)}
    settings = dataclasses.replace(settings, **{key: value for key, value in small.items() if key in known})
    net = network(backbone)
    method = METHODS[name](net, 3, settings)
    pictures = images()[:2]
    total = method.losses(pictures, LABELS[:2])["total"]
    total.backward()
    assert total.isfinite()
    with torch.no_grad():
        logits, maps = method.eval().localize(pictures)
    net.train()
    assert logits.shape == (2, 3)
    assert maps.shape[:2] == (2, 3)
    assert maps.shape[2] in (4, 8, 16)  # 64 px in cells of 16, 8, or of an earlier layer
    assert not any(module._forward_hooks for module in net.modules())  # nothing is left behind in the backbone


def test_settings_of_the_papers_modules_reach_them():
    asked = {"caam_axis": "row", "caam_scale": "n", "caam_invert": True, "caam_share_q": True}
    method = METHODS["cmr"](network("tiny"), 3, CMRSettings(**asked, ssam_reduction=4, ssam_shared_convs=False))
    assert {name: getattr(method.net.caam, name.removeprefix("caam_")) for name in asked} == asked
    assert len(method.net.ssam.attention) == 2
    shapes = {tuple(weight.shape) for weight in method.net.ssam.parameters() if weight.ndim == 4}
    assert shapes == {(32, 128, 1, 1), (128, 128, 1, 1)}
