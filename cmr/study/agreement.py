"""How far the maps of the two views agree, and whether in what they say about the class."""

from typing import Any

import torch
from torch.nn.functional import cosine_similarity

from cmr.data.images import Batches, normalise
from cmr.metrics.result import Agreement

EVERY = 3  # which of the test images are looked at; a third of CUB-50's are 463


@torch.no_grad()
def view_agreement(method: Any, batches: Batches, images: int, seed: int = 0) -> Agreement:
    """Cosine of the angle between the maps of X and X~, whole and without what all classes share.

    Paper: section 3.6, equation 14, whose value for a pair of maps is 2 - 2 cos (summed over pixels). A map that is
    added to those of all classes changes no probability and brings the two maps together; it is left out in "own".

    Args:
        method: with two views (`views`, `net`), trained, in evaluation mode; the attention is on, as in training.
        batches: images as the test has them; they are hidden here, as in training.
        images: how many there are; every third is looked at.
        seed: of the hidden cells.

    Returns:
        The cosines of the raw maps of the true class (equation 13), and of these less the mean over all classes' maps:
        means over images, -1 to 1.

    Example:
        >>> from cmr.nets.backbones import build_backbone
        >>> from cmr.data import load, toybirds
        >>> split = load("toybirds", None, "test", toybirds.Settings(test=40))
        >>> batches = Batches(split, 64, batch_size=40, progress=False)
        >>> from cmr.methods import METHODS
        >>> kind = METHODS["cmr"]
        >>> method = kind(build_backbone("tiny"), len(split.classes), kind.Settings(sizes=(8,))).eval()
        >>> -1 <= view_agreement(method, batches, len(split)).own <= 1
        True
    """
    cosines: dict[str, list[torch.Tensor]] = {"map": [], "own": []}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for pictures, labels, _ in batches.epoch(torch.arange(0, images, EVERY)):
            views = method.views(normalise(pictures))
            for name, found in cosines.items():
                (_, map_x), (_, map_xt) = method.net(*views, labels, mean_free=name == "own")
                found.append(cosine_similarity(map_x.flatten(1).float(), map_xt.flatten(1).float()))
    return Agreement(**{name: float(torch.cat(found).mean()) for name, found in cosines.items()})
