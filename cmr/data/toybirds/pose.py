"""How a bird holds itself, drawn from chance.

Bird units: the chest's radius is 0.66, the folded bird about 3.6 long; x forward, y down, origin in the body's middle.
"""

import math
from dataclasses import dataclass

import numpy as np

from cmr.data.toybirds.brush import Canvas, Patch

PARTS = ("head", "beak", "body", "wing", "tail", "legs")
HEAD, BEAK, BODY, WING, TAIL, LEGS = range(1, 7)  # a canvas's owner values
CHEST, RUMP = (0.30, 0.06), (-0.98, -0.06)


@dataclass(frozen=True)
class Pose:
    """Where a bird is and how it holds itself; the same whatever species its parts are drawn from."""

    x: float
    y: float
    unit: float  # one bird unit as a share of the image's side
    left: bool  # faces left
    pitch: float  # radians, positive: chest down
    head: tuple[float, float]  # the head's middle, bird units
    nod: float  # radians, the beak's direction
    back: bool  # looks over its shoulder
    turn: float  # 0 in profile .. 1 towards the viewer
    raised: float  # 0 wing folded .. 1 wing up
    droop: float  # radians, the tail's angle to the body
    fan: float  # how far tail feathers are spread
    stance: str  # perch, ground, air
    slope: float  # radians, of the perch
    light: float  # -1 from the left .. 1 from the right

    def at(self, x: float, y: float, pitched: bool = True) -> tuple[float, float]:
        """Place in the image of a point in bird units."""
        if pitched:
            cos, sin = math.cos(self.pitch), math.sin(self.pitch)
            x, y = x * cos - y * sin, x * sin + y * cos
        return self.x + (-x if self.left else x) * self.unit, self.y + y * self.unit

    def patch(
        self,
        canvas: Canvas,
        x: float,
        y: float,
        angle: float,
        reach: float,
        ahead: float = 0.0,
        flip: bool = False,
        pitched: bool = True,
    ) -> Patch:
        """Axes at a point of the bird, all in bird units: u in direction `angle`, v towards the bird's right of it."""
        angle += self.pitch if pitched else 0.0
        return canvas.patch(
            *self.at(x, y, pitched),
            math.pi - angle if self.left else angle,
            reach * self.unit,
            self.left != flip,
            ahead * self.unit,
        )

    @property
    def foot(self) -> tuple[float, float]:
        """Where the bird stands, as a place in the image."""
        return self.at(*self.feet, pitched=False)

    @property
    def feet(self) -> tuple[float, float]:
        hip = self.hip
        return hip[0] + 0.05, hip[1] + (0.62 if self.stance == "air" else 0.78)

    @property
    def hip(self) -> tuple[float, float]:
        cos, sin = math.cos(self.pitch), math.sin(self.pitch)
        return -0.12 * cos - 0.42 * sin, -0.12 * sin + 0.42 * cos


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draws a pose; the place is such that beak, tail, feet and wing stay within the image."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * rng.random()

    unit = 0.078 * 2.9 ** rng.random()
    kind, raised = rng.random(), rng.random()
    stance = "perch" if kind < 0.62 else "ground" if kind < 0.9 else "air"
    lift = between(0.75, 1.0) if stance == "air" or raised < 0.22 else between(0.0, 0.12)
    pitch = between(-0.15, 0.2) if stance == "air" else between(-0.75, 0.2)
    back = rng.random() < 0.2 and lift < 0.5  # a raised wing would cover the face
    head = (between(0.62, 0.82) - 0.28 * back, between(-0.92, -0.72))
    pose = Pose(
        x=0.0,
        y=0.0,
        unit=unit,
        left=rng.random() < 0.5,
        pitch=pitch,
        head=head,
        nod=(pitch if back else -pitch) * 0.8 + between(-0.35, 0.35),
        back=back,
        turn=between(0.0, 0.55),
        raised=lift,
        droop=between(-0.35, 0.4),
        fan=between(0.03, 0.16) + 0.1 * (stance == "air"),
        stance=stance,
        slope=between(-0.28, 0.28),
        light=between(-1.0, 1.0),
    )
    tips = [(head[0], head[1] - 0.9), (head[0] + (-1.0 if back else 1.0), head[1])]
    tips += [(RUMP[0] - 1.45 * math.cos(pose.droop), RUMP[1] + 1.45 * math.sin(-pose.droop)), (0.9, 0.4)]
    tips += [(-0.9, -1.9), (-0.1, -1.9)] if lift > 0.5 else []
    corners = np.array([pose.at(*tip) for tip in tips] + [pose.foot])
    low, high = 0.02 - corners.min(0), 0.98 - corners.max(0)
    place = [a + (b - a) * rng.random() if a < b else 0.5 * (a + b) for a, b in zip(low, high, strict=True)]
    return Pose(**{**pose.__dict__, "x": float(place[0]), "y": float(place[1])})
