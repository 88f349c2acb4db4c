"""Figures: what is drawn where, in which colour; nothing left open; errors that name what is wrong."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from cmr import figures
from cmr.errors import UserError
from cmr.figures import GT_COLOUR, METHOD_COLOURS, PREDICTION_COLOUR
from cmr.figures.attention import effective_count
from cmr.figures.barcharts import mean_std
from cmr.figures.style import DPI, PALETTE, PAPER, VARIANT_COLOURS, WIDTH, line_styles
from cmr.methods import METHODS
from cmr.study.slider import ThresholdSlider, localize_at, threshold_slider

SIDE = 24
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
MAP = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)
GT = np.array([[2.0, 3.0, 14.0, 20.0]])
BOX = np.array([4.0, 3.0, 16.0, 22.0])
RESULTS = {
    name: {
        "sizes": {"small": {"images": 4, "GT-known Loc": 25.0 + i}, "large": {"images": 6, "GT-known Loc": 50.0}},
        "errors": {"right": 40.0, "wrong class": 30.0 - i, "too small": 26.0, "elsewhere": 4.0 + i},
        "IoU histogram": [1 + i, 2, 5, 2],
    }
    for i, name in enumerate(("cam", "cmr"))
}


FOREST = [
    {"panel": panel, "condition": condition, "mean": mean, "low": mean - 2.0, "high": mean + 2.0}
    for panel, condition, mean in (("HaS", "birds", 5.0), ("HaS", "dogs", -5.0), ("CMR", "birds", 1.0))
]
SCATTER = [
    {"map": name, "layer": layer, "MaxBoxAcc": 50.0 + i, "deletion": 20.0 - i, "insertion": 40.0}
    for i, (name, layer) in enumerate((("CAM", "layer4"), ("DDT", "layer4"), ("DDT", "layer3"), ("random cells", "")))
]


def one_of_each() -> dict[str, Figure]:
    """Every figure function once, on small made-up data."""
    tile = {"image": IMAGE, "scoremap": MAP, "gt_boxes": GT, "box": BOX, "iou": 0.6, "title": "CAM", "label": "wren"}
    rows = [
        {"method": m, "seed": s, "dial": d, "part": p, "coverage": 40.0 + s, "GT-known Loc": 50.0 + 10 * d + s}
        for m in ("cam", "cmr")
        for s in (0, 1)
        for d in (0.0, 1.0)
        for p in ("head", "tail")
    ]
    history = [
        {"epoch": e, "total": 2 / e, "fusion": 0.1 / e, "delta_x": 0.1 * e, "Top-1 Loc": 9.0 * e} for e in (1, 2)
    ]
    fused = {"image": IMAGE, "map_x": MAP, "map_xt": MAP[::-1], "map_fused": MAP, "epoch": 3, "loss": 0.25}
    taus = np.linspace(0, 1, 5)
    features = RNG.random((2, 6, 3, 3))
    return {
        "overview": figures.overview(IMAGE, IMAGE, IMAGE, MAP, BOX, GT),
        "views_grid": figures.views_grid(IMAGE, {16: (IMAGE, IMAGE), "Mixed": (IMAGE, IMAGE)}),
        "channel_attention": figures.channel_attention(IMAGE, *features, np.full((6, 6), 1 / 6)),
        "spatial_attention": figures.spatial_attention(IMAGE, np.full((9, 9), 1 / 9), [(1, 1), (20, 9)]),
        "fusion_sequence": figures.fusion_sequence([fused, fused]),
        "gallery": figures.gallery([[tile, tile], [tile, tile]]),
        "contact_sheet": figures.contact_sheet([IMAGE] * 3, [GT] * 3, ["wren", "tit", "gull"]),
        "cover": figures.cover([IMAGE, tile, IMAGE, tile]),
        "curves": figures.curves(history),
        "tau_curves": figures.tau_curves({"cam": {0.5: (taus, 80 * taus)}}, baseline=45.0),
        "bars": figures.bars(rows, ["GT-known Loc"], baseline={"GT-known Loc": 45.0}),
        "part_coverage": figures.part_coverage(rows),
        "size_bars": figures.size_bars(RESULTS),
        "error_bars": figures.error_bars(RESULTS),
        "iou_histograms": figures.iou_histograms(RESULTS),
        "signed_maps": figures.signed_maps({"map": MAP[None] - 2, "own": MAP[None]}),
        "steps": figures.steps({"image": IMAGE[None], "map": MAP[None], "mask": MAP[None] > 0.5}),
        "forest": figures.forest(FOREST),
        "scatter": figures.scatter(SCATTER, "MaxBoxAcc", ["deletion", "insertion"], xlabel="MaxBoxAcc, percent"),
        "evidence_lines": figures.evidence_lines(rows, "GT-known Loc"),
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, Figure]:
    return one_of_each()


def boxes_on(ax, kind: str) -> list[tuple[float, ...]]:
    patches = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_gid() == f"box-{kind}"]
    return [(*p.get_xy(), p.get_x() + p.get_width(), p.get_y() + p.get_height()) for p in patches]


def pixels_of(figure: Figure) -> np.ndarray:
    """(H, W, 4) uint8 at the figure's own 100 dots an inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return np.asarray(Image.open(buffer))


