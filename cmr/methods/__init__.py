"""The methods, one paper a file; this is the only place that maps names to classes.

A method is a `Method`: an `nn.Module` with a frozen dataclass `Settings` and two calls, `losses(images, labels)` for
training and `localize(images)` for testing. The trainer knows nothing else of it.
"""

from cmr.methods.acol import ACoL
from cmr.methods.adl import ADL
from cmr.methods.cam import CAM
from cmr.methods.ccam import CCAM
from cmr.methods.cmr import CMR
from cmr.methods.cutmix import CutMix
from cmr.methods.danet import DANet
from cmr.methods.eil import EIL, MEIL
from cmr.methods.has import HaS
from cmr.methods.method import Method
from cmr.methods.spg import SPG

METHODS: dict[str, type[Method]] = {
    "cam": CAM,
    "has": HaS,
    "cmr": CMR,
    "acol": ACoL,
    "adl": ADL,
    "ccam": CCAM,
    "cutmix": CutMix,
    "danet": DANet,
    "eil": EIL,
    "meil": MEIL,
    "spg": SPG,
}
