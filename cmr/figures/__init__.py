"""Every figure of the paper and of the book: plain arrays and records in, a matplotlib Figure out.

No figure is left open in pyplot and none is shown; a notebook shows the returned figure itself,
`save` writes it to a file. Boxes are xyxy in pixels of the image they are drawn on, half-open (add
1 to the far corner of an inclusive box); maps have the size of their image and values in [0, 1].
"""

from cmr.figures.attention import channel_attention, effective_count, fusion_sequence, spatial_attention
from cmr.figures.barcharts import bars, mean_std, part_coverage
from cmr.figures.draw import heat_overlay
from cmr.figures.failures import error_bars, iou_histograms, size_bars
from cmr.figures.forest import forest
from cmr.figures.gallery import contact_sheet, cover, gallery
from cmr.figures.lines import curves, evidence_lines, tau_curves
from cmr.figures.scatter import scatter
from cmr.figures.signed import signed_maps
from cmr.figures.steps import steps
from cmr.figures.style import (
    GT_COLOUR,
    METHOD_COLOURS,
    METHOD_LABELS,
    PREDICTION_COLOUR,
    method_colours,
    method_label,
    save,
)
from cmr.figures.views import overview, views_grid

__all__ = [
    "GT_COLOUR",
    "METHOD_COLOURS",
    "METHOD_LABELS",
    "PREDICTION_COLOUR",
    "bars",
    "channel_attention",
    "contact_sheet",
    "cover",
    "curves",
    "effective_count",
    "error_bars",
    "evidence_lines",
    "forest",
    "fusion_sequence",
    "gallery",
    "heat_overlay",
    "iou_histograms",
    "mean_std",
    "method_colours",
    "method_label",
    "overview",
    "part_coverage",
    "save",
    "scatter",
    "signed_maps",
    "size_bars",
    "spatial_attention",
    "steps",
    "tau_curves",
    "views_grid",
]