def texts(figure: Figure) -> str:
    return "\n".join(t.get_text() for t in figure.findobj(mpl.text.Text))


# ---- all of them


def test_every_public_figure_is_drawn_here(drawn):
    helpers = {"effective_count", "heat_overlay", "mean_std", "method_colours", "method_label", "save"}
    functions = {name for name in figures.__all__ if name.islower()} - helpers
    assert functions == set(drawn)


def test_each_is_a_figure_of_phone_friendly_width_and_pyplot_stays_empty(drawn):
    for name, figure in drawn.items():
        assert isinstance(figure, Figure), name
        assert name == "cover" or figure.get_figwidth() == pytest.approx(WIDTH), name
        sizes = [t.get_fontsize() for t in figure.findobj(mpl.text.Text) if t.get_text()]
        assert min(sizes) >= 9, name
    assert plt.get_fignums() == []


@pytest.mark.slow
def test_each_lies_on_an_opaque_card_and_nothing_hangs_over_it(drawn):
    for name, figure in drawn.items():
        picture = pixels_of(figure)  # before the extent is asked for: drawing does the layout
        height, width = picture.shape[:2]
        assert picture[height // 2, 3, 3] == 255, name  # the card is opaque at its edge ...
        assert picture[0, 0, 3] == 0, name  # ... and round at its corners, so a dark page shows no white corner
        assert name == "cover" or to_hex(picture[height // 2, 3, :3] / 255) == PAPER, name
        extent = figure.get_tightbbox().extents  # inches
        assert extent == pytest.approx([0, 0, *figure.get_size_inches()], abs=0.02), name


def test_a_notebook_shows_it(drawn):
    picture = Image.open(io.BytesIO(drawn["bars"]._repr_png_()))
    assert picture.size[0] == pytest.approx(WIDTH * DPI, abs=2)


def test_the_callers_settings_are_neither_used_nor_changed():
    with mpl.rc_context({"font.size": 30.0, "axes.facecolor": "black"}):
        before = dict(mpl.rcParams)
        figure = figures.curves([{"epoch": 1, "total": 1.0}])
        assert dict(mpl.rcParams) == before
    assert figure.axes[0].get_facecolor() == (0, 0, 0, 0)
    assert figure.axes[0].title.get_fontsize() == 12


def test_save_writes_whole_files_only(tmp_path, drawn):
    path = figures.save(drawn["bars"], tmp_path / "bars.png", dpi=50)
    with Image.open(path) as picture:
        assert picture.size[0] == pytest.approx(WIDTH * 50, abs=1)
    assert [p.name for p in tmp_path.iterdir()] == ["bars.png"]
    with pytest.raises(UserError, match=r"'.*bars\.bmpx' ends in no known format; use \.png"):
        figures.save(drawn["bars"], tmp_path / "bars.bmpx")


# ---- signed maps


def test_a_scatter_tells_maps_by_colour_and_layers_by_shape(drawn):
    panels = drawn["scatter"].axes
    assert [ax.get_title() for ax in panels] == ["deletion", "insertion"]
    cam, last, inner, control = panels[0].lines
    assert (cam.get_xdata()[0], cam.get_ydata()[0]) == (50.0, 20.0)
    assert last.get_color() == inner.get_color() != cam.get_color()
    assert cam.get_marker() == last.get_marker() != inner.get_marker()
    assert control.get_marker() == "X"
    with pytest.raises(UserError, match="scatter: nothing to draw"):
        figures.scatter([], "MaxBoxAcc", ["deletion"])
    with pytest.raises(UserError, match="scatter: 'deletion' of CAM is None; give a number"):
        figures.scatter([{**SCATTER[0], "deletion": None}], "MaxBoxAcc", ["deletion"])
    with pytest.raises(UserError, match="lacks layer"):
        figures.scatter([{"map": "CAM", "MaxBoxAcc": 1.0, "deletion": 1.0}], "MaxBoxAcc", ["deletion"])


def test_a_forest_tells_what_is_clear_of_zero(drawn):
    found, undecided = drawn["forest"].axes[:2]
    markers = [line for line in found.lines if line.get_marker() not in ("", "None", None)]
    assert [line.get_marker() for line in markers] == ["o", "s"]  # above 0, and below
    assert [line.get_xdata()[0] for line in markers] == [5.0, -5.0]
    assert len({line.get_color() for line in markers}) == 2
    (open_circle,) = [line for line in undecided.lines if line.get_marker() == "o"]
    assert open_circle.get_markerfacecolor() == "white"
    assert [label.get_text() for label in found.get_yticklabels()] == ["birds", "dogs"]
    reversed_rows = figures.forest(FOREST, conditions=["dogs", "birds"]).axes[0]
    assert [label.get_text() for label in reversed_rows.get_yticklabels()] == ["dogs", "birds"]
    with pytest.raises(UserError, match="unknown condition of a forest 'dogs': did you mean 'dog'"):
        figures.forest(FOREST, conditions=["dog", "birds"])
    with pytest.raises(UserError, match="there is no difference to draw"):
        figures.forest([])
    with pytest.raises(UserError, match="low"):
        figures.forest([{"panel": "a", "condition": "b", "mean": 1.0, "high": 2.0}])


def test_signed_maps_have_one_scale_that_is_white_at_zero(drawn):
    figure = drawn["signed_maps"]
    scales = [ax.images[0].get_clim() for ax in figure.axes[:2]]
    assert scales == [(-(2 - MAP.min()), 2 - MAP.min())] * 2
    red, green, blue, _ = figure.axes[0].images[0].cmap(0.5)
    assert min(red, green, blue) > 0.95


def test_signed_maps_name_what_does_not_fit():
    with pytest.raises(UserError, match="signed maps: nothing; give as many images under each name"):
        figures.signed_maps({})
    with pytest.raises(UserError, match="signed maps: a 1, b 2; give as many"):
        figures.signed_maps({"a": MAP[None], "b": np.zeros((2, 3, 3))})
    with pytest.raises(UserError, match="signed maps' 'a': has shape"):
        figures.signed_maps({"a": MAP})


# ---- steps of a method


def test_steps_draw_a_mask_in_black_and_white_and_a_map_over_its_own_range(drawn):
    picture, heat, mask = (ax.images[0] for ax in drawn["steps"].axes)
    assert picture.get_array().shape[2] == 3
    assert heat.get_clim() == (MAP.min(), MAP.max())
    assert mask.get_clim() == (0, 1) and mask.get_cmap().name == "gray"
    assert [ax.get_title() for ax in drawn["steps"].axes] == ["image", "map", "mask"]


def test_steps_name_what_does_not_fit():
    with pytest.raises(UserError, match="steps: a 1, b 2; give as many images for each heading"):
        figures.steps({"a": IMAGE[None], "b": np.zeros((2, 3, 3))})
    with pytest.raises(UserError, match="steps: 'a' has shape"):
        figures.steps({"a": np.zeros((1, 5))})


# ---- colours


def test_colours_of_methods_are_fixed_and_distinct():
    assert len(set(METHOD_COLOURS.values())) == len(METHOD_COLOURS) == len(METHODS)
    assert figures.method_colours(["CMR", "cam"]) == {"CMR": METHOD_COLOURS["cmr"], "cam": METHOD_COLOURS["cam"]}
    mixed = figures.method_colours(["beta 0", "cmr", "beta 50"])
    assert mixed["cmr"] == METHOD_COLOURS["cmr"] and len(set(mixed.values())) == 3
    looks = line_styles(["cam", "has", "cmr"]).values()
    assert len({str(look["linestyle"]) for look in looks}) == 3 and len({look["marker"] for look in looks}) == 3
    assert figures.method_label("danet") == "DANet"
    assert {name: METHODS.title(name) for name in METHODS} == figures.METHOD_LABELS
    assert figures.method_colours(["TS-CAM"]) == {"TS-CAM": METHOD_COLOURS["tscam"]}  # by the name in the tables too


def test_the_rows_of_a_full_table_all_differ_and_a_variant_keeps_its_colour_in_every_figure():
    variants = ["CMR (positive parts)", "CMR (literal)", "CMR, no fusion loss", "views only", "HaS, 2 views"]
    rows = [*(name for name in METHODS if name != "cmr"), *variants]
    looks = line_styles(rows)
    assert len({look["color"] for look in looks.values()}) == len(rows) == 16
    assert looks["CMR (literal)"] == line_styles(["CMR (literal)"])["CMR (literal)"]
    few = line_styles(["CAM", "HaS", "views only", "CMR (literal)", "CMR (positive parts)"]).values()
    assert len({(str(look["linestyle"]), look["marker"]) for look in few}) == 5
    for colour in VARIANT_COLOURS.values():
        assert 1.05 / (luminance(colour) + 0.05) >= 3


def test_two_keys_of_one_run_share_its_colour_and_differ_in_dash_and_marker():
    rows = [{"epoch": e, "delta_x": 0.1 * e, "alpha_x": 0.2 * e} for e in (1, 2)]
    (ax,) = figures.curves({"CMR (literal)": rows, "CMR (positive parts)": rows}).axes
    looks = [
        (to_hex(x.get_color()), x.get_linestyle(), x.get_marker(), to_hex(x.get_markerfacecolor())) for x in ax.lines
    ]
    assert len(set(looks)) == 4 and len({look[0] for look in looks}) == 2
    assert [look[3] == "#ffffff" for look in looks] == [False, True] * 2


@pytest.mark.slow
def test_a_figure_says_in_its_file_whether_it_shows_pictures(drawn):
    kinds = {name: Image.open(io.BytesIO(figure._repr_png_())).info["Description"] for name, figure in drawn.items()}
    pictured = {"overview", "views_grid", "channel_attention", "spatial_attention", "fusion_sequence", "gallery"}
    pictured |= {"contact_sheet", "cover", "signed_maps", "steps"}
    assert {name for name, kind in kinds.items() if kind == "pictures"} == pictured
    assert set(kinds.values()) == {"chart", "pictures"}


@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=25))
@settings(deadline=None, max_examples=25)
def test_every_name_gets_a_colour_and_as_long_as_there_are_enough_its_own(names):
    colours = figures.method_colours(names)
    assert list(colours) == list(dict.fromkeys(names))
    assert len(set(colours.values())) == min(len(colours), 2 * len(PALETTE))


def luminance(colour: str) -> float:
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in mpl.colors.to_rgb(colour))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_boxes_differ_in_lightness_too():
    dark, light = sorted(map(luminance, (GT_COLOUR, PREDICTION_COLOUR)))
    assert (light + 0.05) / (dark + 0.05) > 2.5


