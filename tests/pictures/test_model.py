"""Networks by name: timm's with weights from a file, heads of any size, and what is said where that cannot be."""

import pytest
import safetensors.torch
import timm
import torch
from PIL import Image

from cmr.errors import UserError
from cmr.pictures.localizer import Localizer
from cmr.pictures.model import of_classifier, of_run
from cmr.pictures.rule import RULES, Rule, rule_of
from cmr.presets import make
from cmr.study import models
from cmr.study.training import train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    net = timm.create_model("test_efficientnet", num_classes=3).eval()
    path = tmp_path_factory.mktemp("weights") / "three.safetensors"
    safetensors.torch.save_file(net.state_dict(), path)
    return path, net


def test_a_network_of_timm_with_weights_of_three_classes(weights):
    path, net = weights
    own = net.pretrained_cfg
    localizer = Localizer("test_efficientnet", path, classes=["a", "b", "c"], device="cpu", rule="cam", top=3)
    picture = Image.linear_gradient("L").convert("RGB").resize((90, 70))
    [found] = localizer(picture)
    side = own["input_size"][-1]
    pixels = localizer.seen(picture)[None].float() / 255
    mean, std = (torch.tensor(own[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        expected = net((pixels - mean) / std).softmax(1)[0]
    assert pixels.shape[2:] == (side, side)
    scores = {one.index: one.score for one in found.objects}
    assert [scores[i] for i in range(3)] == pytest.approx(expected.tolist(), abs=1e-5)
    assert localizer.model.name == f"test_efficientnet, three.safetensors, {side} pixels"


@pytest.mark.parametrize(("name", "cells"), [("deit_tiny_patch16_224", 14), ("vit_tiny_patch16_dinov3_qkvb", 16)])
def test_vision_transformers_by_name_with_a_classifier_of_ones_own(tmp_path, name, cells):
    torch.manual_seed(0)
    path = tmp_path / "three.safetensors"
    safetensors.torch.save_file(timm.create_model(name, num_classes=3).state_dict(), path)
    model = of_classifier(name, str(path), rule_of("boxes"))
    assert model.classes == ("class 0", "class 1", "class 2") and model.side == 16 * cells
    logits, classes, maps = model.read(torch.randn(1, 3, model.side, model.side), lambda logits: logits.topk(1).indices)
    assert logits.shape == (1, 3) and classes.shape == (1, 1) and maps.shape == (1, 1, cells, cells)
    assert maps.isfinite().all() and maps.max() > maps.min()


def test_a_network_without_a_classifier_is_refused(tmp_path):
    name = "vit_tiny_patch16_dinov3_qkvb"  # features alone, as DINO's networks are published
    path = tmp_path / "features.safetensors"
    safetensors.torch.save_file(timm.create_model(name).state_dict(), path)
    with pytest.raises(UserError, match=f"timm's '{name}' gives features and no classes, .* weights with a classifier"):
        of_classifier(name, str(path), rule_of("boxes"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "efficientnet_b99"}, "unknown backbone 'efficientnet_b99': did you mean 'efficientnet_b"),
        ({"backbone": "resnet26"}, "it belongs to another architecture"),
        ({"classes": ["a", "b"]}, "classes: 2 names for a network of 3 classes"),
        ({"layer": "blocks.9"}, "unknown layer 'blocks.9'"),
        ({"side": 10000}, "image_size: 10000 is out of range"),
        ({"weights": "imagenet"}, "are not on this machine and cannot be fetched"),
    ],
)
def test_what_cannot_be_is_told(weights, options, message):
    given = {"backbone": "test_efficientnet", "weights": str(weights[0]), "rule": rule_of("boxes")} | options
    with pytest.raises(UserError, match=message):
        of_classifier(**given)


@pytest.fixture(scope="module")
def toy_runs(tmp_path_factory):
    """A run whose map is the head's weights on the features, and one whose map is not."""
    out = tmp_path_factory.mktemp("runs")
    configs = [make("tiny", method=name, epochs=1, device="cpu") for name in ("cam", "cmr")]
    return {config.method: train(config, out, progress=False) for config in configs}


def test_a_run_with_a_linear_head_takes_the_rule_for_boxes(toy_runs):
    run = toy_runs["cam"]
    model = of_run(run.path)
    assert model.rule == RULES["boxes"]
    assert of_run(run.path, "ivr", 0.6).rule == Rule(True, True, "ivr", 0.6)
    images = torch.rand(2, 3, run.config.image_size, run.config.image_size)
    logits, classes, maps = model.read(images, lambda logits: logits.topk(2, 1).indices)
    method = models.load_method(run, len(run.record.classes))
    with torch.no_grad():
        both = torch.cat((images, images.flip(3)))
        weight = method.head.weight.clamp(min=0)
        signed = method.localize(both)[0].unflatten(0, (2, 2)).mean(0)
        found = torch.einsum("bchw,kc->bkhw", method.backbone(both), weight)
    expected = (found[:2] + found[2:].flip(3)) / 2
    torch.testing.assert_close(logits, signed)
    torch.testing.assert_close(maps, torch.stack([expected[i, classes[i]] for i in range(2)]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("method", "rule"), [("cam", "run"), ("cam", "cam"), ("cmr", "boxes"), ("cmr", "run")])
def test_other_runs_and_rules_have_the_test_of_the_record(toy_runs, method, rule):
    assert of_run(toy_runs[method].path, rule=rule).rule == Rule(False, False, "minmax", 0.2)
    assert Localizer(run=toy_runs[method].path, rule=rule, device="cpu").model.rule.threshold == 0.2


def test_a_rule_of_a_run_needs_a_run(toy_runs, weights):
    with pytest.raises(UserError, match="rule: run is the rule of a trained run's record; name the run, or take boxes"):
        Localizer("test_efficientnet", weights[0], rule="run", device="cpu")
    with pytest.raises(UserError, match="unknown rule 'rum': did you mean 'run'"):
        Localizer(run=toy_runs["cam"].path, rule="rum", device="cpu")


def test_a_run_has_the_rule_of_its_record(tmp_path):
    config = make("tiny", method="cam", epochs=1, device="cpu", normalise="ivr", threshold=0.35, test_flip=True)
    run = train(config, tmp_path, progress=False)
    model = of_run(run.path, rule="run")
    assert (model.rule.normalise, model.rule.threshold, model.rule.mirror) == ("ivr", 0.35, True)
    assert of_run(run.path, threshold=0.6, rule="run").rule.threshold == 0.6
    images = torch.rand(2, 3, config.image_size, config.image_size)
    maps = model.read(images, lambda logits: logits.topk(1, 1).indices)[2]
    mirrored = model.read(images.flip(3), lambda logits: logits.topk(1, 1).indices)[2]
    torch.testing.assert_close(maps, mirrored.flip(3), rtol=1e-4, atol=1e-5)
