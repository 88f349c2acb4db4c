"""`cmr score`: a folder of anybody's maps, scored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cmr.cli.arguments import parse
from cmr.config import Config, Normaliser
from cmr.errors import UserError
from cmr.files import is_json_with, require_place


@dataclass(frozen=True)
class Score:
    """Score a folder of score maps, whoever made them, against the boxes of list files."""

    # folder of .npy maps, (height, width) each, float in [0, 1] or uint8; that of image a/b.jpg is a/b.jpg.npy (as the
    # WSOL benchmark writes it) or a/b.npy
    scoremaps: str
    # folder of the maps' list files, in the benchmark's format: image_ids.txt, class_labels.txt, image_sizes.txt,
    # localization.txt
    metadata: str
    # how maps are brought to [0, 1] first
    normalise: Literal["none"] | Normaliser = "none"
    # tau: the share of the map's maximum above which a pixel counts as object
    threshold: float = 0.2
    # distance of the taus of which the best is chosen (the benchmark's 0.01 or 0.001); none: all levels
    step: float | None = None
    # side to which maps are enlarged before they are normalised; 0: scored at their own size
    size: int = 0
    # JSON file for the metrics, and a picture of the tau curves beside it; none: print only
    out: str = ""


def command(arguments: list[str]) -> None:
    """Reads the command line, scores, and prints the result."""
    asked = parse(Score, arguments, "score")
    if asked.out:
        out = Path(asked.out)
        require_place(out, ".json", is_json_with("scoremaps", "result"))
        # The picture beside it is of an earlier call where the numbers are.
        require_place(out.with_suffix(".png"), ours=lambda _: out.is_file())
    largest = Config.RANGES["image_size"].high
    if not 0 <= asked.size <= largest:
        raise UserError(f"score: --size {asked.size} is out of range; give 0, or a side of 1 to {largest} pixels")
    from cmr.study import score
    from cmr.study.provenance import metric_lines

    scored = score.evaluate_folder(
        asked.scoremaps, asked.metadata, asked.threshold, asked.step, asked.normalise, asked.size
    )
    grids = ", ".join(f"{count} of {grid}" for grid, count in scored.grids.items())
    print(f"{scored.result.images} maps: {grids} pixels")
    print(metric_lines(scored.result))
    if asked.out:
        print("written:", *score.write(scored, asked.out))
