"""DDT against plain eigendecompositions by numpy, which share no line with it, and by hand."""

import numpy as np
import pytest
import torch

from cmr.errors import UserError
from cmr.maps.ddt import Component, Descriptors, features_at, image_maps
from cmr.nets import BACKBONES
from cmr.nets.backbones import build_backbone


def plain(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and first principal component, (C,) each, of features (n, C, h, w), from numpy's covariance."""
    rows = features.transpose(0, 2, 3, 1).reshape(-1, features.shape[1]).astype(np.float64)
    values, vectors = np.linalg.eig(np.cov(rows, rowvar=False))
    direction = np.real(vectors[:, np.argmax(np.real(values))])
    return rows.mean(0), direction * np.sign(direction.sum())


@pytest.fixture(scope="module")
def features() -> torch.Tensor:
    """Twenty images of six channels; a square of each is stronger in four of them."""
    found = torch.rand(20, 6, 5, 7, generator=torch.Generator().manual_seed(1)) / 2
    found[:, :4, 1:3, 2:5] += torch.tensor([1.0, 2.0, 0.5, 1.5])[:, None, None]
    return found


@pytest.mark.parametrize("batch", [1, 7, 20])
def test_the_streamed_component_is_that_of_numpy_however_the_images_come(features, batch):
    descriptors = Descriptors(6)
    for part in features.split(batch):
        descriptors.update(part)
    component = descriptors.component()
    mean, direction = plain(features.numpy())
    assert component.mean.numpy() == pytest.approx(mean, abs=1e-12)
    assert component.direction.numpy() == pytest.approx(direction, abs=1e-10)
    maps = component.maps(features)
    assert maps.numpy() == pytest.approx(
        np.einsum("nchw,c->nhw", features.numpy() - mean[None, :, None, None], direction), abs=1e-5
    )
    assert maps.mean().item() == pytest.approx(0, abs=1e-5)
    rows = features.double().movedim(1, -1).flatten(0, 2)
    assert component.explained == pytest.approx(((maps**2).mean() / rows.var(0, correction=0).sum()).item(), rel=1e-5)


def test_a_large_mean_costs_no_digits(features):
    """In float32 the sum of squares would lose the spread beside a mean of a thousand."""
    descriptors = Descriptors(6)
    descriptors.update(features.double() + 1000)
    assert descriptors.component().direction.numpy() == pytest.approx(plain(features.numpy())[1], abs=1e-7)


def test_what_is_above_zero_is_the_square(features):
    descriptors = Descriptors(6)
    descriptors.update(features)
    above = descriptors.component().maps(features) > 0
    assert above[:, 1:3, 2:5].float().mean() > 0.98
    above[:, 1:3, 2:5] = False
    assert above.float().mean() < 0.02


def test_the_sign_follows_the_stronger_features(features):
    """Images whose object is weaker than its surroundings are turned: the rule says so, and it can be wrong."""
    descriptors = Descriptors(6)
    descriptors.update(5 - features)
    component = descriptors.component()
    assert component.direction.sum() > 0
    assert (component.maps(5 - features)[:, 1:3, 2:5] < 0).float().mean() > 0.98


def test_an_image_of_its_own_is_a_set_of_one(features):
    maps = image_maps(features[:3])
    for image, found in zip(features[:3], maps, strict=True):
        descriptors = Descriptors(6)
        descriptors.update(image[None])
        assert found.numpy() == pytest.approx(descriptors.component().maps(image[None])[0].numpy(), abs=1e-5)


def test_descriptors_that_are_all_alike_give_a_flat_map():
    alike = torch.ones(2, 3, 4, 4)
    descriptors = Descriptors(3)
    descriptors.update(alike)
    component = descriptors.component()
    assert component.explained == 0
    assert component.maps(alike).abs().max() < 1e-6
    assert (image_maps(alike) == 0).all()


def test_by_hand_on_two_by_two_cells():
    """The example of the page: three cells of the ground (0, 0), one of the bird (4, 3)."""
    features = torch.zeros(1, 2, 2, 2)
    features[0, :, 0, 1] = torch.tensor([4.0, 3.0])
    descriptors = Descriptors(2)
    descriptors.update(features)
    component = descriptors.component()
    assert component.mean.tolist() == [1.0, 0.75]
    assert component.direction.tolist() == pytest.approx([0.8, 0.6])
    expected = [[-1.25, 3.75], [-1.25, -1.25]]
    assert component.maps(features)[0].tolist() == [pytest.approx(row) for row in expected]
    assert image_maps(features)[0].tolist() == [pytest.approx(row) for row in expected]


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_descriptors(name):
    backbone = build_backbone(name).eval()
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = features_at(backbone)(images)
    assert found.shape == (1, backbone.channels, 64 // backbone.stride, 64 // backbone.stride)
    assert torch.equal(found, backbone(images).detach())
    assert not found.requires_grad


def test_several_layers_share_the_finest_grid_and_weigh_alike():
    backbone = build_backbone("tiny").eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    both = features_at(backbone, ("layer1", "last"))(images)
    fine, last = features_at(backbone, ("layer1",))(images), features_at(backbone)(images)
    assert both.shape == (2, fine.shape[1] + last.shape[1], *fine.shape[2:])
    assert torch.allclose(both[:, : fine.shape[1]], torch.nn.functional.normalize(fine, dim=1))
    enlarged = torch.nn.functional.interpolate(
        torch.nn.functional.normalize(last, dim=1), fine.shape[2:], mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(both[:, fine.shape[1] :], enlarged)


def test_mistakes_are_named():
    backbone = build_backbone("tiny").eval()
    with pytest.raises(UserError, match=r"unknown layer of tiny 'layer3': did you mean 'layer"):
        features_at(backbone, ("layer3",))
    for layers in ((), ("last", "last")):
        with pytest.raises(UserError, match=r"^layers: .*; give one or more, each once$"):
            features_at(backbone, layers)
    with pytest.raises(UserError, match=r"^ddt: there are no descriptors yet; call update first$"):
        Descriptors(2).component()
    with pytest.raises(UserError, match=r"^ddt: 0 channels"):
        Descriptors(0)
    with pytest.raises(
        UserError, match=r"^ddt: features have shape \(1, 3, 2, 2\); expected \(images, 2, height, width\)$"
    ):
        Descriptors(2).update(torch.zeros(1, 3, 2, 2))
    with pytest.raises(UserError, match=r"^ddt: the features hold NaN or an infinity"):
        Descriptors(1).update(torch.full((1, 1, 2, 2), torch.inf))
    with pytest.raises(UserError, match=r"expected \(images, C, height, width\)$"):
        image_maps(torch.zeros(2, 2))
    with pytest.raises(UserError, match=r"expected \(images, 1, height, width\)$"):
        Component(torch.zeros(1), torch.ones(1), 1.0).maps(torch.zeros(1, 2, 2, 2))
