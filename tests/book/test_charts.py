"""Figures on dark pages: the word that a figure's file carries becomes a class of its image."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from docutils import nodes
from PIL import Image

from cmr import figures

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def charts(extension):
    return extension("charts")


def test_the_librarys_figures_are_told_apart_and_others_are_not_named(charts):
    chart = figures.curves([{"epoch": 1, "total": 1.0}])._repr_png_()
    pictures = figures.steps({"image": np.zeros((1, 8, 8, 3), np.uint8)})._repr_png_()
    other = io.BytesIO()
    Image.new("RGB", (2, 2)).save(other, "png")
    files = (io.BytesIO(chart), io.BytesIO(pictures), other)
    assert [charts.kind(png) for png in files] == ["chart", "pictures", None]


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
def test_what_is_no_whole_png_has_no_kind(charts, data):
    assert charts.kind(io.BytesIO(data)) is None


def test_only_figures_of_the_library_get_a_class(charts, tmp_path):
    (tmp_path / "chart.png").write_bytes(figures.curves([{"epoch": 1, "total": 1.0}])._repr_png_())
    (tmp_path / "drawn.svg").write_text("<svg/>")
    document = nodes.section(
        "", *(nodes.image(uri=uri) for uri in ("chart.png", "/chart.png", "drawn.svg", "gone.png"))
    )
    charts.mark(SimpleNamespace(srcdir=tmp_path), document)
    classes = [image["classes"] for image in document.findall(nodes.image)]
    assert classes == [["cmr-chart", "dark-light"]] * 2 + [[], []]
