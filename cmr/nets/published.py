"""The weights that have names, and what a record says of weights; read without torch, which takes a second to load."""

import hashlib
from pathlib import Path

from cmr.errors import UserError

# The weights that the paper's own numbers start from are torchvision's. timm keeps them on the hub under these names;
# SqueezeNet is not in timm.
HUB_MODELS = {
    "vgg16": "vgg16.tv_in1k",
    "resnet50": "resnet50.tv_in1k",
    "resnet18": "resnet18.tv_in1k",
    "inception_v3": "inception_v3.tv_in1k",
}
# The start of ToyBirds, for `tiny` at stride 8: study/start.py makes it from generated birds of other species.
TOYBIRDS = Path(__file__).with_name("toybirds.safetensors")
TORCHVISION_MODELS = {"squeezenet1_1": "SqueezeNet1_1_Weights.IMAGENET1K_V1"}


def weights_fingerprint(weights: str | Path, name: str = "") -> str:
    """Says in a run record which weights a network started from.

    Args:
        weights: "none", "imagenet", "toybirds" or a file's path.
        name: the backbone; makes "imagenet" say which of the published weights.

    Returns:
        "none", "imagenet:resnet50.tv_in1k", or the first 16 hex digits of the SHA-256 of the file's content.

    Raises:
        UserError: the file is missing.

    Example:
        >>> weights_fingerprint("none"), weights_fingerprint("imagenet", "resnet50")
        ('none', 'imagenet:resnet50.tv_in1k')
    """
    if weights == "none":
        return "none"
    if weights == "imagenet":
        tag = (
            f"{name}.{TORCHVISION_MODELS[name].split('.')[1]}"
            if name in TORCHVISION_MODELS
            else HUB_MODELS.get(name, name)
        )
        return f"imagenet:{tag}" if tag else "imagenet"
    path = TOYBIRDS if weights == "toybirds" else Path(weights)
    require_file(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def require_file(path: Path, others: str = "imagenet, toybirds or none") -> None:
    """Raises `UserError` where weights are not a file.

    Args:
        path: what was given in place of one of the words.
        others: these words, for the message.

    Example:
        >>> require_file(Path("gone.pth"))
        Traceback (most recent call last):
        ...
        cmr.errors.UserError: weights: there is no file 'gone.pth'; give an existing file, imagenet, toybirds or none
    """
    if not path.is_file():
        what = f"'{path}' is a folder" if path.is_dir() else f"there is no file '{path}'"
        raise UserError(f"weights: {what}; give an existing file, {others}")


def imagenet_classes() -> tuple[str, ...]:
    """Names the 1,000 ImageNet classes, in the order of the logits; needs no network.

    Example:
        >>> imagenet_classes()[13], len(imagenet_classes())
        ('junco', 1000)
    """
    from torchvision.models import ResNet50_Weights  # here: it takes a second, and few callers need it

    return tuple(ResNet50_Weights.IMAGENET1K_V1.meta["categories"])
