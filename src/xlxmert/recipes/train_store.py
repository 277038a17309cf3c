"""Training on any prepared store: the transformer, then the image generator, into one checkpoint folder.

    xlxmert pretrain --store STORE --codebook vocabulary.safetensors --loop.out RUN
    xlxmert render   --store STORE --codebook vocabulary.safetensors --images PICTURES --loop.out RENDER \\
        --checkpoint RUN/checkpoint

Both go on where they were stopped. The first leaves a checkpoint in ``RUN/checkpoint``, the second puts its generator
into it.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from xlxmert.convert.bert import start_from_bert
from xlxmert.convert.folder import Bundle
from xlxmert.convert.looking import LOOKS, told_looks
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import load_picture
from xlxmert.core.task import OptimConfig
from xlxmert.data.pictures import PictureFolder
from xlxmert.data.store import Store
from xlxmert.models.base import Transformer
from xlxmert.models.config import ModelConfig
from xlxmert.models.families import build
from xlxmert.models.generator import Discriminator, Generator, GeneratorConfig
from xlxmert.models.generator.presets import opponent_of
from xlxmert.recipes.opened import card, looked_size, looks, open_codebook, own_centroids
from xlxmert.tasks.pretrain import PretrainConfig, PretrainTask
from xlxmert.tasks.render import RenderConfig, RenderTask, mean_patches
from xlxmert.train import TrainConfig, train
from xlxmert.vision.backbone import load_backbone
from xlxmert.vision.codebook import Codebook
from xlxmert.vision.vocabulary import VisualVocabulary

MOST_PATCHES = 10_000
"""Pictures from which a generator's looks are started."""
PRETRAIN_STEPS, RENDER_STEPS = 20_000, 2500
"""Lengths of the runs that docs/results.md measured."""
PRETRAIN_BATCH, RENDER_BATCH = 64, 16
"""Sentences, and pictures, per step of them."""
GUIDANCE = 0.5
"""How much stronger than learned the words speak when a checkpoint that knows pictures of no caption paints."""
OBJECTIVES = PretrainConfig(
    modalities=(0.4, 0.25, 0.35),
    visual_mask="blocks",
    rare_first=0.5,
    word_mask="uniform",
    match_kinds=("caption",),
    word_kinds=("caption",),
    code_balance=0.5,
    most_cells=768,
    caption_dropout=0.1,
    questions=0.6,
    optim=OptimConfig(lr=5e-4, muon_lr=0.01, betas=(0.9, 0.98), weight_decay=0.01),
)
"""X-LXMERT's objectives, with what two cores need to learn them in hours (measured in docs/results.md): blocks of cells
or the rarest codes are hidden, the many codes of things outweigh the few of plain areas, and Muon trains the inner
matrices. Words are masked uniformly, so that captions can be written from nothing, and in captions only, so that no
questions are written. Questions keep their pictures: asked for matching too, it stayed at chance for 2,600 steps."""
WARM_START = RenderConfig(
    l1=10.0, perceptual=0.05, adversarial_from=-1, generator_optim=OptimConfig(lr=2e-3, betas=(0.9, 0.99))
)
"""Pixels and features only: how a generator starts, and all that little time is enough for. The backbone's maps have
standard deviations of about ten, so that the small weight makes the two losses of one size."""


@dataclass(frozen=True)
class Prepared:
    """A store and what its codes or features were made with."""

    store: Store
    vocabulary: VisualVocabulary | None = None
    """How its pictures were looked at; None where others did and published codes or features."""
    centroids: Codebook | None = None
    """Of codes that others made."""

    @classmethod
    def open(cls, store: Path, codebook: Path | None = None) -> "Prepared":
        """Open both.

        Args:
            store: what `xlxmert prepare` or the recipe `mixture` wrote.
            codebook: see `open_codebook`; None where the store holds its centroids or has no codes.

        Raises:
            XlxmertError: one is unreadable, or they do not belong together.
        """
        if codebook is None:
            opened = Store.open(store)
            return cls(opened, None, own_centroids(opened))
        found = open_codebook(codebook)
        if isinstance(found, Codebook):
            return cls(Store.open(store, found.fingerprint), None, found)
        return cls(Store.open(store, found.codebook.fingerprint), found)

    @property
    def codebook(self) -> Codebook | None:
        """Of the codes; None where there are none."""
        return self.centroids if self.vocabulary is None else self.vocabulary.codebook

    def coded(self, what: str) -> Codebook:
        """The codebook, for what needs one.

        Raises:
            UsageError: the store has features without codes.
        """
        if self.codebook is None:
            raise UsageError(
                f"expected codes in {self.store.folder} for {what}, found {', '.join(self.store.pictures)} alone: "
                "train LXMERT on them, --preset lxmert --objectives.policy all --objectives.targets features labels "
                "attributes --objectives.visual-input features --objectives.visual-mask bernoulli "
                "--objectives.rare-first 0"
            )
        return self.codebook

    @property
    def width(self) -> int:
        """F, the width of a feature."""
        return self.store.feature_width if self.codebook is None else self.codebook.width

    def grid(self, otherwise: int) -> int:
        """Cells per side of the grid; ``otherwise`` where the visual tokens are boxes.

        Raises:
            XlxmertError: the tokens are neither.
        """
        if "boxes" in self.store.pictures:
            return otherwise
        side = math.isqrt(self.store.tokens)
        if side**2 != self.store.tokens:
            raise XlxmertError(
                f"expected the cells of a square grid in {self.store.folder}, found {self.store.tokens} visual tokens "
                "without boxes: prepare it from features with boxes, or of a grid"
            )
        return side

    def model(self, shape: ModelConfig, seed: int) -> Transformer:
        """A fresh model of this shape and the data's sizes, with the heads that the shape has, centroids loaded."""
        config = dataclasses.replace(
            shape,
            vocabulary=self.store.tokenizer.size,
            codes=len(self.coded("a model that predicts them")) if shape.codes else 0,
            labels=self.store.count("labels") if shape.labels else 0,
            attributes=self.store.count("attributes") if shape.attributes else 0,
            feature_width=self.width,
            answers=len(self.store.answers),
            grid=self.grid(shape.grid),
        )
        torch.manual_seed(seed)
        model = build(config)
        if config.codes and self.codebook is not None:
            model.load_centroids(self.codebook.centroids)
        return model

    def bundle(self, model: Transformer, generator: Generator | None, facts: dict[str, object]) -> Bundle:
        """A checkpoint of this data; ``most_words`` and ``caption_words`` are read off the store.

        Where others looked at the pictures, it tells which features or codes it wants.
        """
        lengths = self.store.lengths()
        captions = lengths[self.store.of_kind("caption")]
        low, high = (int(v) for v in np.quantile(captions, [0.005, 0.995])) if len(captions) else (4, 14)
        known = {"most_words": int(lengths.max()), "caption_words": [low, high], **looked_size(self.store), **facts}
        text = ""
        if self.vocabulary is None:
            known |= {LOOKS: looks(self.store)}
            text = card(model.config.family, told_looks(known))
        return Bundle(model, self.store.tokenizer, self.vocabulary, generator, self.store.answers, text, known)


