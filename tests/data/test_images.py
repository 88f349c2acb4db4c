"""Pictures as batches, and the boxes that follow them."""

import os
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import CenterCrop, Resize, ToTensor, v2

from cmr.data import images as module
from cmr.data.boxes import centre_offset, classic_boxes, crop_boxes, resize_boxes
from cmr.data.images import (
    MEAN,
    STD,
    Batches,
    fits,
    load_images,
    normalise,
    random_crop_flip,
    resize_image,
)
from cmr.data.split import NO_BOXES, Split
from cmr.errors import UserError

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


def noise(i: int) -> np.ndarray:
    """Image i: noise of its own and a size of its own."""
    return np.random.default_rng(i).integers(0, 256, (9 + i % 4, 8 + i % 5, 3), dtype=np.uint8)


def make(n: int, read=noise) -> Split:
    sizes = np.array([noise(i).shape[1::-1] for i in range(n)]).reshape(n, 2)
    ids = tuple(map(str, range(n)))
    return Split("Noise", "train", ids, np.arange(n) * 7 % 5, sizes, (NO_BOXES,) * n, tuple("abcde"), read, "0" * 16)


@pytest.mark.parametrize("size", [5, 16])
def test_resize_is_the_benchmarks(size):
    image = noise(3)
    expected = np.asarray(Resize((size, size))(Image.fromarray(image)))
    assert np.array_equal(resize_image(image, size), expected)
    assert resize_image(expected, size) is expected


@pytest.mark.parametrize("device", DEVICES)
def test_load_images_keeps_the_order_over_chunks(monkeypatch, device):
    monkeypatch.setattr(module, "CHUNK", 4)
    split = make(10)
    out = load_images(split, 6, device, progress=False)
    assert out.shape == (10, 3, 6, 6)
    assert out.dtype == torch.uint8
    assert out.device.type == device
    for i in range(10):
        assert np.array_equal(out[i].permute(1, 2, 0).cpu().numpy(), resize_image(noise(i), 6))
    assert load_images(make(0), 6, device, progress=False).shape == (0, 3, 6, 6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("height", "width", "crop"), [(8, 8, 5), (8, 8, 8), (7, 9, 1), (6, 9, 6)])
def test_crops_are_windows_of_their_images(height, width, crop, device):
    images = torch.randint(0, 256, (16, 3, height, width), dtype=torch.uint8, device=device)
    out = random_crop_flip(images, crop, torch.Generator().manual_seed(1))
    assert out.shape == (16, 3, crop, crop)
    assert out.dtype == torch.uint8
    assert out.device == images.device
    windows = images.unfold(2, crop, 1).unfold(3, crop, 1)  # (B, 3, y, x, crop, crop)
    both = torch.stack([windows, windows.flip(-1)])  # (2, B, 3, y, x, crop, crop)
    equal = (both == out[None, :, :, None, None]).all(-1).all(-1).all(2)  # (2, B, y, x)
    assert equal.any(0).any(-1).any(-1).all()


def test_every_place_and_both_sides_are_drawn_equally():
    images = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4).expand(9000, 3, 4, 4)
    out = random_crop_flip(images, 2, torch.Generator().manual_seed(0))
    flipped = out[:, 0, 0, 0] > out[:, 0, 0, 1]
    corner = out[:, 0, 0].min(1).values  # the crop's upper left pixel, flipped or not
    counts = torch.stack(
        [(corner[side] == y * 4 + x).sum() for side in (flipped, ~flipped) for y in range(3) for x in range(3)]
    )
    assert counts.sum() == 9000
    # 18 outcomes of 500 each: 5 standard deviations are 109.
    assert counts.min() > 390
    assert counts.max() < 610
    assert torch.equal(out[:, 0], out[:, 2])


