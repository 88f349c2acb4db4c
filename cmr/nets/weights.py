"""Weights of the backbones: read from a file or from ImageNet, checked name by name."""

import lzma
import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import huggingface_hub
import safetensors.torch
import torch
from torch import Tensor, nn

from cmr.errors import UserError, first_line
from cmr.nets.published import HUB_MODELS, TORCHVISION_MODELS, TOYBIRDS, require_file

TORCH_SUFFIXES = (".pth", ".pt", ".pth.tar", ".ckpt", ".bin")  # what torch.save's files are called
SUFFIXES = (".safetensors", ".safetensors.xz", *TORCH_SUFFIXES)
# How training scripts wrap the tensors of a checkpoint, and what they put before every name (module: DataParallel,
# _orig_mod: torch.compile).
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.", "body.")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Reads named tensors from a weight file, floats as float32.

    Args:
        path: a file that ends in `.safetensors`, `.safetensors.xz` (compressed with xz), or as in `TORCH_SUFFIXES`, in
            any case. The last are read with `weights_only`, so that no code of the file's runs; a dictionary around the
            tensors (`WRAPPERS`) and what stands before the names (`PREFIXES`) is taken off. Names without it beside
            them, as those of a loss or of an average of the weights in Lightning's checkpoints, are left out.

    Returns:
        Name -> tensor on the CPU. Half-precision tensors become float32, integer tensors stay as they are.

    Raises:
        UserError: the file is missing, has another ending, is damaged, holds more than tensors, no named ones, or two
            networks.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "two.safetensors"
        >>> safetensors.torch.save_file({"weight": torch.ones(2, dtype=torch.float16)}, path)
        >>> read_weights(path)
        {'weight': tensor([1., 1.])}
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise UserError(
            f"weights: '{path}' ends in none of {', '.join(SUFFIXES)}; give such a file, imagenet, toybirds or none"
        )
    require_file(path)
    try:
        if name.endswith(TORCH_SUFFIXES):
            with warnings.catch_warnings(action="ignore"):  # of what is odd in the file; below it is told in our words
                state = torch.load(path, map_location="cpu", weights_only=True)
        else:
            content = path.read_bytes()
            state = safetensors.torch.load(lzma.decompress(content) if name.endswith(".xz") else content)
    except Exception as error:  # a damaged file makes the readers raise a dozen kinds, IndexError and KeyError included
        reason = first_line(error)
        if reason.startswith("Weights only load failed"):  # torch goes on to advise to run the file's code
            found = re.search(r"GLOBAL ([\w.]+)", str(error))
            if found:
                raise UserError(
                    f"weights: '{path}' cannot be read: it holds more than tensors ({found[1]}), and no code "
                    "of a file is run; where it was made, save the tensors alone: torch.save(model.state_dict(), ...)"
                ) from error
            reason = "it is not what torch.save writes"
        raise UserError(f"weights: '{path}' cannot be read ({reason}); it is damaged or no weight file") from error
    for _ in WRAPPERS:  # one may lie in another
        inner = [state[key] for key in WRAPPERS if isinstance(state.get(key), dict)] if isinstance(state, dict) else []
        state = inner[0] if inner else state
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items())
    ):
        raise UserError(f"weights: '{path}' does not hold named tensors (a state_dict); save model.state_dict()")
    for key, tensor in state.items():
        if kind := _odd(tensor):
            raise UserError(f"weights: '{path}': the tensor '{key}' is {kind}; save plain ones of float32")
    state = _unwrapped(state, path)
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in state.items()}


def _odd(tensor: Tensor) -> str:
    """What makes a tensor one that no network starts from; "" where nothing does."""
    kinds = {
        "without values": tensor.is_meta,
        "quantised": tensor.is_quantized,
        "complex": tensor.is_complex(),
        "sparse": tensor.layout != torch.strided,
    }
    return next((kind for kind, true in kinds.items() if true), "")


