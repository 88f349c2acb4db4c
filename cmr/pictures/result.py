"""What was found in one picture: classes, scores, boxes and the map, ready to be shown or saved."""

import base64
import html
import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from cmr.files import write_aside
from cmr.pictures.draw import annotate


@dataclass(frozen=True)
class Found:
    """One object.

    Attributes:
        label: the name of its class.
        index: the number of its class among the network's.
        score: the probability of the class in the whole picture, [0, 1].
        box: x0, y0, x1, y1, half-open, the picture's own pixels.
    """

    label: str
    index: int
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Localization:
    """One picture with what was found in it, the likeliest class first and of each class the largest object.

    Attributes:
        name: of the file, or "picture 0" and so on.
        picture: RGB; of a file upright.
        objects: at least one.
        scoremaps: by the number of a class, its map (H, W) in [0, 1] over the whole picture, on the network's grid.
    """

    name: str
    picture: Image.Image = field(repr=False)
    objects: tuple[Found, ...]
    scoremaps: dict[int, np.ndarray] = field(repr=False)

    @property
    def label(self) -> str:
        """The class of the first object."""
        return self.objects[0].label

    @property
    def score(self) -> float:
        """Its probability, [0, 1]."""
        return self.objects[0].score

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Its box: x0, y0, x1, y1, half-open, the picture's own pixels."""
        return self.objects[0].box

    @property
    def scoremap(self) -> np.ndarray:
        """Its class's map (H, W) in [0, 1] over the whole picture, on the network's grid."""
        return self.scoremaps[self.objects[0].index]

    @cached_property
    def drawn(self) -> Image.Image:
        """The picture with map, boxes and names."""
        groups = list(self.scoremaps)
        heat = np.max(list(self.scoremaps.values()), axis=0)
        texts = [f"{found.label}  {found.score:.2f}" for found in self.objects]
        boxes = [found.box for found in self.objects]
        return annotate(self.picture, heat, boxes, texts, [groups.index(found.index) for found in self.objects])

    def show(self) -> None:
        """Opens the drawn picture in the viewer of this system; a notebook shows the result by itself."""
        self.drawn.show(title=self.name)

    def save(self, path: str | Path) -> Path:
        """Writes the drawn picture, as the ending of the name says (.png, .jpg, ...).

        Returns:
            The path.

        Raises:
            ValueError: Pillow knows no such ending.
            OSError: the place cannot be written; nothing is left there.
        """
        path = Path(path)
        kinds = Image.registered_extensions()
        if path.suffix.lower() not in kinds:
            raise ValueError(f"{path}: its ending names no kind of picture; take .png or .jpg")
        return write_aside(path, lambda file: self.drawn.save(file, format=kinds[path.suffix.lower()]))

    def to_dict(self) -> dict:
        """Name, size and objects, as localizations.json has them."""
        return {
            "image": self.name,
            "width": self.picture.width,
            "height": self.picture.height,
            "objects": [
                {"class": f.label, "index": f.index, "score": round(f.score, 4), "box": list(f.box)}
                for f in self.objects
            ],
        }

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        shown = self.drawn.copy()
        shown.thumbnail((800, 800))
        shown.save(file, format="PNG")
        return file.getvalue()

    def _repr_html_(self) -> str:
        code = base64.b64encode(self._repr_png_()).decode()
        lines = "".join(
            f"<li>{html.escape(f.label)}, {f.score:.2f}: {', '.join(f'{v:g}' for v in f.box)}</li>"
            for f in self.objects
        )
        name = html.escape(self.name)
        return (
            f'<figure><img alt="{name} with boxes" src="data:image/png;base64,{code}">'
            f"<figcaption>{name}<ul>{lines}</ul></figcaption></figure>"
        )
