"""Fine-tuning on statements about two pictures, as in NLVR2: the statement beside each, then both vectors together.

LXMERT (appendix B): the two pooled vectors are concatenated, and a head of two layers says false or true.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from xlxmert.core.axes import Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import WHOLE, OptimConfig, Part, Player
from xlxmert.data.epochs import Shuffled
from xlxmert.data.store import Store
from xlxmert.models.reader import Reader
from xlxmert.tasks.losses import classify
from xlxmert.tasks.reading import View, VisualInput, check_store, paper_optim, pooled, view


@dataclass(frozen=True)
class Nlvr2Config:
    """How statements are learned; the defaults are LXMERT's."""

    visual_input: VisualInput = "codes"
    """Read pictures as codes, or as the exact features that the store then needs (the published fine-tuning)."""
    optim: OptimConfig = field(default_factory=paper_optim)
    """The optimiser."""


@dataclass(frozen=True)
class Nlvr2Batch:
    """Statements, the pictures that they are about, and whether they hold."""

    words: Int[Tensor, "B T"]
    """Token ids ``[CLS] w .. [SEP]``, 0 where padded."""
    left: View
    right: View
    truth: Int[Tensor, " B"]
    """1 where the statement holds, else 0."""
    share: float = 1.0
    """How much of the step's batch this is."""


class Nlvr2Task:
    """Learn to judge the statements of a store.

    Raises:
        XlxmertError: the store does not fit the model or has no statements, or the model has no head for pairs.
    """

    name = "nlvr2"

    def __init__(self, model: Reader, store: Store, config: Nlvr2Config, seed: int = 0) -> None:
        """Put the task together; ``seed`` decides the order of the statements."""
        check_store(model.config, store, config.visual_input)
        if not model.config.pairs:
            raise XlxmertError("expected a model with a head for pairs, found pairs=False: build it with pairs=True")
        self.store, self.config = store, config
        self._network = cast(nn.Module, model)
        self.statements = store.of_kind("statement")
        if not len(self.statements):
            raise XlxmertError(
                f"expected statements about two pictures in {store.folder}, found none: prepare it with --nlvr2"
            )
        self._order = Shuffled(len(self.statements), seed, "nlvr2")
        self._player = Player("model", Nlvr2Turn(model), config.optim, trains=self._network, ema=True)

    def players(self) -> Sequence[Player]:
        """The model alone."""
        return [self._player]

    def modules(self) -> Mapping[str, nn.Module]:
        """The model."""
        return {"model": self._network}

    def batch(self, step: int, size: int, part: Part = WHOLE) -> Nlvr2Batch:
        """The statements of a step, each once per epoch."""
        rows, arrays = self.statements[self._order.take(step, size)][part.rows(size)], self.store.arrays
        left, right = (view(self.store, arrays[side][rows], self.config.visual_input) for side in ("picture", "second"))
        truth = torch.from_numpy(arrays["truth"][rows].astype(np.int64))
        return Nlvr2Batch(self.store.padded(rows), left, right, truth, part.share(size))

    def preview(self, folder: Path, step: int, averages: Mapping[str, nn.Module]) -> None:
        """Nothing to look at."""


class Nlvr2Turn(nn.Module):
    """The loss of a batch of statements."""

    def __init__(self, model: Reader) -> None:
        """Take the model."""
        super().__init__()
        self.model: Reader = model

    def forward(self, batch: Nlvr2Batch) -> dict[str, Tensor]:
        """``loss``, the cross-entropy, and ``right``, the accuracy in [0, 1]."""
        picture = torch.cat([batch.left.picture, batch.right.picture])  # (2B, N) or (2B, N, F)
        boxes = None
        if batch.left.boxes is not None and batch.right.boxes is not None:
            boxes = torch.cat([batch.left.boxes, batch.right.boxes])  # (2B, N, 4)
        both = pooled(self.model, batch.words.repeat(2, 1), View(picture, boxes))  # (2B, D)
        loss, right = classify(self.model.pair_logits(*both.chunk(2)), batch.truth)
        return {"loss": loss * batch.share, "right": right * batch.share}