def test_crops_follow_the_generator_and_the_global_seed():
    images = torch.randint(0, 256, (8, 3, 12, 12), dtype=torch.uint8)
    one, two = (random_crop_flip(images, 7, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, random_crop_flip(images, 7, torch.Generator().manual_seed(4)))
    torch.manual_seed(3)
    assert torch.equal(one, random_crop_flip(images, 7))


@pytest.mark.parametrize("crop", [0, 9])
def test_a_crop_that_does_not_fit_is_an_error(crop):
    with pytest.raises(UserError, match=f"crop {crop} does not fit into images of 10x8 pixels; give 1 to 8"):
        random_crop_flip(torch.zeros(1, 3, 8, 10), crop)


@pytest.mark.parametrize("device", DEVICES)
def test_normalise_is_torchvisions(device):
    image = noise(0)
    expected = v2.functional.normalize(ToTensor()(Image.fromarray(image)), MEAN.tolist(), STD.tolist())
    given = torch.from_numpy(image).permute(2, 0, 1)[None].to(device)
    out = normalise(given)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out[0].cpu(), expected, atol=2e-6, rtol=0)
    assert given.dtype == torch.uint8


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("order", [None, [4, 0, 6, 2, 2], [3], []])
def test_resident_or_not_gives_the_same_batches(order, device):
    split = make(7)
    order = None if order is None else torch.tensor(order, dtype=torch.int64)
    expected = torch.arange(7) if order is None else order
    kept = Batches(split, 6, 3, device, resident=True, progress=False)
    read = Batches(split, 6, 3, device, resident=False, workers=2, progress=False)
    assert kept.resident
    assert not read.resident
    assert len(kept) == len(read) == 3
    for _ in range(2):  # a second epoch starts anew
        pairs = list(zip(kept.epoch(order), read.epoch(order), strict=True))
        for ours, theirs in pairs:
            assert all(
                torch.equal(a, b) and a.device == b.device and a.dtype == b.dtype
                for a, b in zip(ours, theirs, strict=True)
            )
        assert [len(images) for (images, _, _), _ in pairs] == [len(part) for part in expected.split(3) if len(part)]
        if pairs:
            images, labels, index = (torch.cat(parts) for parts in zip(*(ours for ours, _ in pairs), strict=True))
            assert torch.equal(index, expected)
            assert index.device.type == "cpu"
            assert labels.tolist() == split.labels[expected.numpy()].tolist()
            assert images.is_contiguous()
            assert images.dtype == torch.uint8
            assert images.device.type == device
            for image, i in zip(images, expected.tolist(), strict=True):
                assert np.array_equal(image.permute(1, 2, 0).cpu().numpy(), resize_image(noise(i), 6))


def broken(i: int) -> np.ndarray:
    if i == 3:
        raise UserError("image3.jpg: cannot be read (list.txt, line 4)")
    return noise(i)


def test_a_broken_image_is_met_with_its_own_message():
    with pytest.raises(UserError, match=r"image3.jpg: cannot be read \(list.txt, line 4\)"):
        Batches(make(6, broken), 6, 2, resident=True, progress=False)
    batches = Batches(make(6, broken), 6, 2, resident=False)
    with pytest.raises(UserError, match="image3.jpg"):
        list(batches.epoch())
    assert len(list(batches.epoch(torch.tensor([0, 1, 2, 4])))) == 2


def test_an_epoch_that_is_left_stops_its_threads():
    seen = []

    def read(i: int) -> np.ndarray:
        seen.append(i)
        return noise(i)

    before = threading.active_count()
    epoch = Batches(make(60, read), 6, 2, resident=False, workers=2).epoch()
    next(epoch)
    epoch.close()
    assert threading.active_count() == before
    assert len(seen) <= 6  # never more than three batches ahead


@pytest.mark.parametrize(("field", "values"), [("size", (0, 1, 1)), ("batch size", (1, 0, 1)), ("workers", (1, 1, 0))])
def test_impossible_numbers_are_errors(field, values):
    size, batch_size, workers = values
    with pytest.raises(UserError, match=f"{field}: 0 is not possible; give 1 or more"):
        Batches(make(2), size, batch_size, workers=workers, progress=False)


