"""How long to train on a folder of pictures: lengths from its size, and minutes from what this machine just did."""

import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from xlxmert.core.axes import UInt8
from xlxmert.core.errors import UsageError
from xlxmert.core.images import square
from xlxmert.data.answers import AnswerTable
from xlxmert.data.store import Sentence, write_store
from xlxmert.data.tokenizer import Tokenizer
from xlxmert.models.config import ModelConfig
from xlxmert.models.generator import GeneratorConfig
from xlxmert.recipes.codebook import STATISTICS, CodebookRecipe
from xlxmert.recipes.encoding import encoded
from xlxmert.recipes.train_store import (
    PRETRAIN_BATCH,
    RENDER_BATCH,
    Prepared,
    pretrain,
    pretrain_loop,
    render,
    render_loop,
)
from xlxmert.tasks.pretrain import PretrainConfig
from xlxmert.tasks.render import RenderConfig
from xlxmert.train import TrainConfig
from xlxmert.vision.backbone import load_backbone
from xlxmert.vision.codebook import Codebook
from xlxmert.vision.vocabulary import FeatureExtractor, VisualVocabulary

REFERENCE = 800
"""Pictures for which the lengths below are."""
PRETRAIN, RENDER = 2500, 900
"""Steps for as many or fewer: enough for two cores and half an hour."""
PRETRAIN_POWER, RENDER_POWER = 0.6, 0.4
"""How the lengths grow with more pictures: at 20,000 they are about those of the bundled checkpoint."""
CELLS_PER_CODE = 12
"""How many cells a code stands for, about. Things that stand anywhere need many codes: of 33 things in pictures that
were kept out, a classifier names three when 1,024 codes are replaced by their mean patches, nine with 4,096."""
LEAST_CODES, MOST_CODES = 64, 8192
LOOKS = 24
"""Pictures on which the speed is measured."""
TRIED = (12, 4)
"""Steps of pre-training, and of the generator, that are timed; the first third of them warms up."""
SCORE_SECONDS = 1.0
"""What a held-out picture costs in the end, about: it is captioned, matched with all captions, some are painted."""


@dataclass(frozen=True)
class Plan:
    """The sizes of a training."""

    codes: int
    """K, the size of the visual vocabulary."""
    pretrain_steps: int
    """Steps of the transformer."""
    render_steps: int
    """Steps of the image generator."""
    held_out: int
    """Pictures that are kept out, to be measured on."""


