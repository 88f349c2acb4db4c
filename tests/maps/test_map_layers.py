"""Maps at any layer: the formulas by hand, and against torchcam at inner layers and at the last."""

import pytest
import torch
from torch import nn

from cmr.errors import UserError
from cmr.maps.layers import LAST, gradient_map, look
from cmr.methods import METHODS
from cmr.nets.backbones import build_backbone

LAYERS = ("act1", "layer1", "layer2", LAST)
LABELS = torch.tensor([2, 0, 3])


@pytest.fixture(scope="module")
def cam():
    torch.manual_seed(0)
    method = METHODS["cam"](build_backbone("tiny"), 4, METHODS["cam"].Settings()).eval()
    nn.init.normal_(method.head.weight)
    return method


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def logits_of(method):
    return lambda images: method.localize(images)[0]


def test_by_hand():
    """As in the book: A1 = (1, 3), A2 = (2, 0), weights 4 and -2 behind their means, so g = (2, -1)."""
    features = torch.tensor([[[[1.0, 3.0]], [[2.0, 0.0]]]])
    gradients = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand_as(features)
    expected = {"gradcam": [0.0, 6.0], "gradcam++": [0.4, 1.2], "layercam": [2.0, 6.0]}
    for kind, want in expected.items():
        assert gradient_map(kind, features, gradients).flatten().tolist() == pytest.approx(want)


def test_features_and_gradients_are_those_of_autograd(cam, images):
    seen = look(logits_of(cam), cam.backbone, images, LAYERS, LABELS)
    kept = {}

    def keep(layer):
        return lambda _module, _args, output: kept.setdefault(layer, output)

    hooks = [cam.backbone.body.get_submodule(layer).register_forward_hook(keep(layer)) for layer in LAYERS]
    logits = cam.localize(images)[0]
    for hook in hooks:
        hook.remove()
    wanted = torch.autograd.grad(logits.gather(1, LABELS[:, None]).sum(), [kept[layer] for layer in LAYERS])
    torch.testing.assert_close(seen.logits, logits)
    for layer, gradient in zip(LAYERS, wanted, strict=True):
        torch.testing.assert_close(seen.features[layer], kept[layer])
        torch.testing.assert_close(seen.gradients[layer], gradient)


@pytest.mark.parametrize(("kind", "name"), [("gradcam", "GradCAM"), ("layercam", "LayerCAM")])
def test_inner_layers_against_torchcam(cam, images, kind, name):
    methods = pytest.importorskip("torchcam.methods")

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.cam = cam

        def forward(self, pictures):
            return self.cam.localize(pictures)[0]

    whole = Whole()
    seen = look(whole, cam.backbone, images, LAYERS, LABELS)
    with getattr(methods, name)(whole, [f"cam.backbone.body.{layer}".rstrip(".") for layer in LAYERS]) as extractor:
        theirs = extractor(LABELS.tolist(), whole(images), normalized=False)
    for layer, wanted in zip(LAYERS, theirs, strict=True):
        ours = gradient_map(kind, seen.features[layer], seen.gradients[layer])
        torch.testing.assert_close(ours, wanted.detach(), rtol=1e-4, atol=1e-7)


def test_the_likeliest_class_where_none_is_named(cam, images):
    seen = look(logits_of(cam), cam.backbone, images, ["layer1"])
    assert torch.equal(seen.classes, cam.localize(images)[0].argmax(1))


def test_it_leaves_no_trace(cam, images):
    look(logits_of(cam), cam.backbone, images, LAYERS)
    assert torch.is_grad_enabled()
    assert not any(module._forward_hooks for module in cam.modules())
    assert all(parameter.grad is None for parameter in cam.parameters())
    with pytest.raises(RuntimeError):
        look(logits_of(cam), cam.backbone, images[:, :2], LAYERS)
    assert torch.is_grad_enabled()
    assert not any(module._forward_hooks for module in cam.modules())


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["layer9"], "unknown layer of tiny 'layer9': did you mean 'layer"),
        ([], "layers: none is named"),
    ],
)
def test_what_cannot_be_is_refused(cam, images, layers, message):
    with pytest.raises(UserError, match=message):
        look(logits_of(cam), cam.backbone, images, layers)


def test_a_layer_that_does_not_lead_to_the_logits_is_named(cam, images):
    def blind(pictures):
        cam.backbone(pictures)
        return torch.zeros(len(pictures), 4, requires_grad=True) * 1

    with pytest.raises(UserError, match="from layer1 nothing leads to the logits"):
        look(blind, cam.backbone, images, ["layer1"])


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(UserError, match="unknown maps 'layer-cam': did you mean 'layercam'"):
        gradient_map("layer-cam", torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
