"""Backbones: shapes, what each cell of the map sees, the published networks as oracle, classifiers, real images."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cmr.data.images import normalise
from cmr.errors import UserError
from cmr.nets import BACKBONES
from cmr.nets.backbones import build_backbone
from cmr.nets.imagenet import build_classifier
from cmr.nets.published import imagenet_classes
from cmr.nets.weights import load_weights, read_weights

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CMR_SHARED", ROOT.parent / "shared"))
CASES = [(name, stride) for name, architecture in BACKBONES.items() for stride in architecture.strides]
FILES = {
    "resnet50": "resnet50_imagenet_pq_fp16.safetensors.xz",
    "resnet18": "resnet18_imagenet_pq_fp16.safetensors.xz",
    "squeezenet1_1": "squeezenet1_1_imagenet_fp16.safetensors",
    "vgg16": "vgg16_features_imagenet_fp16.safetensors",
}


def shared(*parts: str) -> Path:
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not there; set CMR_SHARED to the folder with the shared material")
    return path


@pytest.mark.parametrize(("name", "stride"), CASES)
def test_map_has_the_promised_shape_and_is_after_the_relu(name, stride):
    backbone = build_backbone(name, stride=stride).eval()
    for size in (224, 128, 64):
        with torch.no_grad():
            features = backbone(torch.randn(1, 3, size, size))
        assert features.shape == (1, backbone.channels, size // stride, size // stride)
        assert features.min() == 0 and features.max() > 0
    assert (backbone.name, backbone.stride) == (name, stride)


def test_default_strides_and_sides_that_differ():
    assert {name: architecture.strides[0] for name, architecture in BACKBONES.items()} == {
        "vgg16": 16, "resnet50": 16, "resnet18": 16, "inception_v3": 16, "squeezenet1_1": 16, "tiny": 8,
    }  # fmt: skip
    for name in ("vgg16", "inception_v3", "squeezenet1_1", "tiny"):
        backbone = build_backbone(name).eval()
        height, width = 4 * backbone.stride, 6 * backbone.stride
        assert backbone(torch.zeros(2, 3, height, width)).shape == (2, backbone.channels, 4, 6)


@pytest.mark.parametrize(
    ("name", "stride", "offset"),
    [
        ("vgg16", 8, 0.0),
        ("inception_v3", 8, 0.31),  # (-0.5 + 2 * 0.5 + 4 * 0.5) / 8 from the first convolution and two cut pools
        ("resnet18", 16, -0.5),
        ("tiny", 8, 0.0),
        ("tiny", 4, 0.0),
    ],
)
def test_cells_look_at_their_own_place_in_the_image(name, stride, offset):
    # With positive equal weights the network is a blur; the gradient's centre of mass is where the cells look.
    # ResNets look half a cell up and left, from their strided 3x3 convolutions: published, and kept.
    torch.manual_seed(0)
    backbone = build_backbone(name, stride=stride).eval()
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    side = 16 * stride if name != "resnet18" else 224
    images = (1 + 0.01 * torch.rand(1, 3, side, side)).requires_grad_()
    middle = slice(side // stride // 2 - 3, side // stride // 2 + 3)
    backbone(images)[0, :, middle, middle].sum().backward()
    mass = images.grad[0].sum(0)
    centres = torch.arange(side) + 0.5 - side / 2
    for axis in (0, 1):
        assert abs(float((mass.sum(axis) @ centres) / mass.sum()) / stride - offset) < 0.15


@pytest.mark.parametrize(
    ("library", "name"),
    [("torchvision", name) for name in BACKBONES if name != "tiny"]
    + [("timm", name) for name in ("vgg16", "resnet50", "resnet18", "inception_v3")],
)
def test_names_and_shapes_are_those_of_the_published_weights(library, name):
    with torch.device("meta"):
        if library == "timm":
            net = timm.create_model(name)
        else:
            options = {"init_weights": False} if name == "inception_v3" else {}
            net = getattr(torchvision.models, name)(weights=None, **options)
    published = {key: value.shape for key, value in net.state_dict().items()}
    kept = {key: shape for key, shape in published.items() if not key.startswith(BACKBONES[name].head)}
    assert {key: value.shape for key, value in build_backbone(name).body.state_dict().items()} == kept
    assert len(kept) < len(published)


@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
def test_without_surgery_the_map_is_torchvisions(name):
    torch.manual_seed(0)
    backbone = build_backbone(name, stride=32 if name == "resnet18" else 16).eval()
    if name == "resnet18":
        oracle = nn.Sequential(*list(torchvision.models.resnet18().children())[:-2]).eval()
    else:
        with torch.device("meta"):
            oracle = torchvision.models.vgg16().features[:-1]
        oracle = oracle.to_empty(device="cpu")
    oracle.load_state_dict(dict(zip(oracle.state_dict(), backbone.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), oracle(images))


def test_vgg16_at_stride_8_only_skips_pool4():
    torch.manual_seed(0)
    coarse, fine = build_backbone("vgg16").eval(), build_backbone("vgg16", stride=8).eval()
    fine.load_state_dict(coarse.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = coarse.body.features[:23](images)
        torch.testing.assert_close(fine(images), coarse.body.features[24:](before))


@pytest.mark.parametrize("stage", ["layer3", "layer4"])
def test_resnet_stride_1_without_dilation_computes_the_published_values_at_every_other_cell(stage):
    torch.manual_seed(0)
    published = build_backbone("resnet50", stride=32).eval()
    dense = build_backbone("resnet50", stride=8).eval()
    dense.load_state_dict(published.state_dict())
    block, dense_block = getattr(published.body, stage)[0], getattr(dense.body, stage)[0]
    for both in (block, dense_block):
        nn.init.constant_(both.bn3.weight, 1.0)  # timm starts it at 0, which would silence the branch
    features = torch.randn(1, block.conv1.in_channels, 8, 8)
    with torch.no_grad():
        assert dense_block(features).shape[-1] == 8
        torch.testing.assert_close(dense_block(features)[:, :, ::2, ::2], block(features))
    assert all(m.dilation == (1, 1) for m in dense.modules() if isinstance(m, nn.Conv2d))


def test_inceptions_reduction_at_stride_1_computes_the_published_values_at_every_other_cell():
    torch.manual_seed(0)
    published = timm.create_model("inception_v3").Mixed_6a.eval()
    dense = build_backbone("inception_v3").body.Mixed_6a.eval()
    dense.load_state_dict(published.state_dict())
    features = torch.randn(1, 288, 9, 9)
    with torch.no_grad():
        assert dense(features).shape[-1] == 9
        # the published one starts its first window at the map's corner, so its centres are the odd cells
        torch.testing.assert_close(dense(features)[:, :, 1:-1:2, 1:-1:2], published(features))


@pytest.mark.parametrize(("name", "norms"), [("tiny", 9), ("resnet18", 20), ("resnet50", 53), ("vgg16", 0)])
def test_batch_norms_follow_the_images_in_training_only(name, norms):
    backbone = build_backbone(name)
    found = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(found) == norms
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        backbone.eval()(images)
        assert all(module.num_batches_tracked == 0 and module.running_mean.abs().sum() == 0 for module in found)
        backbone.train()(images)
    assert all(module.num_batches_tracked == 1 and module.running_mean.abs().sum() > 0 for module in found)


@pytest.mark.parametrize("name", BACKBONES)
def test_gradient_reaches_every_layer_and_the_image(name):
    torch.manual_seed(0)
    backbone = build_backbone(name)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d) and bool((module.weight == 0).all()):
            nn.init.ones_(module.weight)  # timm's start of the last norm in a block silences the branch for one step
    images = torch.randn(4, 3, 64, 64, requires_grad=True)
    features = backbone(images)
    (features * torch.randn_like(features)).sum().backward()
    assert images.grad.abs().sum() > 0
    for key, parameter in backbone.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().sum() > 0, key


def test_tiny_is_small_enough_for_two_cores():
    with FlopCounterMode(display=False) as counter:
        build_backbone("tiny").eval()(torch.zeros(1, 3, 64, 64))
    assert 15e6 < counter.get_total_flops() / 2 < 22e6  # multiply-adds; two operations each


def test_tiny_in_other_layouts_and_precisions():
    torch.manual_seed(0)
    backbone, images = build_backbone("tiny").eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = backbone(images)
        with torch.autocast("cpu", torch.bfloat16):
            assert (backbone(images).float() - expected).norm() < 0.02 * expected.norm()
        backbone.to(memory_format=torch.channels_last)
        torch.testing.assert_close(
            backbone(images.contiguous(memory_format=torch.channels_last)), expected, rtol=1e-4, atol=1e-4
        )


def test_random_start_follows_the_seed():
    def start(seed):
        torch.manual_seed(seed)
        return build_backbone("tiny").body.layer2[0].conv1.weight

    assert torch.equal(start(3), start(3)) and not torch.equal(start(3), start(4))


def test_wrong_names_and_strides_are_named():
    with pytest.raises(UserError, match=r"unknown backbone 'resnet5': did you mean 'resnet50'\?"):
        build_backbone("resnet5")
    with pytest.raises(UserError, match="stride: 32 is not possible with backbone 'vgg16'; choose one of 8, 16"):
        build_backbone("vgg16", stride=32)
    with pytest.raises(UserError, match="no ImageNet weights for 'tiny'"):
        build_backbone("tiny", "imagenet")


def test_import_and_random_weights_need_no_network():
    blocked = "def refuse(*a, **k): raise OSError('network used')\nimport socket\n"
    blocked += "socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse\n"
    blocked += "from cmr.nets.backbones import build_backbone\nfrom cmr.nets.published import imagenet_classes\n"
    blocked += "build_backbone('tiny')\n"
    blocked += "print(len(imagenet_classes()))"
    done = subprocess.run([sys.executable, "-c", blocked], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "1000"), done.stderr


def save_random(name: str, folder: Path) -> tuple[Path, nn.Module]:
    torch.manual_seed(0)
    net = getattr(torchvision.models, name)(weights=None).eval()
    path = folder / f"{name}.safetensors"
    safetensors.torch.save_file(net.state_dict(), path)
    return path, net


def test_resnet_classifier_is_torchvisions_and_its_maps_add_up_to_the_logits(tmp_path):
    path, oracle = save_random("resnet18", tmp_path)
    images = torch.randn(2, 3, 96, 96)
    classifier = build_classifier("resnet18", path)
    with torch.no_grad():
        logits, maps = classifier.cam(images)
        assert maps.shape == (2, 1000, 3, 3)
        torch.testing.assert_close(classifier(images), logits)
        torch.testing.assert_close(maps.mean((2, 3)) + oracle.fc.bias, logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(logits, oracle(images), rtol=1e-4, atol=1e-4)
        by_hand = torch.einsum("kc,bchw->bkhw", oracle.fc.weight, classifier.backbone(images))  # CVPR 2016, eq. 2
        torch.testing.assert_close(maps, by_hand, rtol=1e-4, atol=1e-4)
    assert not classifier.training


def test_squeezenet_classifier_is_torchvisions_with_padding(tmp_path):
    path, oracle = save_random("squeezenet1_1", tmp_path)
    oracle.features[0].padding = (1, 1)
    images = torch.randn(2, 3, 64, 64)
    classifier = build_classifier("squeezenet1_1", path)
    with torch.no_grad():
        logits, maps = classifier.cam(images)
        torch.testing.assert_close(logits, oracle(images), rtol=1e-4, atol=1e-4)
    assert maps.shape == (2, 1000, 4, 4)
    torch.testing.assert_close(maps.mean((2, 3)), logits)


def test_classifiers_that_cannot_be(tmp_path):
    with pytest.raises(UserError, match="'vgg16' has no linear head behind its pooling"):
        build_classifier("vgg16", "imagenet")
    with pytest.raises(UserError, match="unknown backbone 'resnet19': did you mean 'resnet18'"):
        build_classifier("resnet19", "imagenet")
    with pytest.raises(UserError, match="needs weights; give imagenet or a file"):
        build_classifier("resnet18", "none")
    path, net = save_random("squeezenet1_1", tmp_path)
    safetensors.torch.save_file({k: v for k, v in net.state_dict().items() if "classifier" not in k}, path)
    with pytest.raises(UserError, match=r"lacks 2 of 52 tensors \(head.weight, head.bias\)"):
        build_classifier("squeezenet1_1", path)


def test_imagenet_classes_are_the_thousand():
    names = imagenet_classes()
    assert (names[0], names[1], names[162], names[999], len(names)) == (
        "tench",
        "goldfish",
        "beagle",
        "toilet tissue",
        1000,
    )


@pytest.mark.parametrize("name", ["resnet50", "resnet18", "squeezenet1_1", "vgg16"])
def test_shared_weights_load_whole(name):
    path = shared("weights", FILES[name])
    body = build_backbone(name, path).body.state_dict()
    state = read_weights(path)
    for key, value in body.items():
        if not key.endswith("num_batches_tracked"):
            assert value.dtype == torch.float32 and torch.equal(value, state[key]), key


def test_resnet50_names_what_is_on_real_images():
    # 70.2 % top-1 on all 500 of these; two images per class are enough to catch a wrong normalisation, channel order or
    # class order, and leave a margin for so few.
    weights, folder = shared("weights", FILES["resnet50"]), shared("data", "ILSVRC_20")
    rows = [line.split(",") for line in (folder / "metadata" / "classes.txt").read_text().split()]
    index = {int(row[0]): int(row[2]) for row in rows}
    chosen: dict[int, list[str]] = {}
    for line in (folder / "metadata" / "test" / "class_labels.txt").read_text().split():
        path, label = line.split(",")
        chosen.setdefault(index[int(label)], []).append(path)
    files = [(path, label) for label, paths in chosen.items() for path in paths[:2]]
    labels = torch.tensor([label for _, label in files])
    pixels = np.stack([np.asarray(Image.open(folder / path).convert("RGB")) for path, _ in files])
    images = normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    classifier = build_classifier("resnet50", weights)
    oracle = timm.create_model("resnet50").eval()
    load_weights(oracle, read_weights(weights), "the shared file")
    with torch.inference_mode():
        logits = classifier(images)
        torch.testing.assert_close(logits[:4], oracle(images[:4]), rtol=1e-3, atol=1e-3)
    ranked = logits.topk(5).indices
    assert len(files) == 40
    assert (ranked[:, 0] == labels).float().mean() >= 0.5
    assert (ranked == labels[:, None]).any(1).float().mean() >= 0.8