def test_heat_overlay_worked_by_hand():
    image = np.full((1, 2, 3), 100, np.uint8)
    out = figures.heat_overlay(image, np.array([[0.0, 1.0]]), alpha=1.0)
    # at 0: 55 % of the image and 45 % of inferno's first colour (0, 0, 4); at 1: inferno's last, (252, 255, 164)
    assert out[0, 0].tolist() == [55, 55, 57]
    assert out[0, 1].tolist() == [252, 255, 164]
    assert (figures.heat_overlay(image, np.array([[0.3, 1.0]]), alpha=0.0) == image).all()


# ---- boxes and images


def test_gallery_draws_boxes_where_they_are_told(drawn):
    figure = figures.gallery([{"image": IMAGE, "gt_boxes": [GT[0], BOX], "box": BOX, "iou": 0.49}])
    (ax,) = figure.axes
    assert boxes_on(ax, "gt") == [tuple(GT[0]), tuple(BOX)]
    assert boxes_on(ax, "prediction") == [tuple(BOX)]
    red, green = (next(p for p in ax.patches if p.get_gid() == f"box-{kind}") for kind in ("gt", "prediction"))
    assert to_hex(red.get_edgecolor()) == GT_COLOUR and red.get_linestyle() in ("-", "solid")
    assert to_hex(green.get_edgecolor()) == PREDICTION_COLOUR and green.get_linestyle() not in ("-", "solid")
    assert ax.get_xlim() == (0, SIDE) and ax.get_ylim() == (SIDE, 0)
    assert "✗ IoU 0.49" in texts(figure)
    assert "✓ IoU 0.60" in texts(drawn["gallery"]) and "ground truth" in texts(drawn["gallery"])


