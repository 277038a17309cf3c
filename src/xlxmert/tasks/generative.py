"""XGPT's training: captioning and three more objectives that generate words or regions, in turn (XGPT section 4.3).

=============  ==========================================  ==========================================================
objective      the encoder reads                           the decoder generates
=============  ==========================================  ==========================================================
captioning     the picture                                 the caption
imlm           the picture and a caption with a hole       the words of the hole, at their places
ida            a caption with spans cut out, each word     the whole caption
               replaced by what it attends to
tifg           a caption                                   the picture's regions
mass           a sentence with a hole                      the words of the hole (text only: Song et al. 2019)
mlm            a sentence with masked words                nothing: the encoder tells the words (text only: BERT)
=============  ==========================================  ==========================================================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn

from xlxmert.core.axes import Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import numpy_generator, torch_generator
from xlxmert.core.task import WHOLE, OptimConfig, Part, Player
from xlxmert.data.fragments import hide_fragment, infill
from xlxmert.data.masking import mask_words
from xlxmert.data.store import Store
from xlxmert.models.xgpt import Xgpt
from xlxmert.tasks.generative_losses import GenerativeTurn, Lesson
from xlxmert.tasks.reading import View, VisualInput, check_store, view

Objective = Literal["captioning", "imlm", "ida", "tifg", "mass", "mlm"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
TEXT_ONLY = ("mass", "mlm")


@dataclass(frozen=True)
class GenerativeConfig:
    """Which objectives, with which weights, and how captions are corrupted; the defaults are the paper's first stage.

    Raises:
        XlxmertError: a number is out of range, or every weight is 0.
    """

    captioning: float = 1.0
    """Weight of image captioning; 0 leaves an objective out."""
    imlm: float = 1.0
    """Weight of image-conditioned masked language modelling."""
    ida: float = 1.0
    """Weight of image-conditioned denoising autoencoding."""
    tifg: float = 1.0
    """Weight of text-conditioned image feature generation."""
    mass: float = 0.0
    """Weight of masked sequence-to-sequence learning on texts alone."""
    mlm: float = 0.0
    """Weight of masked language modelling on texts alone."""
    together: int = 1
    """captioning: sentences of one picture that are written beside each other, with the picture encoded once for all;
    the batch size counts sentences."""
    combine: Literal["turn", "sum"] = "turn"
    """One objective per step, in turn (the paper), or all of them at every step."""
    fragment: float = 0.5
    """Share of a sentence's words in the hole of imlm and mass."""
    span_share: float = 0.3
    """Share of a sentence's words that ida cuts out."""
    span_mean: float = 3.0
    """Mean length of ida's spans, before they are at least 1."""
    span_mask: Literal["single", "multi"] = "single"
    """ida: one mask for a whole span, or one for each of its words (table 6)."""
    word_rate: float = 0.15
    """Share of words that mlm masks."""
    label_smoothing: float = 0.0
    """Share of every word target that is spread over the vocabulary."""
    kinds: tuple[str, ...] = ("caption",)
    """Kinds of sentences that are read and written."""
    visual_input: VisualInput = "features"
    """Read pictures as codes, or as the exact features that the store then needs."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(lr=1e-4, betas=(0.9, 0.98), clip=5.0))
    """The optimiser."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if any(weight < 0 for weight in self.weights.values()) or not any(self.weights.values()):
            raise XlxmertError(f"weights of objectives must be 0 or more, not all 0 (found {self.weights})")
        for name in ("fragment", "span_share", "word_rate"):
            if not 0 < getattr(self, name) <= 1:
                raise XlxmertError(f"{name} must be in (0, 1] (found {getattr(self, name)} in the generative config)")
        if self.together < 1:
            raise XlxmertError(f"together must be at least 1 (found {self.together} in the generative config)")
        if self.span_mean <= 0 or not 0 <= self.label_smoothing < 1:
            raise XlxmertError(
                "span_mean must be above 0 and label_smoothing in [0, 1) "
                f"(found {self.span_mean} and {self.label_smoothing} in the generative config)"
            )

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every objective."""
        return {name: float(getattr(self, name)) for name in OBJECTIVES}

    @property
    def chosen(self) -> tuple[Objective, ...]:
        """The objectives that take part."""
        return tuple(name for name in OBJECTIVES if self.weights[name])


class GenerativeTask:
    """Learn to write the captions of a store, and whatever else the config asks for.

    Raises:
        XlxmertError: the store does not fit the model, or lacks sentences of the wanted kinds.
    """

    name = "generative"

    def __init__(self, model: Xgpt, store: Store, config: GenerativeConfig, seed: int = 0) -> None:
        """Put the task together; ``seed`` decides everything that is drawn."""
        check_store(model.config, store, config.visual_input)
        self.model, self.store, self.config, self.seed = model, store, config, seed
        self._sentences = store.pool(*config.kinds)
        if not len(self._sentences):
            raise XlxmertError(
                f"expected sentences of the kinds {', '.join(config.kinds)} in {store.folder}, found none: "
                "prepare captions, or change kinds"
            )
        turn = GenerativeTurn(model, config.weights, config.label_smoothing)
        self._player = Player("model", turn, config.optim, trains=model, ema=True)

    def players(self) -> Sequence[Player]:
        """The model alone."""
        return [self._player]

    def modules(self) -> Mapping[str, nn.Module]:
        """The model."""
        return {"model": self.model}

    def objectives(self, step: int) -> tuple[Objective, ...]:
        """Those of a step: each comes once in as many steps as there are, in an order drawn anew every round."""
        chosen = self.config.chosen
        if self.config.combine == "sum":
            return chosen
        order = numpy_generator(self.seed, "turn", step // len(chosen)).permutation(len(chosen))
        return (chosen[int(order[step % len(chosen)])],)

    def batch(self, step: int, size: int, part: Part = WHOLE) -> tuple[Lesson, ...]:
        """One lesson for each objective of the step."""
        return tuple(self._lesson(objective, step, size).cut(part) for objective in self.objectives(step))

    def _lesson(self, objective: Objective, step: int, size: int) -> Lesson:
        rng = numpy_generator(self.seed, objective, step)
        if objective == "captioning" and self.config.together > 1:
            return self._together(size, rng)
        sentences = self._sentences.draw(rng, size)
        words = self.store.padded(sentences)
        if objective in TEXT_ONLY:
            return self._text_lesson(objective, words, rng, step)
        pictures = self.store.arrays["picture"][sentences].astype(np.int64)
        return self._picture_lesson(objective, words, view(self.store, pictures, self.config.visual_input), rng)

    def _together(self, size: int, rng: np.random.Generator) -> Lesson:
        """Captioning of fewer pictures, several of the sentences of each."""
        count = self.config.together
        owners = self._owners
        drawn = rng.choice(len(owners.pictures), max(1, size // count))
        draws = np.argsort(rng.random((len(drawn), int(owners.counts.max()))), 1)  # an order for each picture
        places = np.stack([_some(row[row < own], count) for row, own in zip(draws, owners.counts[drawn], strict=True)])
        sentences = owners.sentences[(owners.starts[drawn][:, None] + places).reshape(-1)]
        given, targets = shifted(self.store.padded(sentences), self.store.tokenizer.end)
        seen = view(self.store, owners.pictures[drawn], self.config.visual_input)
        return Lesson("captioning", seen, given=given, targets=targets)

    @cached_property
    def _owners(self) -> "_Owners":
        """The sentences by picture."""
        sentences = self.store.of_kind(*self.config.kinds)
        of = self.store.arrays["picture"][sentences].astype(np.int64)
        pictures, starts, counts = np.unique(np.sort(of), return_index=True, return_counts=True)
        return _Owners(pictures, sentences[np.argsort(of, kind="stable")], starts, counts)

    def _picture_lesson(
        self, objective: Objective, words: Int[Tensor, "B T"], seen: View, rng: np.random.Generator
    ) -> Lesson:
        """What is asked about pictures and their captions."""
        config, mask = self.config, self.store.tokenizer.mask
        given, targets = shifted(words, self.store.tokenizer.end)
        match objective:
            case "captioning":
                return Lesson(objective, seen, given=given, targets=targets)
            case "ida":
                holed = infill(words, config.span_share, config.span_mean, mask, config.span_mask == "single", rng)
                return Lesson(objective, seen, holed, given, targets)
            case "tifg":
                return Lesson(objective, seen, words)
            case _:
                return self._fragment(objective, seen, words, rng)

    def _text_lesson(
        self, objective: Objective, words: Int[Tensor, "B T"], rng: np.random.Generator, step: int
    ) -> Lesson:
        """What is asked about sentences alone."""
        if objective == "mass":
            return self._fragment(objective, None, words, rng)
        tokenizer = self.store.tokenizer
        specials = (tokenizer.pad, tokenizer.unknown, tokenizer.start, tokenizer.end, tokenizer.mask)
        generator = torch_generator(self.seed, "mask", step)
        corrupted, labels = mask_words(
            words, specials, tokenizer.mask, tokenizer.size, self.config.word_rate, generator
        )
        return Lesson(objective, None, corrupted, targets=labels)

    def _fragment(
        self, objective: Objective, seen: View | None, words: Int[Tensor, "B T"], rng: np.random.Generator
    ) -> Lesson:
        """A hole, and what the decoder reads and tells of it."""
        tokenizer = self.store.tokenizer
        first = max(tokenizer.pad, tokenizer.unknown, tokenizer.start, tokenizer.end, tokenizer.mask) + 1
        cut = hide_fragment(words, self.config.fragment, tokenizer.mask, (first, tokenizer.size), rng)
        return Lesson(objective, seen, cut.words, cut.given, cut.targets, cut.places)

    def preview(self, folder: Path, step: int, averages: Mapping[str, nn.Module]) -> None:
        """Nothing to look at."""


@dataclass(frozen=True)
class _Owners:
    """Sentences in the order of their pictures: those of picture i are ``counts[i]`` from ``starts[i]`` on."""

    pictures: np.ndarray
    sentences: np.ndarray
    starts: np.ndarray
    counts: np.ndarray


def _some(places: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` of some places, over and over where there are fewer."""
    return np.resize(places, count)


def shifted(words: Int[Tensor, "B T"], end: int) -> tuple[Int[Tensor, "B L"], Int[Tensor, "B L"]]:
    """What a decoder reads of framed sentences, and the words that it is asked for: -1 where there is none."""
    given, targets = words[:, :-1], words[:, 1:]
    return given.masked_fill(given == end, 0), torch.where(targets > 0, targets, -1)
