"""Averaging checkpoints of a run: the mean of those that score best, as XGPT does between its stages (section 5.3)."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from xlxmert.core.axes import Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_tensors
from xlxmert.train.checkpoint import checkpoints, load_module

M = TypeVar("M", bound=nn.Module)
BEST = 4
"""How many checkpoints the paper averages."""


def average_best(run: Path, model: M, score: Callable[[M], float], count: int = BEST, name: str = "model") -> M:
    """Give a model the mean of the weights of the ``count`` best checkpoints of a run.

    Args:
        run: the run's folder; ``TrainConfig.keep`` says how many checkpoints are there.
        model: of the run's shape; its weights are replaced.
        score: from the model, in evaluation mode, to what should be high; of equal scores the earlier one counts more.
        count: how many are averaged; fewer where there are fewer.
        name: of the module in the checkpoints.

    Returns:
        The model.

    Raises:
        XlxmertError: the run has no checkpoint, or one does not fit the model.
    """
    folders = checkpoints(run / "checkpoints")
    if not folders:
        raise XlxmertError(f"expected checkpoints to average in {run}, found none: train first")
    scored: list[tuple[float, Path]] = []
    for folder in folders:
        load_module(folder / f"{name}.safetensors", model)
        scored.append((score(model.eval()), folder / f"{name}.safetensors"))
    best = [path for _, path in sorted(scored, key=lambda pair: pair[0], reverse=True)[:count]]
    model.load_state_dict(mean_weights(best))
    return model


def mean_weights(paths: list[Path]) -> dict[str, Tensor]:
    """The mean of the floating-point weights of several files of one shape, summed in double precision.

    Whole numbers, such as counts, have no mean: they are those of the first file.
    """
    sums: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    for path in paths:
        tensors, aliases = read_tensors(path)
        for name, weight in tensors.items():
            if not weight.is_floating_point():
                sums.setdefault(name, weight)
            else:
                sums[name] = sums[name] + weight.double() if name in sums else weight.double()
    means = {
        name: (value / len(paths)).to(torch.float32) if value.is_floating_point() else value
        for name, value in sums.items()
    }
    return means | {alias: means[name] for alias, name in aliases.items() if name in means}  # tied weights
