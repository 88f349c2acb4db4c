"""ToyBirds: exact truth, exact dials, the same pixels every time, and no score for a box that ignores the image."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmr.data import toybirds
from cmr.data.toybirds import PARTS, Settings, load, looks, render
from cmr.data.toybirds.bird import draw_bird
from cmr.data.toybirds.brush import Canvas, Patch, dots, ellipse, noise, smooth_min, taper, wave
from cmr.data.toybirds.others import alike, others
from cmr.data.toybirds.pose import draw_pose
from cmr.data.toybirds.species import SPECIES, Head, Tail
from cmr.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
SMALL = Settings(test=160)


@pytest.fixture(scope="module")
def split():
    return load(None, "test", SMALL)


def chances(count=4000, **dials):
    """Labels (n,) and whose looks the parts have (n, P), without drawing anything."""
    pairs = [looks(Settings(**dials), "train", i) for i in range(count)]
    return np.array([label for label, _ in pairs]), np.array([parts for _, parts in pairs])


# The split


def test_split_has_what_was_asked_for(split):
    assert (len(split), split.dataset, split.split) == (160, "ToyBirds", "test")
    assert split.part_names == ("head", "beak", "body", "wing", "tail", "legs")
    assert len(set(split.ids)) == 160 and len(set(split.classes)) == 20
    assert np.array_equal(np.bincount(split.labels), np.full(20, 8))
    assert split.sizes.tolist() == [[64, 64]] * 160
    image = split.read(0)
    assert image.shape == (64, 64, 3) and image.dtype == np.uint8 and image.std() > 10


def test_parts_are_disjoint_and_make_up_the_mask(split):
    for i in range(len(split)):
        parts, mask = split.parts(i), split.masks(i)
        assert parts.shape == (6, 64, 64) and parts.dtype == mask.dtype == bool
        assert np.array_equal(parts.sum(0), mask.astype(int))
        assert parts.any((1, 2))[0], "the head can be seen in every image"


def test_boxes_are_tight_and_half_open(split):
    for i in range(len(split)):
        rows, cols = np.nonzero(split.masks(i))
        assert split.boxes[i].tolist() == [[cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]]


def test_each_part_is_visible_nearly_always_and_birds_differ_in_size(split):
    pixels = np.stack([split.parts(i).sum((1, 2)) for i in range(len(split))])
    assert ((pixels > 0).mean(0) > 0.97).all()
    boxes = np.concatenate(split.boxes)
    share = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) / 64**2
    assert 0.15 < share.mean() < 0.3
    assert np.quantile(share, 0.9) > 3 * np.quantile(share, 0.1)


def test_full_and_centred_boxes_score_below_45_percent(split):
    boxes = np.concatenate(split.boxes)

    def score(width, height):
        guess = np.array([32 - width / 2, 32 - height / 2, 32 + width / 2, 32 + height / 2])
        inner = np.minimum(boxes[:, 2:], guess[2:]) - np.maximum(boxes[:, :2], guess[:2])
        both = np.prod(np.maximum(inner, 0), axis=1)
        union = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + width * height - both
        return (both / union >= 0.5).mean()

    assert score(64, 64) < 0.45
    best = max(score(width, height) for width in range(16, 65, 4) for height in range(16, 65, 4))
    assert 0.05 < best < 0.45


# The dial


def test_at_1_every_look_is_the_classs_own():
    labels, parts = chances(400, **dict.fromkeys(PARTS, 1.0))
    assert (parts == labels[:, None]).all()


def test_at_the_default_the_head_always_tells_and_the_body_hardly():
    labels, parts = chances()
    hits = (parts == labels[:, None]).mean(0)
    dials = np.array([getattr(Settings(), part) for part in PARTS])
    expected = dials + (1 - dials) / 20
    assert hits[PARTS.index("head")] == 1.0
    assert np.abs(hits - expected).max() < 4 * 0.5 / 4000**0.5
    assert hits[PARTS.index("body")] < 0.3 < hits[PARTS.index("tail")]


def test_at_0_looks_are_independent_of_the_class():
    labels, parts = chances(6000, classes=4, **dict.fromkeys(PARTS, 0.0))
    for p in range(len(PARTS)):
        table = np.histogram2d(labels, parts[:, p], bins=(4, 4))[0]
        chi2 = ((table - 375) ** 2 / 375).sum()
        assert chi2 < 40, PARTS[p]  # 15 degrees of freedom: above 40 once in 2,000


def test_parts_are_drawn_independently_of_each_other():
    labels, parts = chances(4000, **dict.fromkeys(PARTS, 0.5))
    correlation = np.corrcoef((parts == labels[:, None]).T)
    assert np.abs(correlation - np.eye(len(PARTS))).max() < 4 / 4000**0.5


def test_turning_a_dial_changes_looks_and_nothing_else():
    plain = replace(SMALL, **dict.fromkeys(PARTS, 1.0))
    turned = replace(plain, legs=0.0)
    for i in range(1, 7):
        one, two = render(plain, "train", i), render(turned, "train", i)
        assert one.label == two.label and one.looks[:5] == two.looks[:5]
        assert one.looks[5] == one.label != two.looks[5], "seed 0 draws another class for these six"
        either = (one.owner == 6) | (two.owner == 6)
        near = np.pad(either, 2)
        near = np.any([near[a : a + 64, b : b + 64] for a in range(5) for b in range(5)], axis=0)
        assert np.array_equal(one.image[~near], two.image[~near])
        assert not np.array_equal(one.image, two.image)


@pytest.mark.parametrize("part", PARTS)
def test_species_differ_visibly_in_each_part(part):
    p = PARTS.index(part)
    pose = replace(draw_pose(np.random.default_rng(5)), x=0.5, y=0.5, unit=0.17, raised=0.0, back=False)
    images, areas = [], []
    for k in range(len(SPECIES)):
        canvas = Canvas(96)
        draw_bird(canvas, pose, [SPECIES[k if q == p else 0] for q in range(6)], np.random.default_rng(0))
        images.append(canvas.rgb.ravel())
        areas.append((canvas.owner == p + 1).sum())
    for k, image in enumerate(images):
        gaps = np.abs(np.stack(images[:k] + images[k + 1 :]) - image).sum(1) / (3 * areas[k])
        assert gaps.min() > 0.04, f"{SPECIES[k].name} looks too much like another"


# The same every time


def test_images_are_the_same_again_and_do_not_depend_on_the_number(split):
    few = replace(SMALL, test=5)
    first = load("anywhere", "test", few)
    for i in range(5):
        assert np.array_equal(first.read(i), split.read(i))
        assert np.array_equal(first.read(i), render(SMALL, "test", i).image)
    assert load("elsewhere", "test", few) is first, "generated once, then from memory"
    toybirds._generate.cache_clear()
    again = load(None, "test", few)
    assert again is not first and again.fingerprint == first.fingerprint != split.fingerprint


def test_seed_split_and_index_each_give_another_image():
    images = [render(Settings(seed=s), split, i).image for s in (0, 1) for split in ("train", "test") for i in (0, 20)]
    assert all(not np.array_equal(a, b) for k, a in enumerate(images) for b in images[:k])


def test_fingerprint_changes_with_dial_and_seed():
    few = Settings(train=3)
    prints = {load(None, "train", s).fingerprint for s in (few, replace(few, seed=1), replace(few, head=0.0))}
    assert len(prints) == 3 and all(len(p) == 16 for p in prints)


def test_reading_gives_copies_and_readers_can_be_pickled(split):
    split.read(0)[:] = 0
    assert split.read(0).any()
    few = load(None, "train", replace(SMALL, train=2))
    for reader, index in ((few.read, 1), (few.masks, 1), (few.parts, 1)):
        assert np.array_equal(pickle.loads(pickle.dumps(reader))(index), reader(index))


@pytest.mark.parametrize("size", [16, 33, 96])
def test_other_sizes_show_the_same_picture(size):
    for i in range(4):
        small, large = render(SMALL, "test", i, size=size), render(SMALL, "test", i, size=192)
        assert small.image.shape == (size, size, 3) and small.looks == large.looks
        fine = (large.owner > 0).mean()
        assert abs((small.owner > 0).mean() - fine) < 0.35 * fine if size < 64 else 0.12 * fine
        spread = np.linspace(0, 192, size + 1).astype(int)
        means = np.add.reduceat(np.add.reduceat(large.image.astype(float), spread[:-1], 0), spread[:-1], 1)
        means /= np.multiply.outer(np.diff(spread), np.diff(spread))[..., None]
        assert np.abs(means - small.image).mean() < 14


# Mistakes


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"head": 1.5}, "head: 1.5 is out of range; give 0 to 1"),
        ({"legs": -0.1}, "legs: -0.1 is out of range; give 0 to 1"),
        ({"tail": float("nan")}, "tail: nan is out of range"),
        ({"wing": "much"}, "wing: 'much' is not of type float"),
        ({"body": True}, "body: True is not of type float"),
        ({"classes": 1}, "classes: 1 is out of range; give 2 to 20"),
        ({"classes": 21}, "classes: 21 is out of range; give 2 to 20"),
        ({"train": 0}, "train: 0 is out of range; give 1 to 10,000,000"),
        ({"test": 2.5}, "test: 2.5 is not of type int"),
        ({"size": 8}, "size: 8 is out of range; give 16 to 4,096"),
        ({"classes": 61, "flock": "others"}, "classes: 61 is out of range; give 2 to 60"),
        ({"flock": "other"}, "flock: 'other' is not one of twenty, others"),
        ({"train": np.int64(4)}, "train: np.int64(4) is not of type int"),  # which JSON cannot hold
        ({"seed": -1}, "ToyBirds seed: -1 is out of range; give 0 to 9,223,372,036,854,775,807"),
        ({"train": 10**30}, "train: 1000000000000000000000000000000 is out of range"),
        ({"test": 10**5000}, "test: a number of thousands of digits is out of range"),
    ],
)
def test_bad_settings_are_refused_by_name_and_value(wrong, message):
    with pytest.raises(UserError) as caught:
        Settings(**wrong)
    assert message in str(caught.value)


@pytest.mark.parametrize("call", [lambda s: load(None, s), lambda s: render(SMALL, s, 0), lambda s: looks(SMALL, s, 0)])
def test_unknown_split_names_the_nearest(call):
    with pytest.raises(UserError, match="unknown split of ToyBirds 'tests': did you mean 'test'\\? Known: test, train"):
        call("tests")


# The brush


def test_shapes_against_distances_done_by_hand():
    canvas = Canvas(100)
    patch = Patch(slice(0, 1), slice(0, 4), np.array([[0.0, -3.0, 20.0, 10.0]]), np.array([[4.0, 0.0, 0.0, 5.0]]))
    edge, along = taper(canvas, patch, 0.16, 0.02, 0.02)  # a capsule 16 px long, 2 px thick each way
    assert np.allclose(edge, [[2.0, 1.0, 2.0, 3.0]]) and np.allclose(along, [[0.0, 0.0, 1.0, 0.625]])
    edge, _ = taper(canvas, patch, 0.20, 0.0, 0.0, bulge=0.05)  # a leaf: 5 px in the middle, pointed ends
    assert np.allclose(edge, [[4.0, 3.0, 0.0, 0.0]])
    assert np.allclose(ellipse(canvas, patch, 0.05, 0.05), [[-1.0, -2.0, 15.0, 125**0.5 - 5]], atol=1e-4)


def test_a_disc_covers_its_area_whatever_its_place():
    for x in (0.5, 0.503, 0.511):
        canvas = Canvas(64)
        patch = canvas.patch(x, 0.5, 0.3, 0.2)
        near = np.sqrt(patch.u**2 + patch.v**2)
        canvas.paint(patch, near - 8.0, (1.0, 1.0, 1.0), owner=1)
        assert abs(canvas.rgb[0].sum() - np.pi * 64) < 1.0
        assert abs(canvas.owner.sum() - np.pi * 64) < 8


def test_a_patch_outside_the_image_is_empty_and_harmless():
    canvas = Canvas(32)
    patch = canvas.patch(1.5, -0.8, 1.0, 0.1)
    edge, _ = taper(canvas, patch, 0.1, 0.02, 0.01)
    canvas.paint(patch, edge, (1.0, 0.0, 0.0), owner=1)
    assert edge.size == 0 and not canvas.rgb.any() and not canvas.owner.any()


@settings(max_examples=25, deadline=None)
@given(st.floats(-50, 50, width=32), st.floats(-50, 50, width=32), st.floats(0.1, 9.0))
def test_smooth_min_is_the_minimum_away_from_the_seam_and_never_above(a, b, width):
    out = float(smooth_min(np.array([a]), np.array([b]), width)[0])
    assert out <= min(a, b) + 1e-9
    assert out >= min(a, b) - width / 4 - 1e-6
    if abs(a - b) >= width:
        assert out == pytest.approx(min(a, b))


def test_patterns_by_hand():
    assert np.allclose(wave(np.array([0.0, 0.25, 0.5, 0.75, 1.0, -0.5])), [-1, 0, 1, 0, -1, 1])
    assert np.allclose(dots(np.array([0.0, 0.5, 0.5]), np.array([0.0, 0.0, 1.0])), [0.0, 0.5, 0.0])


def test_noise_is_the_same_field_at_every_size():
    coarse = noise(np.random.default_rng(3), 40, 5, 5)
    fine = noise(np.random.default_rng(3), 120, 5, 5)
    assert np.allclose(coarse, fine[1::3, 1::3], atol=1e-5)
    assert 0 <= coarse.min() < 0.3 and 0.7 < coarse.max() <= 1


# The others, of which the start is made


def test_no_part_of_the_others_is_alike_to_one_of_the_twenty():
    assert len(others()) == 60 and others() is others()
    for name in PARTS:
        for one in others():
            assert not any(alike(getattr(one, name), getattr(species, name)) for species in SPECIES)


def test_alike_by_hand():
    near, far = (0.5, 0.5, 0.5), (0.5, 0.5, 0.7)
    tail = Tail((0.5, 0.5, 0.6), "tip", near, "square")
    assert alike(tail, Tail(near, "tip", near, "square"))  # 0.1 away
    assert not alike(tail, Tail(near, "tip", far, "square"))  # 0.2 away
    assert not alike(tail, Tail(near, "bands", near, "square"))
    head = Head(near, (("cap", near),))
    assert alike(head, Head(near, (("cap", near),), crest=0.9))  # the outline alone does not tell
    assert not alike(head, Head(near, (("cap", near), ("bib", near))))


def test_the_flock_changes_looks_and_nothing_else():
    ours, theirs = (render(Settings(flock=flock, classes=20), "test", 3) for flock in ("twenty", "others"))
    overlap = ((ours.owner > 0) & (theirs.owner > 0)).sum() / ((ours.owner > 0) | (theirs.owner > 0)).sum()
    assert overlap > 0.8  # the same pose in the same place; crests, beaks and tails have other outlines
    assert (ours.label, ours.looks) == (theirs.label, theirs.looks)
    assert not np.array_equal(ours.image, theirs.image)
    assert Settings(flock="others", classes=60).classes == 60
    few = Settings(train=2, test=2)
    assert load(None, "test", few).fingerprint != load(None, "test", replace(few, flock="others")).fingerprint


@pytest.mark.slow
def test_fingerprints_from_before_there_were_others_still_hold():
    record = json.loads(next((ROOT / "results/toybirds-random").glob("*/record.json")).read_text())
    settings = Settings(**{**record["config"]["data_settings"], "test": 500})
    assert load(None, "test", settings).fingerprint == record["data"]["test"]["fingerprint"]