def test_images_are_kept_when_they_fit(monkeypatch):
    need = 3 * 6 * 6 * 5
    monkeypatch.setattr(module, "_memory", lambda: 4 * need)
    assert Batches(make(5), 6, 2, progress=False).resident
    monkeypatch.setattr(module, "_memory", lambda: 4 * need - 4)
    assert not Batches(make(5), 6, 2, progress=False).resident
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * need, 100 * need))
    assert fits(need, "cuda")
    assert not fits(need + 1, "cuda")


@pytest.mark.parametrize(("limit", "share"), [(None, 1), ("max\n", 1), ("9" * 18, 1), ("{half}", 2)])
def test_memory_is_what_the_machine_has_or_a_container_allows(monkeypatch, limit, share):
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    def read(path):
        if limit is None or path.name != "memory.max":
            raise FileNotFoundError
        return limit.format(half=whole // 2)

    monkeypatch.setattr(module.Path, "read_text", read)
    assert module._memory() == whole // share


BOX = np.array([[10.0, 20.0, 30.0, 60.0]])


def test_boxes_by_hand():
    assert resize_boxes(BOX, (100, 80), (50, 160)).tolist() == [[5.0, 40.0, 15.0, 120.0]]
    assert crop_boxes(BOX, 5, 30, 10, 20).tolist() == [[5.0, 0.0, 10.0, 20.0]]
    # It ends where the crop begins: half-open boxes then share no pixel with it.
    assert crop_boxes(BOX, 30, 0, 10, 100).shape == (0, 4)
    for function in (
        lambda b: resize_boxes(b, (4, 4), (8, 8)),
        lambda b: crop_boxes(b, 0, 0, 4, 4),
    ):
        assert function(NO_BOXES).shape == (0, 4)
    assert BOX.tolist() == [[10.0, 20.0, 30.0, 60.0]]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_boxes_follow_the_pixels(data):
    """The box of a painted rectangle, moved with the image, is the box of the pixels in the moved image."""
    width, height = data.draw(st.integers(2, 12)), data.draw(st.integers(2, 12))
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top))
    zoom = data.draw(st.integers(1, 3))
    picture = np.zeros((height, width), bool)
    picture[y0:y1, x0:x1] = True
    picture = picture[top : top + h, left : left + w].repeat(zoom, 0).repeat(zoom, 1)
    boxes = np.array([[x0, y0, x1, y1]])
    boxes = resize_boxes(crop_boxes(boxes, left, top, w, h), (w, h), (w * zoom, h * zoom))
    if not picture.any():
        assert boxes.shape == (0, 4)
        return
    columns, rows = np.flatnonzero(picture.any(0)), np.flatnonzero(picture.any(1))
    assert boxes.tolist() == [[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]]


@settings(deadline=None, max_examples=40)
@given(st.integers(30, 500), st.integers(30, 500), st.data())
def test_classic_boxes_are_torchvisions(width, height, data):
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    boxes = np.array([[x0, y0, x1, y1]], np.float64)
    theirs = tv_tensors.BoundingBoxes(torch.from_numpy(boxes), format="XYXY", canvas_size=(height, width))
    theirs = v2.Compose([v2.Resize((256, 256)), v2.CenterCrop(224), v2.ClampBoundingBoxes()])(theirs).numpy()
    # Theirs is scaled in float32, and at least 1/500 px is left of a box of whole pixels when anything is.
    theirs = theirs[(theirs[:, 2] > theirs[:, 0] + 1e-3) & (theirs[:, 3] > theirs[:, 1] + 1e-3)]
    ours = classic_boxes(boxes, (width, height))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_classic_images_are_torchvisions():
    """Images and boxes of the older protocol go the same way: 256, then the middle 224."""
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    expected = CenterCrop(224)(Resize((256, 256))(Image.fromarray(image)))
    at = slice(centre_offset(256, 224), centre_offset(256, 224) + 224)
    assert np.array_equal(resize_image(image, 256)[at, at], np.asarray(expected))


@pytest.mark.parametrize(("side", "crop"), [(256, 224), (9, 4), (8, 4), (7, 4), (5, 5)])
def test_where_a_centred_crop_begins_is_torchvisions(side, crop):
    assert CenterCrop(crop)(torch.arange(side).expand(1, side, side))[0, 0, 0] == centre_offset(side, crop)
