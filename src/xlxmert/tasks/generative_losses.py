"""The losses of XGPT's objectives: what the encoder reads, what the decoder is asked, and how it is marked."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.core.task import Part
from xlxmert.models.xgpt import Memory, Xgpt
from xlxmert.nn.linear import at_least_single
from xlxmert.tasks.reading import View


@dataclass(frozen=True)
class Lesson:
    """A batch of one objective."""

    objective: str
    view: View | None = None
    """The pictures; None where there are texts alone."""
    words: Int[Tensor, "B T"] | None = None
    """What the encoder reads of the sentences; None where it reads pictures alone."""
    given: Int[Tensor, "B L"] | None = None
    """What the decoder reads, 0 where padded."""
    targets: Int[Tensor, "B L2"] | None = None
    """The words that are asked, -1 where none is."""
    places: Int[Tensor, "B L"] | None = None
    """Positions of what the decoder reads; None: counted from the start."""
    whole: int | None = None
    """Words that are asked in the batch of which this is a part; None: this is all of it."""
    share: float = 1.0
    """How much of the batch this is."""

    def cut(self, part: Part) -> "Lesson":
        """A part of the lesson: some pictures with all their sentences, or some sentences."""
        if part.count == 1:
            return self
        lead = self.view.picture if self.view is not None else self.words
        assert lead is not None
        size, rows = len(lead), part.rows(len(lead))
        if rows.start == rows.stop:
            found = f"expected a batch of {part.count} parts or more, found {size}"
            raise UsageError(f"{found}: pass a larger --batch-size")

        def mine(tensor: Tensor | None) -> Tensor | None:
            each = 1 if tensor is None else len(tensor) // size
            return None if tensor is None else tensor[rows.start * each : rows.stop * each]

        seen = None if self.view is None else View(self.view.picture[rows], mine(self.view.boxes))
        asked = None if self.targets is None else int((self.targets >= 0).sum())
        words, given, targets, places = map(mine, (self.words, self.given, self.targets, self.places))
        return Lesson(self.objective, seen, words, given, targets, places, asked, part.share(size))


class GenerativeTurn(nn.Module):
    """The weighted losses of a batch's lessons (XGPT equations 2 to 5)."""

    def __init__(self, model: Xgpt, weights: Mapping[str, float], label_smoothing: float = 0.0) -> None:
        """Take the model and the weight of each objective."""
        super().__init__()
        self.model, self.weights, self.label_smoothing = model, dict(weights), label_smoothing

    def forward(self, lessons: tuple[Lesson, ...]) -> dict[str, Tensor]:
        """``loss``, each objective's own loss by its name, and the accuracy of words beside it."""
        scalars: dict[str, Tensor] = {}
        total = torch.zeros_like(self.model.word_bias[0])
        for lesson in lessons:
            found = self._regions(lesson) if lesson.objective == "tifg" else self._words(lesson)
            scalars |= found
            total = total + self.weights[lesson.objective] * found[lesson.objective]
        return {"loss": total, **scalars}

    def _words(self, lesson: Lesson) -> dict[str, Tensor]:
        """Cross-entropy of the words that are asked."""
        assert lesson.targets is not None
        memory = self._memory(lesson)
        states = memory.last if lesson.given is None else self.model.decode(lesson.given, memory, lesson.places)
        asked = lesson.targets >= 0
        targets = lesson.targets[asked]  # (words asked)
        logits = at_least_single(self.model.word_logits(states[asked]))  # (words asked, V)
        count = lesson.whole or len(targets)
        loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing, reduction="sum") / count
        right = (logits.argmax(-1) == targets).float().sum() / count
        return {lesson.objective: loss, f"{lesson.objective}_right": right}

    def _regions(self, lesson: Lesson) -> dict[str, Tensor]:
        """The mean squared error of generated regions; the refined regions that they are compared with learn nothing.

        The mean is over their numbers too, as in the authors' code: equation 5 divided by the width.
        """
        assert lesson.words is not None and lesson.view is not None
        regions = self.model.embed_picture(lesson.view.picture, lesson.view.boxes)  # (B, N, D)
        loss = F.mse_loss(self.generated(lesson, regions), at_least_single(regions.detach()))
        return {"tifg": loss * lesson.share}

    def generated(self, lesson: Lesson, regions: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        """The regions that the decoder makes of a caption, beside the true ones as far as it may see them."""
        assert lesson.words is not None and lesson.view is not None
        memory = self.model.encode(self.model.embed_words(lesson.words), lesson.words > 0)
        return at_least_single(self.model.generate_regions(memory, regions, lesson.view.boxes))

    def _memory(self, lesson: Lesson) -> Memory:
        """What the encoder makes of an objective's input."""
        model, words = self.model, lesson.words
        if lesson.view is None:
            assert words is not None
            return model.encode(model.embed_words(words), words > 0)
        regions = model.embed_picture(lesson.view.picture, lesson.view.boxes)  # (B, N, D)
        if words is None:
            return model.encode(regions)
        embedded = model.embed_words(words)  # (B, T, D)
        if lesson.objective == "ida":
            return model.encode(model.attend_words(embedded, regions), words > 0)
        there: Bool[Tensor, "B N"] = torch.ones(regions.shape[:2], dtype=torch.bool, device=regions.device)
        joint: Float[Tensor, "B S D"] = torch.cat([regions, embedded], 1)
        return model.encode(joint, torch.cat([there, words > 0], 1))
