import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmr.errors import UserError
from cmr.metrics import PxAP, resize_masks
from cmr.metrics.pixels import average_precision

# The reference's unit values: images, their masks (folder 0bt_c3), pixels of object and of background at 224x224.
GLASSES = {
    "1cd9ac0169ec7df0": (["6932e993"], 43031, 7145),
    "3a29f0b33894d4a6": (["3581e3ae", "d2422806"], 833, 49342),
    "3b3b9931325d65c9": (["d4e2e136"], 347, 13909),
}


def read(shared, folder, name):
    image = cv2.imread(str(shared / "conformance/pxap_masks/val" / folder / name), cv2.IMREAD_GRAYSCALE)
    assert image is not None, name
    return resize_masks(image)


def masks_of(shared, image):
    masks = [read(shared, "0bt_c3", f"{image}_m0bt_c3_{part}.png") for part in GLASSES[image][0]]
    return np.any(masks, axis=0), read(shared, "0bt_c3", f"{image}_ignore.png")


def pxap_of(scoremap, mask, ignore):
    metric = PxAP()
    metric.update(scoremap[None], mask[None], ignore[None], ["a"])
    return metric.compute()


@pytest.mark.parametrize("image", GLASSES)
def test_a_perfect_map_scores_exactly_100_whatever_lies_on_the_ignore_region(shared, image):
    mask, ignore = masks_of(shared, image)
    for there in (0.0, 0.5, 1.0):
        scoremap = np.where(mask, 1.0, np.where(ignore, there, 0.0))
        assert pxap_of(scoremap, mask, ignore) == 100.0


@pytest.mark.parametrize("image", GLASSES)
def test_a_constant_map_scores_the_share_of_the_object(shared, image):
    mask, ignore = masks_of(shared, image)
    _, inside, outside = GLASSES[image]
    # The reference's tests allow a tenth of a point; their background of the second and third is one pixel short.
    assert mask.sum() == inside
    counted = int((~mask & ~ignore).sum())
    assert counted - outside in (0, 1)
    for value in (0.0, 0.5, 1.0):
        result = pxap_of(np.full(mask.shape, value), mask, ignore)
        assert result == pytest.approx(100 * inside / (inside + counted), rel=1e-15)
        assert result == pytest.approx(100 * inside / (inside + outside), abs=2e-3)


def test_no_object_at_all_is_an_error(shared):
    mask = read(shared, "0by6g", "490365f63135f3e0_m0by6g_4f9ded4f.png")
    assert not mask.any()
    with pytest.raises(UserError, match="the masks hold no object pixel"):
        pxap_of(np.zeros(mask.shape), mask, read(shared, "0by6g", "490365f63135f3e0_ignore.png"))
    full = read(shared, "0by6g", "b4d953e7105da1d8_m0by6g_9f8621ff.png")
    assert full.all()
    assert pxap_of(np.zeros(full.shape), full, ~full) == 100.0


@pytest.mark.parametrize("shape", [(632, 459), (1066, 1600), (100, 100), (224, 224), (3, 500)])
def test_masks_are_resized_as_opencv_does(shape):
    mask = (np.random.default_rng(0).random(shape) < 0.5).astype(np.uint8) * 255
    np.testing.assert_array_equal(
        resize_masks(mask, (224, 224)), cv2.resize(mask, (224, 224), interpolation=cv2.INTER_NEAREST) > 0
    )
    wide = cv2.resize(mask, (90, 30), interpolation=cv2.INTER_NEAREST) > 0
    np.testing.assert_array_equal(resize_masks(np.stack([mask, mask]), (90, 30)), np.stack([wide, wide]))


def by_the_letter(scoremaps, masks, ignore, step):
    """The reference's MaskEvaluator, with numpy's own histogram."""
    edges = np.append(np.arange(0, 1, step), [1.0, 2.0, 3.0])
    true = np.histogram(scoremaps[masks], edges)[0].astype(float)
    false = np.histogram(scoremaps[~masks & ~ignore], edges)[0].astype(float)
    tp, fp = true[::-1].cumsum(), false[::-1].cumsum()
    with np.errstate(invalid="ignore"):
        precision, recall = tp / (tp + fp), tp / true.sum()
    return 100 * (precision[1:] * np.diff(recall))[(tp + fp != 0)[1:]].sum()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("step", [0.001, 0.01, 0.3])
def test_pxap_is_the_references_pooled_over_images(dtype, step):
    generator = torch.Generator().manual_seed(1)
    masks, ignore = (torch.rand((6, 20, 30), generator=generator) < share for share in (0.3, 0.2))
    scoremaps = (torch.rand(masks.shape, generator=generator, dtype=torch.float64) * 0.7 + 0.3 * masks).to(dtype)
    scoremaps[0, 0] = torch.arange(30) / 30  # on and around the edges
    scoremaps[0, 1], scoremaps[0, 2] = 1, 0
    metric = PxAP(step=step)
    for part in (slice(0, 1), slice(1, 6)):
        metric.update(scoremaps[part], masks[part], ignore[part].numpy(), [f"{i}" for i in range(6)][part])
    expected = by_the_letter(scoremaps.double().numpy(), masks.numpy(), (ignore & ~masks).numpy(), step)
    assert metric.compute() == pytest.approx(expected, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_average_precision_lies_between_its_limits(bins):
    inside, outside = np.array(bins).T
    if inside.sum() == 0:
        with pytest.raises(UserError):
            average_precision(inside, outside)
        return
    value = average_precision(inside, outside)
    assert 0 < value <= 100 + 1e-9
    # All background below all object is perfect; doubling the data changes nothing.
    assert average_precision(np.append(0 * inside, inside), np.append(outside, 0 * outside)) == pytest.approx(100)
    assert average_precision(2 * inside, 2 * outside) == pytest.approx(value)


def test_pxap_refuses_what_does_not_fit():
    metric, masks = PxAP(ids=["a", "b"]), np.ones((1, 4, 4), bool)
    with pytest.raises(UserError, match=r"score maps have shape \(1, 5, 5\) but masks \(1, 4, 4\)"):
        metric.update(np.zeros((1, 5, 5)), masks, None, ["a"])
    with pytest.raises(UserError, match=r"but ignore regions \(4, 4\)"):
        metric.update(np.zeros((1, 4, 4)), masks, masks[0], ["a"])
    with pytest.raises(UserError, match="the score map of image 'a' lies between nan"):
        metric.update(np.full((1, 4, 4), np.nan), masks, None, ["a"])
    with pytest.raises(UserError, match="score maps are uint8; expected a float type"):
        metric.update(np.zeros((1, 4, 4), np.uint8), masks, None, ["a"])
    assert metric.object.sum() == metric.background.sum() == 0
    metric.update(np.zeros((1, 4, 4)), masks, None, ["a"])
    with pytest.raises(UserError, match="image 'a' is evaluated twice"):
        metric.update(np.zeros((1, 4, 4)), masks, None, ["a"])
    with pytest.raises(UserError, match="image 'b' of the 2 to be evaluated: missing"):
        metric.compute()
