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


def average_best(run: Path, model: M, score: Callable[[M], float], count: int = 4, name: str = "model") -> M:
    """Give a model the mean of the weights of the ``count`` best checkpoints of a run.

    Args:
        run: the run's folder; ``TrainConfig.keep`` says how many checkpoints are there.
        model: of the run's shape; its weights are replaced.
        score: from the model, in evaluation mode, to what should be high.
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
    """The mean of the floating-point weights of several files of one shape, summed in double precision."""
    sums: dict[str, Tensor] = {}
    for path in paths:
        for name, weight in read_tensors(path)[0].items():
            part = weight.double() if weight.is_floating_point() else weight
            sums[name] = sums[name] + part if name in sums and weight.is_floating_point() else part
    return {
        name: (value / len(paths)).to(torch.float32) if value.is_floating_point() else value
        for name, value in sums.items()
    }
