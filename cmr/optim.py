"""How the parameters move: SGD with two learning rates, and the learning rate over time."""

import math

import torch
from torch import nn

from cmr.config import Config
from cmr.methods.method import Method


def make_optimizer(method: Method, config: Config) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum: the backbone at lr, all else at lr * lr_new, scalars without weight decay."""
    old = {id(parameter) for parameter in method.backbone.parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in method.parameters():
        if parameter.requires_grad:
            lr = config.lr * (1.0 if id(parameter) in old else config.lr_new)
            decay = 0.0 if parameter.ndim == 0 else config.weight_decay
            groups.setdefault((lr, decay), []).append(parameter)
    return torch.optim.SGD(
        [{"params": ps, "lr": lr, "base_lr": lr, "weight_decay": decay} for (lr, decay), ps in groups.items()],
        lr=config.lr,
        momentum=config.momentum,
        nesterov=config.momentum > 0,
    )


def lr_factor(config: Config, step: int, steps: int) -> float:
    """The factor on every learning rate at a step, `steps` of which make an epoch.

    Example:
        >>> from cmr.presets import make
        >>> config = make("tiny", schedule="step", lr_step=15, epochs=40)
        >>> [round(lr_factor(config, epoch * 10, 10), 4) for epoch in (0, 14, 15, 30)]
        [1.0, 1.0, 0.1, 0.01]
    """
    if config.schedule == "step":
        return config.lr_gamma ** (step // steps // config.lr_step)
    total, rise = config.epochs * steps, 0.3  # up for 30 % of the steps, then down to nothing, both along a cosine
    done = (step + 0.5) / total
    if done < rise:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * done / rise)) / 2
    return (1 + math.cos(math.pi * (done - rise) / (1 - rise))) / 2
