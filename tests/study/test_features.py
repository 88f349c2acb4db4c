"""Features of a frozen network are the same whether they are kept or made anew."""

import numpy as np
import pytest
import torch

from cmr.errors import UserError
from cmr.presets import make
from cmr.study.features import Features
from cmr.study.splits import splits


@pytest.fixture(scope="module")
def split():
    return splits(make("tiny"))[1].subset(range(10))


def look(images: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(images, 8) / 3


def source(split, store=None, **more):
    return Features(split, look, 32, 4, torch.device("cpu"), store, progress=False, **more)


def gathered(features, order=None):
    found = list(features.batches(order))
    return [torch.cat([part[i] for part in found]) for i in (0, 1)] + [np.concatenate([part[2] for part in found])]


@pytest.mark.parametrize("order", [None, np.array([7, 2, 9, 0, 1])], ids=["all", "some"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_kept_or_not_they_are_the_same(split, tmp_path, order, mirrored):
    made = gathered(source(split, mirrored=mirrored), order)
    kept = gathered(source(split, tmp_path / "a" / "f.npy", mirrored=mirrored), order)
    again = gathered(source(split, tmp_path / "a" / "f.npy", mirrored=mirrored), order)
    for one, two, three in zip(made, kept, again, strict=True):
        assert (np.asarray(one) == np.asarray(two)).all() and (np.asarray(one) == np.asarray(three)).all()
    expected = np.arange(10) if order is None else order
    assert (made[2] == expected).all() and (made[1].numpy() == split.labels[expected]).all()
    assert made[0].shape == (len(expected), 3, 4, 4) and made[0].dtype == torch.float32
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["f.npy"]


def test_what_is_kept_is_not_made_again(split, tmp_path):
    gathered(source(split, tmp_path / "f.npy"))

    def refuse(images):
        raise AssertionError("the network was asked again")

    again = Features(split, refuse, 32, 4, torch.device("cpu"), tmp_path / "f.npy", progress=False)
    assert len(gathered(again)[0]) == 10


def test_mirrored_features_lie_where_the_image_has_them(split):
    """This network sees no difference between left and right, so mirroring back gives the same."""
    assert torch.allclose(gathered(source(split))[0], gathered(source(split, mirrored=True))[0], atol=2e-3)


def test_a_network_that_fails_leaves_no_file(split, tmp_path):
    def fails(images):
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        Features(split, fails, 32, 4, torch.device("cpu"), tmp_path / "f.npy", progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"no array", None])
def test_a_file_that_does_not_fit_is_named(split, tmp_path, content):
    path = tmp_path / "f.npy"
    if content is None:
        np.save(path, np.zeros((3, 4, 4, 3), np.float16))
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"f\.npy: .*delete it, and it is made again$"):
        source(split, path)
