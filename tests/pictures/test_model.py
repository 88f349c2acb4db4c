"""Networks by name: timm's with weights from a file, heads of any size, and what is said where that cannot be."""

import pytest
import safetensors.torch
import timm
import torch
from PIL import Image

from cmr.errors import UserError
from cmr.pictures.localizer import Localizer
from cmr.pictures.model import of_classifier, of_run
from cmr.pictures.rule import rule_of
from cmr.study.training import train


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


def test_a_run_has_the_rule_of_its_record(tmp_path):
    from cmr.assemble import make

    config = make("tiny", method="cam", epochs=1, device="cpu", normalise="ivr", threshold=0.35, test_flip=True)
    run = train(config, tmp_path, progress=False)
    model = of_run(run.path)
    assert (model.rule.normalise, model.rule.threshold, model.rule.mirror) == ("ivr", 0.35, True)
    assert of_run(run.path, threshold=0.6).rule.threshold == 0.6
    images = torch.rand(2, 3, config.image_size, config.image_size)
    maps = model.read(images, lambda logits: logits.topk(1, 1).indices)[2]
    mirrored = model.read(images.flip(3), lambda logits: logits.topk(1, 1).indices)[2]
    torch.testing.assert_close(maps, mirrored.flip(3), rtol=1e-4, atol=1e-5)