def _unwrapped(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors of the network alone, under its own names."""
    while held := [prefix for prefix in PREFIXES if any(key.startswith(prefix) for key in state)]:
        parts = [{key.removeprefix(p): t for key, t in state.items() if key.startswith(p)} for p in held]
        twice = next((key for key in parts[0] if any(key in part for part in parts[1:])), None)
        if twice:
            raise UserError(
                f"weights: '{path}' holds two networks, behind '{held[0]}' and '{held[1]}' ({twice}); save one alone"
            )
        state = parts[0]
    return state


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """Fetches torchvision's ImageNet weights of a backbone, from the local cache when they are there.

    Args:
        name: a backbone ("resnet50").

    Returns:
        Name -> float32 tensor, the classifier's included.

    Raises:
        UserError: there are none for this backbone, or they are not in the cache and cannot be fetched.
    """
    if name in TORCHVISION_MODELS:
        from torchvision.models import get_weight

        entry = get_weight(TORCHVISION_MODELS[name])
        source = f"{Path(entry.url).name} of torchvision ({name}, {entry.name})"
        cache = "the folder of torch.hub.get_dir()"
    elif name in HUB_MODELS:
        source = f"model.safetensors of timm/{HUB_MODELS[name]} on the Hugging Face hub"
        cache = "the hub's cache (HF_HOME)"
    else:
        known = ", ".join(sorted([*HUB_MODELS, *TORCHVISION_MODELS]))
        raise UserError(f"weights: there are no ImageNet weights for '{name}' (only for {known}); use none or a file")
    try:
        if name in TORCHVISION_MODELS:
            return entry.get_state_dict(progress=True, check_hash=True, weights_only=True)
        return read_weights(_hub_file(f"timm/{HUB_MODELS[name]}"))
    except UserError:
        raise
    except Exception as error:  # the hub's client lets the errors of its HTTP library through
        raise UserError(
            f"weights: the ImageNet weights of '{name}' are not on this machine and cannot be fetched "
            f"({type(error).__name__}). With a network, run once: they stay in {cache}. Without, bring {source} "
            "and give its path as weights"
        ) from error


def state_of(name: str, weights: str | Path) -> dict[str, Tensor]:
    """The parameters that `weights` stands for: ImageNet's of a network, those of the ToyBirds start, or a file's."""
    if weights == "toybirds":
        if name != "tiny":
            raise UserError(f"weights: toybirds are for the backbone tiny, not for '{name}'; give imagenet or a file")
        return read_weights(TOYBIRDS)
    return imagenet_weights(name) if weights == "imagenet" else read_weights(weights)


def _hub_file(repository: str) -> str:
    try:  # without this the client asks the network first, and without one waits for half a minute
        return huggingface_hub.hf_hub_download(repository, "model.safetensors", local_files_only=True)
    except OSError:
        return huggingface_hub.hf_hub_download(repository, "model.safetensors")


def load_weights(
    module: nn.Module, state: dict[str, Tensor], source: str, ignore: Iterable[str] = (), partial: bool = False
) -> None:
    """Copies weights into a module and accepts no name that is left over.

    Args:
        module: what receives the weights.
        state: name -> tensor.
        source: where they come from, for the messages.
        ignore: prefixes of names that are dropped (the classifier behind a backbone).
        partial: accept that layers are missing from `state`. They keep their random values, and so does a layer of
            which `state` has only a part (a bias without its weight).

    Raises:
        UserError: a tensor is missing (other than `num_batches_tracked`, and unless `partial`), unknown, or of another
            shape; or nothing at all fits.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> load_weights(layer, {"weight": torch.ones(1, 2)}, "ones.pt")
        Traceback (most recent call last):
        ...
        cmr.errors.UserError: weights: 'ones.pt' lacks 1 of 2 tensors (bias); training may take a part: partial_weights
    """
    own = module.state_dict()
    state = {name: tensor for name, tensor in state.items() if not name.startswith(tuple(ignore))}
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    missing = [name for name in needed if name not in state]
    unexpected = sorted(name for name in state if name not in own)
    if len(missing) == len(needed):
        raise UserError(
            f"weights: '{source}' holds no tensor of this network (it has {_some(unexpected)}; "
            f"needed are {_some(needed)}); it belongs to another architecture"
        )
    if unexpected:
        raise UserError(
            f"weights: '{source}' has {len(unexpected)} tensors that this network has not ({_some(unexpected)}) "
            f"and lacks {len(missing)} of {len(needed)}; it belongs to another architecture"
        )
    if missing and not partial:
        most = 2 * len(missing) > len(needed)
        remedy = "it belongs to another architecture" if most else "training may take a part: partial_weights"
        lacks = f"{len(missing)} of {len(needed)} tensors ({_some(missing)})"
        raise UserError(f"weights: '{source}' lacks {lacks}; {remedy}")
    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise UserError(
            f"weights: '{source}' holds NaN or infinity in {len(bad)} of its tensors ({_some(bad)}); the training that "
            "left it had diverged, so give an earlier checkpoint"
        )
    wrong = [name for name in state if state[name].shape != own[name].shape]
    if wrong:
        got, want = tuple(state[wrong[0]].shape), tuple(own[wrong[0]].shape)
        layers = {name.rpartition(".")[0] for name in wrong}
        if len(layers) == 1 and all(state[name].shape[1:] == own[name].shape[1:] for name in wrong):
            raise UserError(
                f"weights: '{source}' has a head of {got[0]} classes ({layers.pop()}), this network one of {want[0]}; "
                f"give weights that were trained on {want[0]} classes"
            )
        raise UserError(
            f"weights: '{source}' has {len(wrong)} tensors of another shape ({_some(wrong)}: {got}, needed is {want}); "
            "it belongs to another architecture"
        )
    broken = {name.rpartition(".")[0] for name in missing}
    module.load_state_dict({n: t for n, t in state.items() if n.rpartition(".")[0] not in broken}, strict=False)


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
