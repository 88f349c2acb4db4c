"""The labs' checks: right answers pass, and each usual mistake is named in one sentence."""

import numpy as np
import pytest
import torch
from scipy import ndimage

import cmr
from labs.checks import Wrong, attention, boxes, cam, ddt, fusion, metrics, reveal, training, views

DELTAS = (0.3, 0.5, 0.7)
EIGHT = np.ones((3, 3))


def minmax(m):
    m = m - m.min()
    return m / m.max() if m.max() > 0 else m


def component(mask, structure=EIGHT):
    numbered, _ = ndimage.label(mask, structure=structure)
    sizes = np.bincount(numbered.ravel())
    sizes[0] = 0
    return (numbered == sizes.argmax()) & mask


def box(mask, end=0):
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + end, rows.max() + end]


def iou(a, b, one=1, cut=0):
    sides = [max(min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + one, cut) for i in (0, 1)]
    areas = sum((c[2] - c[0] + one) * (c[3] - c[1] + one) for c in (a, b))
    return sides[0] * sides[1] / (areas - sides[0] * sides[1])


def bits_to_mask(bits, size, height, width):
    return bits.repeat_interleave(size, 0)[:height].repeat_interleave(size, 1)[:, :width]


def pair(image, hidden, fill):
    return torch.where(hidden, fill, image), torch.where(hidden, image, fill)


def caam(f_x, f_xt, delta, turned=True):
    a, b = f_x.flatten(1), f_xt.flatten(1)
    q = (a @ b.T).softmax(0)
    return f_x + delta * ((q.T if turned else q) @ b).view_as(f_x)


def distance(a, b):
    return (a / a.norm() - b / b.norm()).square().sum()


def uphill(loss, one, other):
    leaf = one.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf, other), leaf)[0]


def interval(a, b, paired=True):
    rng = np.random.default_rng(3)
    first = rng.integers(len(a), size=(1000, len(a)))
    second = first if paired else rng.integers(len(a), size=(1000, len(a)))
    return np.percentile(100 * (a[first].mean(1) - b[second].mean(1)), (2.5, 97.5))


def first_direction(matrix, column=-1, turn=True):
    vector = torch.linalg.eigh(matrix).eigenvectors[:, column]
    return -vector if turn and vector.sum() < 0 else vector


def away(matrix):
    return -first_direction(matrix)


