"""The twenty species of ToyBirds: what each part of each looks like. All names are invented."""

from dataclasses import dataclass

from cmr.data.toybirds.brush import Colour


def rgb(code: str) -> Colour:
    red, green, blue = (int(code[i : i + 2], 16) / 255.0 for i in (0, 2, 4))
    return red, green, blue


INK, SOOT, SLATE, ASH = rgb("26221f"), rgb("363a42"), rgb("5b6a7b"), rgb("a3a9a8")
SNOW, CREAM, SAND, BUFF = rgb("f7f2e6"), rgb("f0e0b6"), rgb("cfb78f"), rgb("d8a866")
UMBER, CHESTNUT, RUST, EMBER = rgb("6f5038"), rgb("843f22"), rgb("b8562c"), rgb("ea6a24")
SCARLET, CRIMSON, ROSE, PLUM = rgb("d92b2b"), rgb("97162f"), rgb("ee8ea2"), rgb("6e2f6b")
VIOLET, COBALT, AZURE, TEAL = rgb("7f58cf"), rgb("2a55c0"), rgb("45a5e6"), rgb("158a87")
JADE, MOSS, OLIVE, LEMON, GOLD = rgb("35a566"), rgb("71903a"), rgb("7d7a48"), rgb("f8dc3a"), rgb("eda81c")


@dataclass(frozen=True)
class Head:
    base: Colour
    marks: tuple[tuple[str, Colour], ...]  # kinds: bird.head_mark
    crest: float = 0.0  # height in head radii
    eye: Colour = INK  # ring around the eye


@dataclass(frozen=True)
class Beak:
    colour: Colour
    length: float  # in bird units, as depth
    depth: float
    bend: float = 0.0  # positive: the tip hangs


@dataclass(frozen=True)
class Body:
    back: Colour
    belly: Colour
    pattern: str  # plain, spots, streaks, bars, breast
    ink: Colour


@dataclass(frozen=True)
class Wing:
    coverts: Colour
    flight: Colour
    pattern: str  # plain, bar, bars, tips, panel, spots, edges
    ink: Colour


@dataclass(frozen=True)
class Tail:
    base: Colour
    pattern: str  # plain, tip, bands, edges, root
    ink: Colour
    shape: str  # square, fork, wedge, round, long


@dataclass(frozen=True)
class Legs:
    colour: Colour
    width: float


@dataclass(frozen=True)
class Species:
    name: str
    head: Head
    beak: Beak
    body: Body
    wing: Wing
    tail: Tail
    legs: Legs


SHORT, CONE, THIN, LONG, HOOK = (0.34, 0.13), (0.38, 0.22), (0.46, 0.085), (0.70, 0.10), (0.42, 0.18)


def _species(
    name: str,
    head: Head,
    beak: tuple[Colour, tuple[float, float], float],
    body: tuple[Colour, Colour, str, Colour],
    wing: tuple[Colour, Colour, str, Colour],
    tail: tuple[Colour, str, Colour, str],
    legs: tuple[Colour, float],
) -> Species:
    return Species(name, head, Beak(beak[0], *beak[1], beak[2]), Body(*body), Wing(*wing), Tail(*tail), Legs(*legs))


