"""Makes what the page "Paint a map" reads, book/_static/play/data.js and example.png: python -m book.play"""

import base64
import io
import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image

from cmr.data.toybirds import Settings, render
from cmr.figures.style import HEAT
from cmr.files import write_aside
from cmr.maps.locate import normalise, resize
from cmr.study.slider import threshold_slider

FOLDER = Path(__file__).parent / "_static" / "play"
SIDE = 224  # pixels of the picture
CELLS = 14  # of a map's side
ONE_SPECIES = Settings(head=1, beak=1, body=1, wing=1, tail=1, legs=1)
BIRD = 8  # of ToyBirds' test images
BOX = (27, 48, 182, 191)  # of the visible bird, xyxy, pixels, half-open
HEAD, TAIL = (4.2, 4.8), (9.6, 9.2)  # cells, column and row


def ready_maps() -> dict[str, np.ndarray]:
    """The maps that a reader can choose: name -> (14, 14) float32, in tenths.

    Example:
        >>> {name: (round(float(m.min()), 1), round(float(m.max()), 1)) for name, m in ready_maps().items()}["noisy"]
        (-0.6, 1.0)
    """
    noise = np.random.default_rng(0).normal(0, 0.25, (CELLS, CELLS))
    bird = _blob((6.5, 7.5), 2.8, 2.6)
    maps = {
        "one blob": bird,
        "two blobs": np.maximum(_blob(HEAD, 1.3, 1.3), 0.9 * _blob(TAIL, 1.6, 1.3)),
        "head only": _blob(HEAD, 1.5, 1.5),
        "noisy": 0.7 * bird + noise,
        "full": 0.7 + 0.3 * bird,
        "empty": np.zeros((CELLS, CELLS)),
    }
    return {name: np.round(values, 1).astype(np.float32) for name, values in maps.items()}


def score_map(name: str, how: str = "minmax") -> np.ndarray:
    """A ready map as the evaluator sees it: (1, 224, 224) float32 in [0, 1].

    Args:
        name: of the map.
        how: the normaliser.

    Returns:
        The map, enlarged and then normalised.

    Example:
        >>> score_map("one blob").shape
        (1, 224, 224)
    """
    return normalise(resize(ready_maps()[name][None], SIDE), how).numpy()


def heat_colours() -> list[list[int]]:
    """The book's colours for heat at 0, 1/16, ..., 1, as RGB from 0 to 255."""
    return (mpl.colormaps[HEAT](np.linspace(0, 1, 17))[:, :3] * 255).round().astype(int).tolist()


def jpeg(image: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 as a data URI, so that a page needs no second file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=88, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def bird() -> np.ndarray:
    """The picture under the map, (224, 224, 3) uint8."""
    return render(ONE_SPECIES, "test", BIRD, SIDE).image


def _blob(middle: tuple[float, float], wide: float, high: float) -> np.ndarray:
    y, x = np.mgrid[:CELLS, :CELLS] + 0.5
    return np.exp(-(((x - middle[0]) / wide) ** 2 + ((y - middle[1]) / high) ** 2) / 2)


def main(folder: Path = FOLDER) -> None:
    """Writes both files."""
    data = {
        "maps": {name: [round(float(v), 1) for v in values.ravel()] for name, values in ready_maps().items()},
        "box": BOX,
        "heat": heat_colours(),
        "bird": jpeg(bird()),
    }
    write_aside(folder / "data.js", f"const cmrPlayData = {json.dumps(data)};\n".encode())
    still = threshold_slider(bird(), score_map("one blob")[0], np.array(BOX), threshold=0.2)
    write_aside(folder / "example.png", still.png)


if __name__ == "__main__":
    main()
