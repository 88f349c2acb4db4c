"""What the trainer and the evaluator know of a method."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from cmr.maps import Localize
from cmr.nets.backbones import Backbone


class Method(nn.Module, ABC):
    """One paper's network with its losses and its maps, made as `Method(backbone, classes, settings)`.

    Attributes:
        Settings: a frozen dataclass of plain types that is `Checked`; its defaults are this study's.
        backbone: the part that starts from ImageNet weights; all else is new.
    """

    Settings: ClassVar[type]
    backbone: Backbone

    @abstractmethod
    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """For training: normalised images (B, 3, H, W), labels (B,) -> scalars, of which "total" is minimised."""

    @abstractmethod
    def localize(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """For testing: normalised images (B, 3, H, W) -> logits (B, K), raw maps of all classes (B, K, h, w)."""

    def localize_positive(self) -> Localize | None:
        """A call as `localize` whose maps come from the classifier's positive weights alone, as Bae et al. have it.

        None where a class map is not the features weighed by the class's weights.
        """
        return None