def test_a_box_covers_exactly_its_pixels():
    """A green box (4..16) x (3..22) half-open: the row of pixels just inside is not the row just outside."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[3:22, 4:16] = 255
    figure = figures.gallery([{"image": image}])
    pixels = pixels_of(figure)[::-1]  # rows from the bottom
    ax = figure.axes[0]
    edge = ax.transData.transform([(4, 3), (16, 22)])
    (x0, y0), (x1, y1) = np.round(edge - figure.bbox.min)
    middle_y, middle_x = int((y0 + y1) / 2), int((x0 + x1) / 2)
    far = 20  # a pixel of the image is 29 of the picture; interpolation blurs half of one
    assert pixels[middle_y, int(x0) - far, 0] < 40 and pixels[middle_y, int(x0) + far, 0] > 215
    assert pixels[middle_y, int(x1) - far, 0] > 215 and pixels[middle_y, int(x1) + far, 0] < 40
    assert pixels[int(y0) + far, middle_x, 0] < 40 and pixels[int(y1) + far, middle_x, 0] > 215


def test_gallery_rows_and_columns(drawn):
    assert len(drawn["gallery"].axes) == 4
    headings = [ax.get_title() for ax in drawn["gallery"].axes]
    assert headings == ["CAM", "CAM", "", ""]  # of the first row only
    assert texts(drawn["gallery"]).count("wren") == 2
    flat = figures.gallery([{"image": IMAGE, "title": f"t{i}"} for i in range(5)], columns=2)
    assert [ax.get_title() for ax in flat.axes] == ["t0", "t1", "t2", "t3", "t4"]
    tall = figures.gallery([{"image": np.zeros((30, 20, 3), np.uint8)}] * 2)
    assert tall.get_figheight() > figures.gallery([{"image": IMAGE}] * 2).get_figheight()


def test_tensors_and_empty_boxes_are_taken():
    item = {
        "image": torch.from_numpy(IMAGE), "scoremap": torch.from_numpy(MAP).float().requires_grad_(),
        "gt_boxes": torch.tensor([[1, 2, 3, 4]]), "box": [],
    }  # fmt: skip
    (ax,) = figures.gallery([item]).axes
    assert boxes_on(ax, "gt") == [(1, 2, 3, 4)] and boxes_on(ax, "prediction") == []


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"scoremap": MAP}, "gallery's item: lacks image; it has scoremap"),
        ({"image": MAP}, r"image: has shape \(24, 24\); give 3 axes"),
        ({"image": IMAGE / 255.0}, r"type float64; give \(H, W, 3\) uint8"),
        ({"image": IMAGE.transpose(2, 0, 1)}, r"shape \(3, 24, 24\) and type uint8; give \(H, W, 3\)"),
        ({"image": IMAGE, "scoremap": MAP[:7, :7]}, r"scoremap: has shape \(7, 7\), its image \(24, 24\); resize"),
        ({"image": IMAGE, "scoremap": 3 * MAP}, r"values run from 0 to 3; normalise it to \[0, 1\]"),
        ({"image": IMAGE, "scoremap": np.full((SIDE, SIDE), np.nan)}, "values run from nan to nan"),
        ({"image": IMAGE, "gt_boxes": [[1, 2, 3]]}, r"gt_boxes: has shape \(1, 3\); give \(4,\) or \(k, 4\)"),
    ],
)
def test_gallery_names_what_is_wrong(item, message):
    with pytest.raises(UserError, match=message):
        figures.gallery([item])


def test_empty_and_ragged_lists_are_refused():
    with pytest.raises(UserError, match="gallery: has no item"):
        figures.gallery([])
    with pytest.raises(UserError, match="gallery: rows of 1, 2 items; give each row the same methods"):
        figures.gallery([[{"image": IMAGE}], [{"image": IMAGE}] * 2])
    with pytest.raises(UserError, match="contact sheet: has no image"):
        figures.contact_sheet([])
    with pytest.raises(UserError, match="contact sheet: 1 labels for 2 images"):
        figures.contact_sheet([IMAGE] * 2, labels=["wren"])
    with pytest.raises(UserError, match="cover: has no item"):
        figures.cover([])
    with pytest.raises(UserError, match="views: none given"):
        figures.views_grid(IMAGE, {})


def test_contact_sheet_breaks_long_names():
    names = ["Soot-capped Nightlet of the North", "wren"]
    title = figures.contact_sheet([IMAGE] * 2, labels=names).axes[0].get_title()
    assert "\n" in title and title.replace("\n", " ") == names[0]


def test_views_and_overview(drawn):
    assert [ax.get_title() for ax in drawn["overview"].axes] == [
        "image",
        "view $X$",
        r"view $\tilde{X}$",
        "map and box",
    ]
    assert boxes_on(drawn["overview"].axes[3], "prediction") == [tuple(BOX)]
    titles = [ax.get_title() for ax in drawn["views_grid"].axes]
    assert len(titles) == 5 and {"16 px", "Mixed", "image"} <= set(titles)
    with pytest.raises(UserError, match=r"view X~: has shape \(12, 24, 3\), its image \(24, 24, 3\)"):
        figures.overview(IMAGE, IMAGE, IMAGE[:12], MAP)


# ---- attention


def test_effective_count_by_hand():
    rows = np.array([[1.0, 0, 0, 0], [0.25] * 4, [3.0, 3.0, 0, 0], [0.0] * 4])
    assert effective_count(rows) == pytest.approx([1, 4, 2, 0])


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20), st.floats(1e-3, 1e3))
@settings(deadline=None, max_examples=25)
def test_effective_count_lies_between_one_and_all_and_ignores_scale(weights, factor):
    count = effective_count(np.array(weights))
    assert 1 - 1e-9 <= count <= len(weights) + 1e-9
    assert effective_count(np.array(weights) * factor) == pytest.approx(count)


def test_channel_attention_draws_the_strongest_partners():
    """Channels 1, 2, 0 of X by strength; by eq. 4 the weights of channel 1 are column 1 of Q: 2, then 0, then 1."""
    f_x = np.stack([np.full((2, 2), v) for v in (1.0, 9.0, 2.0)])
    f_xt = np.stack([np.arange(4.0).reshape(2, 2) + 10 * c for c in range(3)])
    q = np.array([[0.1, 0.3, 0.6], [0.8, 0.2, 0.2], [0.1, 0.5, 0.2]])
    maps = figures.channel_attention(IMAGE, f_x, f_xt, q).axes[-12:]
    titles = [ax.get_title() for ax in maps]
    assert titles[::4] == ["$X$: channel 1", "$X$: channel 2", "$X$: channel 0"]
    assert titles[1:4] == [r"$\tilde{X}$: 2, 0.50", r"$\tilde{X}$: 0, 0.30", r"$\tilde{X}$: 1, 0.20"]
    assert (maps[1].images[0].get_array() == f_xt[2]).all()


def test_channel_attention_histogram_counts_every_channel():
    q = np.eye(64)  # each channel looks at one other: effective count 1
    figure = figures.channel_attention(IMAGE, RNG.random((64, 2, 2)), RNG.random((64, 2, 2)), q)
    (histogram,) = (ax for ax in figure.axes if ax.get_title() == "how widely a channel looks")
    heights = [bar.get_height() for bar in histogram.patches]
    assert heights[0] == 64 and sum(heights) == 64
    (heat,) = (ax for ax in figure.axes if ax.get_title() == "$Q_x$, 48 strongest of 64")
    assert heat.images[0].get_array().shape == (48, 48)


def test_spatial_attention_shows_the_row_of_the_query():
    """A 3 x 3 map on a 24 x 24 image; (20, 13) falls into row 1, column 2, position 5."""
    k = np.eye(9)[[0, 1, 2, 3, 4, 0, 6, 7, 8]]  # position 5 looks at position 0
    figure = figures.spatial_attention(IMAGE, k, [(20, 13)])
    shown = figure.axes[1].images[0].get_array()
    expected = np.zeros((SIDE, SIDE))
    expected[:8, :8] = 1
    assert (shown == figures.heat_overlay(IMAGE, expected)).all()
    assert figure.axes[1].get_title() == "1: over 1 of 9"
    assert figure.axes[1].lines[0].get_xydata().tolist() == [[20, 13]]


def test_attention_errors():
    f, q = np.zeros((3, 2, 2)), np.zeros((3, 3))
    with pytest.raises(UserError, match=r"features \(3, 2, 2\) and \(3, 2, 2\), Q \(2, 2\)"):
        figures.channel_attention(IMAGE, f, f, q[:2, :2])
    with pytest.raises(UserError, match=r"K has shape \(6, 6\); give \(h\*h, h\*h\)"):
        figures.spatial_attention(IMAGE, np.eye(6), [(1, 1)])
    with pytest.raises(UserError, match=r"point \(24, 3\) lies outside the image, 24 x 24"):
        figures.spatial_attention(IMAGE, np.eye(4), [(24, 3)])
    with pytest.raises(UserError, match="no query point"):
        figures.spatial_attention(IMAGE, np.eye(4), [])


def test_fusion_sequence(drawn):
    figure = drawn["fusion_sequence"]
    assert len(figure.axes) == 8
    assert "epoch 3\nloss 0.25" in texts(figure)
    assert (figure.axes[2].images[0].get_array() == figures.heat_overlay(IMAGE, MAP[::-1])).all()
    with pytest.raises(UserError, match="fusion sequence's row: lacks map_xt, map_fused"):
        figures.fusion_sequence([{"image": IMAGE, "map_x": MAP}])


# ---- numbers


def test_mean_std_by_hand_and_one_run_has_no_deviation():
    rows = [
        {"m": "a", "v": 1.0},
        {"m": "a", "v": 2.0},
        {"m": "a", "v": 3.0},
        {"m": "b", "v": 5.0},
        {"m": "c", "v": None},
    ]
    table = mean_std(rows, ["m"], "v")
    assert table[("a",)] == (2.0, 1.0, 3)
    assert table[("b",)][0] == 5.0 and np.isnan(table[("b",)][1]) and ("c",) not in table
    with pytest.raises(UserError, match="row: lacks m; it has v"):
        mean_std([{"v": 1}], ["m"], "v")


def test_curves_sorts_keys_into_panels_and_skips_epochs_without_evaluation():
    history = [
        {"epoch": e, "total": 3.0 / e, "ce_x": 1.0, "fusion": 0.1, "lr": 0.1, "delta_x": 0.01, "alpha_xt": 0.02,
         "seconds": 3.0, "grew": True, "loss_nan": float("nan")} | ({"GT-known Loc": 40.0} if e == 2 else {})
        for e in (1, 2, 3)
    ]  # fmt: skip
    axes = {ax.get_title(): ax for ax in figures.curves(history).axes}
    assert {title: len(ax.lines) for title, ax in axes.items()} == {
        "losses": 2, "fusion loss": 1, "held-out images, percent": 1, "scalars": 2,
    }  # fmt: skip
    assert axes["losses"].lines[0].get_xydata().tolist() == [[1, 3.0], [2, 1.5], [3, 1.0]]
    assert axes["held-out images, percent"].lines[0].get_xydata().tolist() == [[2, 40.0]]


def test_curves_of_several_runs_take_the_methods_colours():
    runs = {m: [{"epoch": e, "total": e, "ce": 1.0} for e in (1, 2)] for m in ("cam", "cmr")}
    (ax,) = figures.curves(runs, panels={"loss": ["total"]}).axes
    assert [line.get_color() for line in ax.lines] == [METHOD_COLOURS["cam"], METHOD_COLOURS["cmr"]]
    assert [line.get_label() for line in ax.lines] == ["CAM", "CMR"]
    (ax,) = figures.curves(runs).axes
    assert [line.get_label() for line in ax.lines] == [
        "CAM, total", "CAM, cross-entropy", "CMR, total", "CMR, cross-entropy",
    ]  # fmt: skip
    figure = figures.curves(runs, panels={"loss": ["total"], "other": ["ce"]})  # the same lines in every panel
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["CAM", "CMR"]
    assert all(ax.get_legend() is None for ax in figure.axes)
    with pytest.raises(UserError, match="nothing to draw; the records hold epoch, lr"):
        figures.curves([{"epoch": 1, "lr": 0.1}])
    with pytest.raises(UserError, match="history's record: lacks epoch"):
        figures.curves([{"total": 1.0}])


def test_tau_curves_mark_the_best_threshold_and_the_baseline():
    taus, accuracy = np.array([0.0, 0.2, 0.4]), np.array([10.0, 50.0, 30.0])
    figure = figures.tau_curves({"cmr": {0.3: (taus, accuracy), 0.5: (taus, accuracy / 2)}}, baseline={0.5: 45.0})
    first, second = figure.axes
    assert [first.get_title(), second.get_title()] == ["IoU ≥ 0.3", "IoU ≥ 0.5"]
    assert first.lines[0].get_markevery() == [1]
    levels = [line.get_ydata()[0] for line in second.lines if line.get_label() == "centred box"]
    assert levels == [45.0] and "centred box" in texts(figure)
    assert not [line for line in first.lines if line.get_label() == "centred box"]
    with pytest.raises(UserError, match="tau curve of cmr: 3 thresholds, 2 accuracies"):
        figures.tau_curves({"cmr": {0.5: (taus, accuracy[:2])}})
    with pytest.raises(UserError, match="nothing to draw"):
        figures.tau_curves({})


def test_bars_have_their_means_colours_and_deviations():
    rows = [{"method": "cam", "v": 40.0}, {"method": "cam", "v": 44.0}, {"method": "cmr", "v": 50.0}, {"method": "eil"}]
    figure = figures.bars(rows, "v", baseline={"v": 45.0})
    (ax,) = figure.axes
    widths = [(p.get_width(), to_hex(p.get_facecolor())) for p in ax.patches]
    assert widths == [(42.0, METHOD_COLOURS["cam"]), (50.0, METHOD_COLOURS["cmr"])]
    assert len(ax.containers) == 3  # two bars and the one error bar
    written = texts(figure)
    assert "42.0 ± 2.8" in written and "50.0" in written and "50.0 ±" not in written and "not run" in written
    with pytest.raises(UserError, match="bars: no row holds a number under 'w'"):
        figures.bars(rows, "w")


def test_bars_split_by_source_name_both():
    rows = [{"method": "cmr", "source": s, "v": v} for s, v in (("paper", 64.7), ("ours", 50.0))]
    figure = figures.bars(rows, "v", split_by="source")
    paper, ours = figure.axes[0].patches
    assert (paper.get_width(), ours.get_width()) == (64.7, 50.0)
    assert paper.get_hatch() != ours.get_hatch() and paper.get_alpha() != ours.get_alpha()
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["paper", "ours"]


def test_size_bars_have_their_heights_labels_and_counts(drawn):
    ax = drawn["size_bars"].axes[0]
    assert [bar.get_height() for bar in ax.patches] == [25, 50, 26, 50]
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches[1:3]] == [METHOD_COLOURS["cam"], METHOD_COLOURS["cmr"]]
    assert {"25.0", "26.0", "small\n4 images", "large\n6 images"} <= set(texts(drawn["size_bars"]).split("\n")) | {
        t.get_text() for t in ax.get_xticklabels()
    }


def test_size_bars_leave_out_a_size_that_a_run_lacks():
    only = {"sizes": {"large": {"images": 6, "GT-known Loc": 50.0}}}
    ax = figures.size_bars(RESULTS | {"has": only}).axes[0]
    assert len(ax.patches) == 5
    assert ax.patches[-1].get_x() > 1


def test_error_bars_add_up_and_leave_small_pieces_without_a_figure(drawn):
    ax = drawn["error_bars"].axes[0]
    pieces = [(bar.get_x(), bar.get_width()) for bar in ax.patches if bar.get_y() < 0]
    assert pieces == [(0, 40), (40, 30), (70, 26), (96, 4)]
    assert "4.0" not in texts(drawn["error_bars"]).split("\n") and "26.0" in texts(drawn["error_bars"])


def test_iou_histograms_are_shares(drawn):
    steps = [patch.get_data() for patch in drawn["iou_histograms"].axes[0].patches]
    assert steps[0].values.tolist() == [10, 20, 50, 20]
    assert steps[0].edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert steps[2].values.sum() == pytest.approx(100)


@pytest.mark.parametrize(
    ("draw", "results", "message"),
    [
        (figures.size_bars, {}, "size bars: nothing to draw"),
        (figures.size_bars, {"cam": {"errors": {}}}, "size bars: result of cam: lacks sizes; it has errors"),
        (figures.size_bars, {"cam": {"sizes": {"small": {"images": 3}}}}, "cam, small: lacks GT-known Loc"),
        (figures.error_bars, {"cam": {"errors": {"right": 40.0}}}, "the shares of cam add up to 40"),
        (figures.iou_histograms, {"cam": {"IoU histogram": [0, 0]}}, "that of cam counts no image"),
        (figures.iou_histograms, {"cam": {"IoU histogram": []}}, "result of cam holds nothing under 'IoU histogram'"),
    ],
)
def test_failure_figures_name_what_is_wrong(draw, results, message):
    with pytest.raises(UserError, match=message):
        draw(results)


def test_part_coverage_and_evidence(drawn):
    (ax,) = drawn["part_coverage"].axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["head", "tail"] and ax.get_xlim() == (0, 100)
    assert {p.get_width() for p in ax.patches} == {40.5}
    (ax,) = drawn["evidence_lines"].axes
    assert ax.lines[0].get_xydata().tolist() == [[0.0, 50.5], [1.0, 60.5]]
    assert len(ax.collections) == 2  # a band a method
    single = figures.evidence_lines([{"method": "cam", "dial": d, "v": d} for d in (1.0, 0.0)], "v")
    assert single.axes[0].lines[0].get_xdata().tolist() == [0.0, 1.0] and not single.axes[0].collections
    for draw in (figures.part_coverage, lambda rows: figures.evidence_lines(rows, "coverage")):
        with pytest.raises(UserError, match="no row holds a number under 'coverage'"):
            draw([{"method": "cam", "part": "head", "dial": 0.0}])


# ---- the slider


@pytest.fixture(scope="module")
def slider() -> ThresholdSlider:
    return threshold_slider(IMAGE, MAP, GT, steps=11, name='a "wren" <b>')


class Page(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    handle_startendtag = handle_starttag

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]


def frames_of(slider: ThresholdSlider) -> list[dict]:
    return json.loads(re.search(r"frames = (\[.*\]);", slider.html).group(1))


def test_localize_at_by_hand():
    """Half of the map at 1, a quarter at 0.5: tau below 0.5 takes both, from there on the upper half only."""
    scoremap = np.zeros((8, 8))
    scoremap[:4], scoremap[4:6] = 1.0, 0.5
    masks, boxes, ious = localize_at(scoremap, np.array([[0.0, 0.0, 7.0, 3.0]]), np.array([0.2, 0.6, 1.0]))
    assert masks.sum((1, 2)).tolist() == [48, 32, 0]
    assert boxes.tolist() == [[0, 0, 8, 7], [0, 0, 8, 5], [0, 0, 0, 0]]  # the benchmark's box ends one pixel too far
    assert ious == pytest.approx([32 / 56, 32 / 40, 0])


def test_slider_holds_one_frame_a_threshold(slider):
    frames = frames_of(slider)
    assert len(frames) == len(slider.taus) == 11
    for frame, tau, box, iou in zip(frames, slider.taus, slider.boxes, slider.ious, strict=True):
        assert frame["box"] == box.tolist() and f"τ = {tau:.2f}" in frame["text"]
        assert f"IoU {iou:.2f}" in frame["text"] or "no pixel" in frame["text"]
        shade = Image.open(io.BytesIO(base64.b64decode(frame["mask"].split(",")[1]))).convert("RGBA")
        opaque = np.asarray(shade)[..., 3] > 0
        levels = (MAP * 255).astype(int)
        assert (opaque == ~(levels > int(tau * 255))).all()
    assert "no pixel is above" in frames[-1]["text"]


def test_slider_is_reachable_and_says_what_it_shows(slider):
    page = Page(slider.html)
    (field,) = page.all("input")
    assert field["type"] == "range" and (field["min"], field["max"], field["value"]) == ("0", "10", "2")
    assert page.all("label")[0]["for"] == field["id"] == page.all("output")[0]["for"]
    assert "τ = 0.20" in field["aria-valuetext"]
    pictures = page.all("svg")
    assert len(pictures) == 3 and all(svg["role"] == "img" and len(svg["aria-label"]) > 20 for svg in pictures)
    assert 'a "wren" <b>' in pictures[0]["aria-label"] and "<b>" not in slider.html


def test_slider_needs_no_network_and_is_small(slider):
    sources = [attrs.get("href") or attrs.get("src") for _, attrs in Page(slider.html).tags]
    assert all(source.startswith("data:image/") for source in sources if source)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", slider.html))
    assert "[[" not in re.sub(r"frames = .*", "", slider.html)
    noise = np.random.default_rng(1).random((900, 700))
    photo = np.random.default_rng(1).integers(0, 256, (900, 700, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(photo).resize((7, 9)).resize((700, 900), Image.Resampling.BICUBIC))
    scoremap = np.asarray(Image.fromarray(noise.astype(np.float32)).resize((7, 7)).resize((700, 900)))
    assert len(threshold_slider(smooth, np.clip(scoremap, 0, 1), GT).html) < 300_000


def test_slider_ids_are_unique_even_for_the_same_picture(slider):
    other = threshold_slider(IMAGE, MAP, GT, steps=11)
    ids = [attrs["id"] for text in (slider.html, other.html) for _, attrs in Page(text).tags if "id" in attrs]
    assert len(ids) == len(set(ids)) == 6


def test_slider_has_a_static_twin(slider):
    bundle = slider._repr_mimebundle_()
    assert set(bundle) == {"text/html", "image/png"}
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.size[0] == pytest.approx(WIDTH * DPI, abs=2)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gt_box": []}, "no true box"),
        ({"steps": 1}, "steps is 1; give 2 to 101"),
        ({"threshold": 1.5}, r"threshold is 1.5; give a number in \[0, 1\]"),
        ({"scoremap": MAP[:5]}, r"scoremap: has shape \(5, 24\)"),
    ],
)
def test_slider_names_what_is_wrong(change, message):
    with pytest.raises(UserError, match=message):
        threshold_slider(**({"image": IMAGE, "scoremap": MAP, "gt_box": GT} | change))


def test_gallery_names_only_the_kinds_of_box_that_it_draws():
    item = {"image": IMAGE, "gt_boxes": [BOX]}
    for more, labels in (({}, ["ground truth"]), ({"box": BOX}, ["ground truth", "prediction"])):
        [legend] = figures.gallery([item | more]).legends
        assert [text.get_text() for text in legend.get_texts()] == labels