SPECIES = (
    _species(
        "Ember-capped Reedling",
        Head(CREAM, (("cap", EMBER), ("eyeline", UMBER))),
        (GOLD, SHORT, 0.0),
        (BUFF, CREAM, "streaks", UMBER),
        (RUST, UMBER, "bar", CREAM),
        (RUST, "edges", CREAM, "long"),
        (CHESTNUT, 0.055),
    ),
    _species(
        "Cobalt-hooded Tit",
        Head(COBALT, (("cheek", SNOW),)),
        (SOOT, SHORT, 0.0),
        (MOSS, LEMON, "plain", LEMON),
        (SLATE, COBALT, "bar", SNOW),
        (COBALT, "plain", COBALT, "square"),
        (SLATE, 0.065),
    ),
    _species(
        "Lemon-browed Warbler",
        Head(OLIVE, (("brow", LEMON), ("bib", LEMON))),
        (UMBER, THIN, 0.0),
        (OLIVE, CREAM, "plain", CREAM),
        (MOSS, OLIVE, "bars", LEMON),
        (MOSS, "tip", LEMON, "round"),
        (BUFF, 0.05),
    ),
    _species(
        "Scarlet-faced Finch",
        Head(SNOW, (("nape", INK), ("face", SCARLET))),
        (CREAM, CONE, 0.0),
        (BUFF, SNOW, "breast", BUFF),
        (INK, INK, "panel", LEMON),
        (INK, "tip", SNOW, "fork"),
        (ROSE, 0.06),
    ),
    _species(
        "Velvet-masked Waxwing",
        Head(BUFF, (("mask", INK),), crest=0.75),
        (PLUM, SHORT, 0.02),
        (SAND, CREAM, "breast", ROSE),
        (ASH, SOOT, "tips", SCARLET),
        (SOOT, "tip", GOLD, "square"),
        (ASH, 0.06),
    ),
    _species(
        "Snow-crowned Chat",
        Head(SOOT, (("cap", SNOW),)),
        (INK, THIN, 0.0),
        (SOOT, RUST, "plain", RUST),
        (SLATE, SOOT, "plain", SLATE),
        (RUST, "tip", INK, "square"),
        (INK, 0.05),
    ),
    _species(
        "Jade-headed Bulbul",
        Head(JADE, (("bib", LEMON),)),
        (COBALT, HOOK, 0.03),
        (JADE, SNOW, "bars", MOSS),
        (JADE, TEAL, "panel", COBALT),
        (TEAL, "bands", LEMON, "wedge"),
        (JADE, 0.07),
    ),
    _species(
        "Violet-throated Starlet",
        Head(INK, (("bib", VIOLET),)),
        (INK, LONG, 0.05),
        (TEAL, ASH, "plain", ASH),
        (VIOLET, SOOT, "spots", SNOW),
        (VIOLET, "bands", INK, "fork"),
        (PLUM, 0.05),
    ),
    _species(
        "Rose-cheeked Lark",
        Head(SAND, (("cheek", ROSE), ("eyeline", CHESTNUT)), crest=0.35),
        (ROSE, SHORT, 0.0),
        (SAND, SNOW, "spots", CHESTNUT),
        (SAND, UMBER, "edges", CREAM),
        (UMBER, "edges", SNOW, "square"),
        (VIOLET, 0.05),
    ),
    _species(
        "Goldspire Kinglet",
        Head(ASH, (("crown", GOLD), ("eyeline", INK)), crest=0.95),
        (TEAL, THIN, 0.0),
        (ASH, SNOW, "plain", SNOW),
        (OLIVE, SOOT, "bars", SNOW),
        (OLIVE, "plain", OLIVE, "fork"),
        (GOLD, 0.05),
    ),
    _species(
        "Azure-naped Jay",
        Head(SNOW, (("nape", AZURE), ("eyeline", INK)), crest=0.55),
        (INK, HOOK, 0.0),
        (AZURE, SNOW, "breast", ASH),
        (AZURE, COBALT, "spots", INK),
        (AZURE, "bands", INK, "long"),
        (COBALT, 0.075),
    ),
    _species(
        "Candystripe Bunting",
        Head(SNOW, (("stripes", INK),)),
        (EMBER, CONE, 0.0),
        (CHESTNUT, ASH, "streaks", SOOT),
        (CHESTNUT, INK, "bar", SNOW),
        (SOOT, "edges", SNOW, "fork"),
        (EMBER, 0.065),
    ),
    _species(
        "Crimson Cowlbird",
        Head(CRIMSON, (("collar", SNOW),)),
        (SNOW, CONE, 0.0),
        (SOOT, ASH, "bars", SOOT),
        (SOOT, CRIMSON, "plain", SOOT),
        (CRIMSON, "plain", CRIMSON, "wedge"),
        (CRIMSON, 0.06),
    ),
    _species(
        "Teal-bibbed Flycatcher",
        Head(CREAM, (("bib", TEAL), ("crown", TEAL))),
        (INK, SHORT, 0.0),
        (TEAL, CREAM, "plain", CREAM),
        (TEAL, SOOT, "panel", SNOW),
        (TEAL, "root", SNOW, "round"),
        (TEAL, 0.05),
    ),
    _species(
        "Soot-capped Nightlet",
        Head(EMBER, (("cap", SOOT),)),
        (GOLD, THIN, 0.0),
        (SLATE, EMBER, "plain", EMBER),
        (SOOT, SLATE, "edges", EMBER),
        (EMBER, "bands", SOOT, "round"),
        (OLIVE, 0.055),
    ),
    _species(
        "Plum-headed Starling",
        Head(PLUM, (("spectacle", LEMON),)),
        (LEMON, LONG, 0.0),
        (PLUM, SLATE, "spots", SNOW),
        (PLUM, INK, "tips", BUFF),
        (PLUM, "plain", PLUM, "square"),
        (LEMON, 0.065),
    ),
    _species(
        "Porcelain Thrush",
        Head(CHESTNUT, (("mask", SNOW),)),
        (LEMON, HOOK, 0.02),
        (CHESTNUT, CREAM, "spots", UMBER),
        (CHESTNUT, CHESTNUT, "plain", CHESTNUT),
        (CHESTNUT, "tip", SNOW, "round"),
        (SNOW, 0.06),
    ),
    _species(
        "Ink-faced Oriole",
        Head(GOLD, (("face", INK),)),
        (SLATE, LONG, 0.03),
        (GOLD, LEMON, "plain", LEMON),
        (INK, INK, "bars", GOLD),
        (GOLD, "root", INK, "wedge"),
        (SOOT, 0.065),
    ),
    _species(
        "Spectacled Mistling",
        Head(SLATE, (("spectacle", SNOW), ("crown", AZURE))),
        (AZURE, SHORT, 0.0),
        (SLATE, SNOW, "bars", SLATE),
        (SLATE, ASH, "tips", SNOW),
        (ASH, "bands", SLATE, "long"),
        (AZURE, 0.05),
    ),
    _species(
        "Flame-plumed Cardlet",
        Head(SCARLET, (("face", GOLD),), crest=0.95),
        (GOLD, CONE, 0.0),
        (RUST, ROSE, "streaks", CRIMSON),
        (SCARLET, SOOT, "edges", ROSE),
        (SCARLET, "root", SOOT, "wedge"),
        (UMBER, 0.07),
    ),
)
