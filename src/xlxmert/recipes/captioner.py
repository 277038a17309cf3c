"""XGPT on any prepared store: stages of pre-training, then captioning, each going on where it was stopped.

    xlxmert prepare  --images PICTURES --captions captions.json --features --codebook vocabulary.safetensors --out STORE
    xlxmert pretrain --preset xgpt-world --stage in-domain --store STORE --codebook vocabulary.safetensors \\
        --loop.out RUN
    xlxmert finetune caption --model RUN/checkpoint --store STORE --loop.out CAPTIONER

The stages are the paper's (section 5.1): texts alone, many pictures with noisy captions, the pictures at hand, and
captioning alone; between them the best checkpoints are averaged (section 5.3).
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from xlxmert.core.task import OptimConfig
from xlxmert.models.xgpt import Xgpt, XgptConfig
from xlxmert.recipes.train_store import Prepared
from xlxmert.tasks.generative import GenerativeConfig, GenerativeTask
from xlxmert.train import TrainConfig, train

Stage = Literal["text", "out-of-domain", "in-domain", "captioning"]
WEIGHTS: dict[Stage, dict[str, float]] = {
    "text": {"captioning": 0.0, "imlm": 0.0, "ida": 0.0, "tifg": 0.0, "mass": 1.0, "mlm": 1.0},
    "out-of-domain": {"captioning": 1.0, "imlm": 1.0, "ida": 1.0, "tifg": 1.0, "mass": 0.0, "mlm": 0.0},
    "in-domain": {"captioning": 1.0, "imlm": 0.3, "ida": 0.3, "tifg": 0.3, "mass": 0.0, "mlm": 0.0},
    "captioning": {"captioning": 1.0, "imlm": 0.0, "ida": 0.0, "tifg": 0.0, "mass": 0.0, "mlm": 0.0},
}
"""The weights of the objectives at every stage (XGPT sections 5.1, 5.3 and 5.4)."""
OPTIM = OptimConfig(lr=1e-3, muon_lr=0.02, betas=(0.9, 0.98), weight_decay=0.01)
"""What a short training bears: 270 steps of 256 captions of the built-in world's small part state 97.8 % true facts."""
OBJECTIVES = GenerativeConfig(together=4, optim=OPTIM)
"""The paper's objectives, with four captions of a picture at a time: a picture is 64 regions and a caption a dozen
words, so that they cost one and a half times the work of one."""
STEPS, BATCH = 5000, 256
"""The length of the bundled captioner's training, and its captions per step."""


def of_stage(stage: Stage, config: GenerativeConfig = OBJECTIVES) -> GenerativeConfig:
    """The objectives with a stage's weights."""
    return dataclasses.replace(config, **WEIGHTS[stage])  # type: ignore[arg-type]


def captioner_loop(
    out: Path, steps: int = STEPS, batch_size: int = BATCH, seed: int = 0, quiet: bool = False
) -> TrainConfig:
    """Length, schedule and moving average of a run into ``out``; a cosine, which short runs end better with than with
    the paper's inverse square root (``decay='inverse_sqrt'``)."""
    return TrainConfig(
        out=out, steps=steps, batch_size=batch_size, warmup=0.04, decay="cosine", final_share=0.02, ema=0.998,
        seed=seed, log_every=25, quiet=quiet,
    )  # fmt: skip


def fresh(prepared: Prepared, shape: XgptConfig, seed: int) -> Xgpt:
    """A model of this shape and the data's sizes."""
    codes = len(prepared.vocabulary.codebook) if shape.codes else 0
    config = dataclasses.replace(
        shape,
        vocabulary=prepared.store.tokenizer.size,
        codes=codes,
        feature_width=prepared.vocabulary.width,
        grid=prepared.vocabulary.spec.grid,
    )
    torch.manual_seed(seed)
    model = Xgpt(config)
    if codes:
        model.load_centroids(prepared.vocabulary.codebook.centroids)
    return model


def train_captioner(prepared: Prepared, start: XgptConfig | Xgpt, config: GenerativeConfig, loop: TrainConfig) -> Xgpt:
    """One stage, going on from its last checkpoint; returns the moving average of the weights.

    Args:
        prepared: the store and its visual vocabulary.
        start: the shape of a fresh model, or the model that an earlier stage left, which stays as it is.
        config: the objectives.
        loop: length, schedule and folder of the run.

    Raises:
        XlxmertError: the store does not fit the model, or lacks captions.
    """
    facts = {"generative": dataclasses.asdict(config), "store": prepared.store.facts["digest"]}
    if isinstance(start, Xgpt):
        model = copied(start)
        facts |= {"start": weights_digest(start)}
    else:
        model = fresh(prepared, start, loop.seed)
    facts |= {"model": model.config.to_dict()}
    task = GenerativeTask(model, prepared.store, config, loop.seed)
    average = train(task, loop, facts=facts).averages.get("model", model)
    assert isinstance(average, Xgpt)
    return average.eval()


def copied(model: Xgpt) -> Xgpt:
    """A model of the same weights."""
    twin = Xgpt(model.config)
    twin.load_state_dict(model.state_dict())
    return twin


def weights_digest(module: nn.Module) -> str:
    """A short hash of a module's weights, by which a resumed run knows that it starts from the same ones."""
    digest = hashlib.blake2b(digest_size=8)
    for weight in module.state_dict().values():
        digest.update(weight.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
