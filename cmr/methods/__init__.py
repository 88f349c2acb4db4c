"""The methods, one paper a file; this is the only place that maps names to classes.

A method is a `Method`: an `nn.Module` with a frozen dataclass `Settings` and two calls, `losses(images, labels)` for
training and `localize(images)` for testing. The trainer knows nothing else of it.
"""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING

from cmr.methods import settings

if TYPE_CHECKING:
    from cmr.methods.method import Method

_OURS = {
    "cam": ("cam.CAM", settings.CAMSettings),
    "has": ("has.HaS", settings.HaSSettings),
    "cmr": ("cmr.CMR", settings.CMRSettings),
    "acol": ("acol.ACoL", settings.ACoLSettings),
    "adl": ("adl.ADL", settings.ADLSettings),
    "ccam": ("ccam.CCAM", settings.CCAMSettings),
    "cutmix": ("cutmix.CutMix", settings.CutMixSettings),
    "danet": ("danet.DANet", settings.DANetSettings),
    "eil": ("eil.EIL", settings.EILSettings),
    "meil": ("eil.MEIL", settings.EILSettings),
    "spg": ("spg.SPG", settings.SPGSettings),
    "tscam": ("tscam.TSCAM", settings.TSCAMSettings),
}
_TITLES = {"tscam": "TS-CAM"}  # where no class can be called as the paper calls the method


class Methods(MutableMapping[str, "type[Method]"]):
    """Name to class. Ours are imported when they are first asked for: torch takes seconds, and names do not need it.

    Example:
        >>> METHODS["cam"].__name__, METHODS.settings("cam").__name__, len(METHODS)
        ('CAM', 'CAMSettings', 12)
    """

    def __init__(self) -> None:
        self._classes: dict[str, type[Method] | None] = dict.fromkeys(_OURS)

    def __getitem__(self, name: str) -> "type[Method]":
        known = self._classes[name]
        if known is None:
            module, _, title = _OURS[name][0].partition(".")
            known = self._classes[name] = getattr(import_module(f"cmr.methods.{module}"), title)
        return known

    def __setitem__(self, name: str, method: "type[Method]") -> None:
        self._classes[name] = method

    def __delitem__(self, name: str) -> None:
        del self._classes[name]

    def __contains__(self, name: object) -> bool:  # the inherited one would load the class
        return name in self._classes

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def settings(self, name: str) -> type:
        """The frozen dataclass of a method's settings."""
        return _OURS[name][1] if self._classes[name] is None else self[name].Settings

    def title(self, name: str) -> str:
        """The name of a method's class, or the paper's where no class can have it, as tables and figures write it."""
        if name in _TITLES:
            return _TITLES[name]
        return _OURS[name][0].partition(".")[2] if self._classes[name] is None else self[name].__name__


METHODS = Methods()