def plan_of(pictures: int, cells: int) -> Plan:
    """What a folder of this many pictures of ``cells`` cells asks for."""
    codes = 2 ** round(math.log2(max(1, pictures * cells / CELLS_PER_CODE)))
    growth = max(1.0, pictures / REFERENCE)
    return Plan(
        codes=min(MOST_CODES, max(LEAST_CODES, codes)),
        pretrain_steps=round(PRETRAIN * growth**PRETRAIN_POWER),
        render_steps=round(RENDER * growth**RENDER_POWER),
        held_out=min(200, pictures // 20),
    )


@dataclass(frozen=True)
class Pace:
    """Seconds that this machine needs."""

    picture: float
    """To look at a picture."""
    pretrain: float
    """For a step of the transformer."""
    render: float
    """For a step of the image generator."""

    def seconds(self, plan: Plan, pictures: int) -> dict[str, float]:
        """The stages of a plan and what they will take."""
        fitted = min(pictures, CodebookRecipe.pictures)
        return {
            "vocabulary": self.picture * (fitted + min(fitted, STATISTICS)),
            "store": self.picture * pictures,
            "transformer": self.pretrain * plan.pretrain_steps,
            "generator": self.render * plan.render_steps,
            "scores": SCORE_SECONDS * plan.held_out,
        }

    def fitted(self, plan: Plan, pictures: int, minutes: float) -> Plan:
        """The plan with as many steps as fit into some minutes, in the same proportion.

        Raises:
            UsageError: looking at the pictures alone takes longer.
        """
        needed = self.seconds(plan, pictures)
        training = needed["transformer"] + needed["generator"]
        share = (60 * minutes - sum(needed.values()) + training) / training
        steps = [round(share * plan.pretrain_steps), round(share * plan.render_steps)]
        if min(steps) < 1:
            raise UsageError(
                f"expected at least {(sum(needed.values()) - training) / 60 + 1:.0f} minutes for {pictures} pictures, "
                f"found --minutes {minutes:g}: pass more, or fewer pictures"
            )
        return dataclasses.replace(plan, pretrain_steps=steps[0], render_steps=steps[1])


@dataclass(frozen=True)
class Rehearsal:
    """What is rehearsed."""

    codebook: CodebookRecipe
    """What features are made of, and how many codes there will be."""
    model: ModelConfig
    """The transformer."""
    objectives: PretrainConfig
    """Its losses."""
    generator: GeneratorConfig
    """The image generator."""
    losses: RenderConfig
    """Its losses."""


def rehearse(
    pictures: Sequence[UInt8[np.ndarray, "S S 3"]], captions: Sequence[str], tokenizer: Tokenizer, what: Rehearsal
) -> Pace:
    """Measure the pace: the whole road with a few pictures and steps, in a folder that is thrown away.

    Args:
        pictures: some.
        captions: one of each, which the model can read.
        tokenizer: their words.
        what: is tried.
    """
    spec = dataclasses.replace(what.codebook.features, embedded=0)  # the learned vector costs next to nothing
    extractor = FeatureExtractor.fit(load_backbone(deepest=max(spec.deepest, 2)), spec, pictures)
    vocabulary = _random_vocabulary(extractor, pictures, what.codebook.codes)
    begun = time.perf_counter()
    visual = encoded(vocabulary, pictures, keep_features=False)
    looked = (time.perf_counter() - begun) / len(pictures)
    with tempfile.TemporaryDirectory() as folder:
        root, names = Path(folder), [str(place) for place in range(len(pictures))]
        sentences = [Sentence(text, place) for place, text in enumerate(captions)]
        fingerprint = vocabulary.codebook.fingerprint
        codes = what.codebook.codes
        store = write_store(root / "store", visual, names, sentences, tokenizer, AnswerTable(()), fingerprint, codes)
        prepared = Prepared(store, vocabulary)
        first = _trial(pretrain_loop(root / "pretrain", TRIED[0], PRETRAIN_BATCH, quiet=True))
        pretrain(prepared, what.model, what.objectives, first)
        size, second = what.generator.size, _trial(render_loop(root / "render", TRIED[1], RENDER_BATCH, quiet=True))
        render(
            prepared, lambda index: square(Image.fromarray(pictures[index]), size), what.generator, what.losses, second
        )
        return Pace(looked, _seconds_per_step(first.out), _seconds_per_step(second.out))


def _random_vocabulary(
    extractor: FeatureExtractor, pictures: Sequence[UInt8[np.ndarray, "S S 3"]], codes: int
) -> VisualVocabulary:
    """As many codes as there will be, standing for cells of some pictures, over and over."""
    rows = extractor.features(torch.from_numpy(np.stack(pictures))).flatten(0, 1)
    centroids = rows[torch.arange(codes) % len(rows)]
    return VisualVocabulary(extractor.backbone, extractor.spec, extractor.statistics, Codebook(centroids))


def _trial(loop: TrainConfig) -> TrainConfig:
    """A run whose every step is timed, and nothing else is kept of it."""
    return dataclasses.replace(loop, log_every=1, tensorboard=False, preview_every=0)


def _seconds_per_step(run: Path) -> float:
    """The mean time of a step, after the first third of them."""
    lines: list[Mapping[str, float]] = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
    first, last = lines[len(lines) // 3], lines[-1]
    return (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])