def pretrain(
    prepared: Prepared, shape: ModelConfig, config: PretrainConfig, loop: TrainConfig, bert: Path | None = None
) -> Transformer:
    """Train the transformer, going on from its last checkpoint; returns the moving average of the weights.

    Args:
        prepared: the store and its visual vocabulary.
        shape: family, sizes and heads; the data fill theirs.
        config: the objectives.
        loop: length, schedule and folder of the run.
        bert: a folder of BERT's weights from which words and language layers start.
    """
    model = prepared.model(shape, loop.seed)
    if bert is not None:
        start_from_bert(model, bert)
    task = PretrainTask(model, prepared.store, config, loop.seed)
    facts = {
        "pretrain": dataclasses.asdict(config),
        "model": model.config.to_dict(),
        "store": prepared.store.facts["digest"],
    } | ({} if bert is None else {"bert": True})
    average = train(task, loop, facts=facts).averages.get("model", model)
    assert isinstance(average, Transformer)
    return average.eval()


def render(
    prepared: Prepared,
    pictures: Callable[[int], np.ndarray],
    shape: GeneratorConfig,
    config: RenderConfig,
    loop: TrainConfig,
) -> Generator:
    """Train the image generator, going on from its last checkpoint; returns the moving average of the weights.

    Args:
        prepared: the codes.
        pictures: a picture's index in the store to its pixels, uint8 (S, S, 3).
        shape: the generator; the data fill its feature width, its grid and, where it has looks, its codes.
        config: losses and rates.
        loop: length, schedule and folder of the run.
    """
    torch.manual_seed(loop.seed)
    codebook = prepared.coded("an image generator")
    rows = len(codebook) if shape.codes else 0
    shape = dataclasses.replace(shape, feature_width=codebook.width, grid=prepared.grid(shape.grid), codes=rows)
    codes, backbone = np.array(prepared.store.codes), load_backbone(deepest=8) if config.perceptual else None
    generator = Generator(shape)
    if shape.codes and shape.patches and not (loop.out / "checkpoints").exists():
        patches, counts = mean_patches(pictures, codes[:MOST_PATCHES], shape.codes)
        generator.start_from(patches, counts.sqrt())
    opponent = None
    if config.adversarial_from >= 0:
        opponent = Discriminator(opponent_of(shape, len(codebook)))
    task = RenderTask(generator, opponent, pictures, codes, codebook.centroids, config, backbone, loop.seed)
    facts = {
        "render": dataclasses.asdict(config),
        "generator": shape.to_dict(),
        "store": prepared.store.facts["digest"],
    }
    average = train(task, loop, facts=facts).averages.get("generator", generator)
    assert isinstance(average, Generator)
    return average.eval()


def from_folder(prepared: Prepared, images: Path, size: int) -> Callable[[int], np.ndarray]:
    """The store's pictures, read from their folder when they are asked for.

    Raises:
        XlxmertError: a picture of the store is not in the folder.
    """
    names, folder = list(prepared.store.facts["pictures"]), PictureFolder(images)
    absent = [name for name in names if name not in folder]
    if absent:
        raise XlxmertError(
            f"expected the store's {len(names)} pictures in {images}, {len(absent)} are not there ({absent[0]} …)"
        )
    return lambda index: load_picture(folder.path(names[index]), size)


def pretrain_loop(
    out: Path, steps: int = PRETRAIN_STEPS, batch_size: int = PRETRAIN_BATCH, seed: int = 0, quiet: bool = False
) -> TrainConfig:
    """How `OBJECTIVES` were measured: the length, schedule and moving average of a pre-training run into ``out``."""
    return TrainConfig(
        out=out, steps=steps, batch_size=batch_size, warmup=0.04, decay="cosine", final_share=0.02, ema=0.998,
        seed=seed, log_every=25, quiet=quiet,
    )  # fmt: skip


def render_loop(
    out: Path, steps: int = RENDER_STEPS, batch_size: int = RENDER_BATCH, seed: int = 0, quiet: bool = False
) -> TrainConfig:
    """The same for `WARM_START` and a run of the image generator."""
    return TrainConfig(
        out=out, steps=steps, batch_size=batch_size, warmup=0.03, decay="cosine", final_share=0.05, ema=0.99,
        seed=seed, log_every=25, preview_every=250, quiet=quiet,
    )  # fmt: skip