RIGHT = [
    (cam.class_map, lambda f, w: torch.einsum("chw,c->hw", f, w)),
    (cam.logit, lambda f, w, b: float(f.mean((1, 2)) @ w) + b),
    (cam.class_maps, lambda f, w: (f[:, None] * w[None, :, :, None, None]).sum(2)),
    (cam.maps_of, lambda m, k: torch.stack([one[c] for one, c in zip(m, k, strict=True)])),
    (cam.peak, lambda m: np.unravel_index(int(m.argmax()), m.shape)),
    (boxes.normalise, minmax),
    (boxes.above, lambda m, tau: m > tau * m.max()),
    (boxes.largest, component),
    (boxes.box, box),
    (boxes.iou, iou),
    (metrics.gt_known, lambda x: 100 * (x >= 0.5).mean()),
    (metrics.top1_loc, lambda x, n: 100 * ((x >= 0.5) & n).mean()),
    (metrics.maxboxaccv2, lambda x: 100 * np.mean([(x >= d).mean(1).max() for d in DELTAS])),
    (metrics.honest, lambda a, b: 100 * (b[(a >= 0.5).sum(1).argmax()] >= 0.5).mean()),
    (metrics.centred, lambda w, s: [(s - w) // 2] * 2 + [(s - w) // 2 + w - 1] * 2),
    (views.mask, bits_to_mask),
    (views.views, pair),
    (views.shown, lambda part, hidden: (part & ~hidden).sum() / part.sum()),
    (attention.energies, lambda a, b: torch.einsum("ihw,jhw->ij", a, b)),
    (attention.weights, lambda s: s.softmax(0)),
    (attention.caam, caam),
    (attention.ssam, lambda m, ell, p: torch.einsum("cn,mn->cm", p, (m.T @ ell).softmax(1))),
    (fusion.fusion, lambda a, b: 2 - 2 * (a * b).sum() / (a.norm() * b.norm())),
    (fusion.positive, lambda a, b: distance(a.clamp(min=0), b.clamp(min=0))),
    (fusion.gradient, uphill),
    (fusion.shared, lambda w, v: w + v[None]),
    (training.coverage, lambda above, part: 100 * (above & part).sum() / part.sum()),
    (training.right, lambda x: x >= 0.5),
    (training.bootstrap, interval),
    (ddt.descriptors, lambda f: f.permute(0, 2, 3, 1).reshape(-1, f.shape[1])),
    (ddt.covariance, lambda r: torch.cov(r.T, correction=0)),
    (ddt.direction, first_direction),
    (ddt.ddt_map, lambda f, m, a: ((f - m[:, None, None]) * a[:, None, None]).sum(0)),
]


@pytest.mark.parametrize(("checked", "answer"), RIGHT, ids=lambda x: f"{x.__module__}.{x.__name__}")
def test_a_right_answer_passes_and_says_what_holds(checked, answer, capsys):
    checked(answer)
    assert capsys.readouterr().out.startswith("Step ")


MISTAKES = [
    # lab 1
    (cam.class_map, lambda f, w: torch.einsum("chw,c->hw", f, w) / 2, "weighted sum"),
    (cam.class_map, lambda f, w: f.sum(0), "weights are missing"),
    (cam.class_map, lambda f, w: torch.einsum("chw,c->hw", f, w).relu(), "do not cut it off"),
    (cam.class_map, lambda f, w: f * w[:, None, None], "not yet added up"),
    (cam.class_map, lambda f, w: None, "is there a return"),
    (cam.class_map, lambda f, w: torch.zeros(3, 3), r"shape \(3, 3\); expected \(2, 2\)"),
    (cam.class_map, lambda f, w: torch.zeros(2, 2), r"your map gives \[\[0.0, 0.0\], \[0.0, 0.0\]\]; expected"),
    (cam.logit, lambda f, w, b: f.sum((1, 2)) @ w + b, "takes their mean"),
    (cam.logit, lambda f, w, b: f.mean((1, 2)) @ w, "bias is missing"),
    (cam.class_maps, lambda f, w: torch.einsum("bchw,kc->kbhw", f, w), "images and classes are exchanged"),
    (cam.maps_of, lambda m, k: m[:, k], "pair image 0 with label 0"),
    (cam.peak, lambda m: divmod(int(m.argmax()), m.shape[1])[::-1], "row comes first"),
    (cam.peak, lambda m: int(m.argmax()), "flattened map"),
    # lab 2
    (boxes.normalise, lambda m: m / m.max(), "the lowest value must become 0"),
    (boxes.normalise, lambda m: (m - m.min()) / (m.max() - m.min()), "gives 0 / 0"),
    (boxes.above, lambda m, tau: m >= tau * m.max(), "above, not at least"),
    (boxes.above, lambda m, tau: m > tau, "share of the map's maximum"),
    (boxes.largest, lambda m: m, "keep the largest one"),
    (boxes.largest, lambda m: component(m, None), "touch at a corner"),
    (boxes.box, lambda m: box(m, 1), "half-open; expected inclusive pixels"),
    (boxes.box, lambda m: [box(m)[i] for i in (1, 0, 3, 2)], "x and y are exchanged"),
    (boxes.iou, lambda a, b: iou(a, b, one=0), r"the \+ 1 is missing"),
    (boxes.iou, lambda a, b: iou(a, b, cut=-100), "cut negative widths and heights off"),
    # lab 3
    (metrics.gt_known, lambda x: 100 * (x > 0.5).mean(), "use >= and not >"),
    (metrics.gt_known, lambda x: (x >= 0.5).mean(), "give percent"),
    (metrics.top1_loc, lambda x, n: 100 * (x >= 0.5).mean() * n.mean(), "multiplied two shares"),
    (metrics.maxboxaccv2, lambda x: 100 * np.mean([(x >= d).mean(1) for d in DELTAS], 0).max(), "one tau for all"),
    (metrics.maxboxaccv2, lambda x: 100 * np.mean([(x.max(0) >= d).mean() for d in DELTAS]), "tau of each image"),
    (metrics.honest, lambda a, b: 100 * (b >= 0.5).mean(1).max(), "chosen on the test images"),
    (metrics.centred, lambda w, s: [(s - w) // 2] * 2 + [(s - w) // 2 + w] * 2, "half-open"),
    # lab 4
    (views.mask, lambda b, s, h, w: bits_to_mask(b, s, 99, 99), "cut the mask"),
    (views.mask, lambda b, s, h, w: ~bits_to_mask(b, s, h, w), "True means hidden"),
    (views.views, lambda i, m, f: pair(i, m, f)[::-1], "X and X~ are exchanged"),
    (views.views, lambda i, m, f: (pair(i, m, f)[0],) * 2, "hide the same cells"),
    (views.views, lambda i, m, f: pair(i, m, 0.0), "the value of `fill`"),
    (views.views, lambda i, m, f: pair(i, m, f)[0], "return two views"),
    (views.shown, lambda part, hidden: (part & hidden).sum() / part.sum(), "share that is hidden"),
    (views.shown, lambda part, hidden: (part & ~hidden).float().mean(), "divided by all pixels"),
    # lab 5
    (attention.energies, lambda a, b: b.flatten(1) @ a.flatten(1).T, "transpose"),
    (attention.energies, lambda a, b: a.flatten(1).T @ b.flatten(1), "the product is C x C"),
    (attention.weights, lambda s: s.softmax(1), "over each column"),
    (attention.caam, lambda a, b, d: caam(a, b, d, turned=False), "equation 2 has its transpose"),
    (attention.caam, lambda a, b, d: caam(a, b, 1), "delta is missing"),
    (attention.ssam, lambda m, ell, p: p @ (m.T @ ell).softmax(1), "equation 8 has its transpose"),
    # lab 6
    (fusion.fusion, lambda a, b: (a - b).square().sum(), "not scaled to length 1"),
    (fusion.fusion, lambda a, b: distance(a, b) / 4, "took the mean over the cells"),
    (fusion.fusion, lambda a, b: distance(a.relu(), b.relu()), "keep their signs"),
    (fusion.positive, lambda a, b: distance(a.abs(), b.abs()), "took absolute values"),
    (fusion.positive, distance, "still have negative cells"),
    (fusion.gradient, lambda f, a, b: -uphill(f, a, b), "the gradient points uphill"),
    (fusion.gradient, lambda f, a, b: (uphill(f, a, b),), "returns a tuple"),
    (fusion.gradient, lambda f, a, b: uphill(f, a.requires_grad_(), b), "work on a copy"),
    (fusion.shared, lambda w, v: w + torch.stack((v, 0 * v, 0 * v)), "row of every class"),
    (fusion.shared, lambda w, v: w.add_(v), "return new ones"),
    # lab 7
    (training.coverage, lambda a, p: 100 * (a & p).sum() / a.sum(), "divide by the pixels of the part"),
    (training.coverage, lambda a, p: 100 * np.mean((a & p).sum((1, 2)) / p.sum((1, 2))), "all images together"),
    (training.right, lambda x: x > 0.5, "use >= and not >"),
    (training.bootstrap, lambda a, b: interval(a, b, paired=False), "too wide; draw the images once"),
    (training.bootstrap, lambda a, b: interval(a, b) / 100, "give percentage points"),
    (training.bootstrap, lambda a, b: interval(b, a), "the first minus the second"),
    (training.bootstrap, lambda a, b: interval(a, b)[::-1], "the lower one comes first"),
    # lab 8
    (ddt.descriptors, lambda f: f.reshape(-1, f.shape[1]), "move the channels to the end"),
    (ddt.descriptors, lambda f: f.movedim(1, -1).flatten(1, 2), "every cell of every image is one row"),
    (ddt.covariance, lambda r: r.T @ r / len(r), "the mean is still in"),
    (ddt.covariance, lambda r: torch.cov(r.T), "one less than the number"),
    (ddt.direction, lambda m: first_direction(m, 0), "least variance"),
    (ddt.direction, away, "points away from the object"),
    (ddt.direction, lambda m: first_direction(m, turn=False), "points away from the object"),
    (ddt.ddt_map, lambda f, m, a: torch.einsum("chw,c->hw", f, a), "the mean is still in"),
]  # fmt: skip


@pytest.mark.parametrize(("checked", "answer", "sentence"), MISTAKES)
def test_a_usual_mistake_is_named(checked, answer, sentence):
    with pytest.raises(Wrong, match=sentence) as told:
        checked(answer)
    assert len(str(told.value).splitlines()) == 1


def test_what_the_attention_checks_ask_is_what_the_library_computes():
    f_x, f_xt = attention.draws()
    module = cmr.CAAM()
    module.delta_x.data.fill_(0.5)
    attention.caam(lambda *_: module(f_x[None], f_xt[None])[0][0])

    spatial = cmr.SSAM(channels=3, reduction=1)
    spatial.alpha_x.data.fill_(1.0)
    m, ell, p = (
        conv(f_x[None])[0].flatten(1)
        for conv in (spatial.attention[0].m, spatial.attention[0].l, spatial.attention[0].p)
    )
    gathered = spatial(f_x[None], f_xt[None])[0][0] - f_x
    torch.testing.assert_close(gathered.flatten(1), p @ (m.T @ ell).softmax(1).T)


def test_boxes_that_disagree_with_the_librarys(capsys):
    with pytest.raises(Wrong, match="only 50 % of your boxes agree"):
        boxes.agreement([0.9, 0.1])
    with pytest.raises(Wrong, match="there are no IoUs"):
        boxes.agreement([])
    boxes.agreement([0.9, 0.9])
    assert "100 % of your boxes" in capsys.readouterr().out


def test_a_centred_box_that_is_not_the_best():
    with pytest.raises(Wrong, match="give percent"):
        metrics.baseline(0.335, 33.5)
    with pytest.raises(Wrong, match=r"has 20.0, the library's 33.5; try every width"):
        metrics.baseline(20.0, 33.5)
    metrics.baseline(33.0, 33.5)


def test_views_that_are_not_complementary():
    with pytest.raises(Wrong, match="25 % of the pixels unseen; make X~ from the same mask"):
        views.both_hidden(0.25, 0.25)
    with pytest.raises(Wrong, match="draw the second mask anew"):
        views.both_hidden(0.5, 0.0)
    views.both_hidden(0.25, 0.0)


def test_probabilities_that_change():
    before = torch.tensor([[0.5, 0.5]])
    fusion.invisible(before, before)
    with pytest.raises(Wrong, match=r"a probability changed by 0.100"):
        fusion.invisible(before, before + torch.tensor([[0.1, -0.1]]))


def test_a_comparison_that_is_not_fair():
    common = {"epochs": 2, "seed": 0}
    cam_, literal = (cmr.make("toybirds", method=name, **common) for name in ("cam", "cmr"))
    positive = cmr.make("toybirds", method="cmr", settings={"fusion_map": "relu"}, **common)
    training.configurations(cam_, literal, positive)
    with pytest.raises(Wrong, match="`positive` compares positive parts"):
        training.configurations(cam_, literal, literal)
    with pytest.raises(Wrong, match="`literal` and `cam` differ in epochs"):
        training.configurations(cam_, cmr.make("toybirds", method="cmr", epochs=3, seed=0), positive)
    with pytest.raises(Wrong, match="`cam` trains cmr"):
        training.configurations(literal, literal, positive)
    with pytest.raises(Wrong, match="make it with `cmr.make`"):
        training.configurations(None, literal, positive)
    stronger = cmr.make("toybirds", method="cmr", settings={"fusion_map": "relu", "beta": 10.0}, **common)
    with pytest.raises(Wrong, match="differ in more than fusion_map"):
        training.configurations(cam_, literal, stronger)


@pytest.mark.parametrize("prediction", [None, ..., 2, "d", "ab", ""])
def test_a_prediction_is_a_letter(prediction):
    with pytest.raises(Wrong, match="expected one of the letters a, b, c"):
        reveal(prediction, "a", "why")


def test_a_prediction_is_met_with_the_run(capsys):
    reveal("a", "a", "So it goes.")
    reveal("b", "a", "So it goes.")
    assert capsys.readouterr().out.splitlines() == [
        "You predicted a, and so it is. So it goes.",
        "You predicted b; the run says a. So it goes.",
    ]
