"""Maps out of any classifier: exact where the head is linear, against the formula elsewhere, on timm's own networks."""

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from cmr.errors import UserError
from cmr.maps.anynet import mirrored, reader


def choose(logits):
    return logits.topk(2, 1).indices


def images(side, count=2):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(3))


def test_a_linear_head_behind_a_mean_gives_cams_map():
    net = timm.create_model("resnet10t", num_classes=6).eval()
    given = images(64)
    with torch.no_grad():
        features = net.forward_features(given)
        expected = functional.conv2d(features, net.fc.weight[:, :, None, None])
        logits, classes, maps = reader(net, 64, positive=False)(given, choose)
        torch.testing.assert_close(logits, net(given))
        torch.testing.assert_close(maps, expected[torch.arange(2)[:, None], classes], rtol=1e-4, atol=1e-5)
        # the mean of a class's map is its logit without the bias
        torch.testing.assert_close(maps.mean((2, 3)) + net.fc.bias[classes], logits.gather(1, classes))
        positive = reader(net, 64)(given, choose)[2]
    clamped = functional.conv2d(features, net.fc.weight.clamp(min=0)[:, :, None, None])
    torch.testing.assert_close(positive, clamped[torch.arange(2)[:, None], classes], rtol=1e-4, atol=1e-5)
    assert (positive >= maps - 1e-5).all()  # the features are never negative


@pytest.mark.parametrize("name", ["convnext_atto", "test_vit", "test_efficientnet"])
def test_maps_of_timms_networks_have_the_shape_of_their_features(name):
    net = timm.create_model(name, num_classes=7).eval()
    side = net.pretrained_cfg["input_size"][-1]
    logits, classes, maps = mirrored(reader(net, side))(images(side), choose)
    assert logits.shape == (2, 7) and classes.shape == (2, 2) and maps.shape[:2] == (2, 2)
    assert maps.shape[2] == maps.shape[3] > 1
    assert maps.isfinite().all() and (maps.flatten(2).amax(2) > maps.flatten(2).amin(2)).any()
    assert not logits.requires_grad and not maps.requires_grad


def test_without_a_linear_head_the_map_is_grad_cams():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 64, 5)).eval()
    given = images(16)
    _, classes, maps = reader(net, 16)(given, choose)
    features = net[1](net[0](given)).detach().requires_grad_()
    logits = net[3](net[2](features))
    for m in range(2):
        gradient = torch.autograd.grad(logits.gather(1, classes[:, m : m + 1]).sum(), features, retain_graph=True)[0]
        expected = (features * gradient.mean((2, 3), keepdim=True)).sum(1).relu()
        torch.testing.assert_close(maps[:, m], expected.detach())


def test_a_layer_in_place_of_the_last():
    net = timm.create_model("resnet10t", num_classes=6).eval()
    assert reader(net, 64, "layer2")(images(64), choose)[2].shape == (2, 2, 8, 8)


def test_a_mirrored_look_is_the_same_for_the_mirror_image():
    net = timm.create_model("resnet10t", num_classes=6).eval()
    read = mirrored(reader(net, 64))
    given = images(64)
    logits, classes, maps = read(given, choose)
    other = read(given.flip(3), choose)
    torch.testing.assert_close(other[0], logits)
    assert torch.equal(other[1], classes)
    torch.testing.assert_close(other[2], maps.flip(3))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Flatten(), "no layer of it gives a map of features; say with --layer"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), "network: it cannot take images of 16 pixels"),
        (nn.Conv2d(3, 4, 3), r"it gives \(2, 4, 14, 14\) for two images; expected logits of shape \(2, classes\)"),
    ],
)
def test_where_no_map_can_be_had_the_error_says_why(net, message):
    with pytest.raises(UserError, match=message):
        reader(net, 16)


class Sided(nn.Module):
    """A branch that gives a number alone, and one whose maps no class depends on."""

    class Loss(nn.Module):
        def forward(self, x):
            return x.mean()

    def __init__(self):
        super().__init__()
        self.body, self.side, self.loss = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), self.Loss()
        self.head = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 2))

    def forward(self, x):
        x = self.body(x)
        self.side(x), self.loss(x)
        return self.head(x)


def test_a_branch_beside_the_classes_is_named():
    read = reader(Sided().eval(), 16)
    with pytest.raises(UserError, match="layer: the classes do not depend on 'side'; name another"):
        read(images(16), choose)
    logits, _classes, maps = reader(Sided().eval(), 16, layer="body")(images(16), choose)
    assert maps.shape[-1] == 14 and logits.shape == (2, 2)
