"""XGPT on any prepared store: stages of pre-training, then captioning, each going on where it was stopped.

    xlxmert prepare  --images PICTURES --captions captions.json --features --codebook vocabulary.safetensors --out STORE
    xlxmert pretrain --preset xgpt-world --stage in-domain --store STORE --codebook vocabulary.safetensors \\
        --loop.out RUN
    xlxmert finetune caption --model RUN/checkpoint --store STORE --loop.out CAPTIONER

The stages are the paper's (section 5.1): texts alone, many pictures with noisy captions, the pictures at hand, and
captioning alone; between them the best checkpoints are averaged (section 5.3).
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from xlxmert.convert.captioner import Captioner
from xlxmert.convert.looking import LOOKS
from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import OptimConfig
from xlxmert.data.store import Store
from xlxmert.models.xgpt import Xgpt, XgptConfig
from xlxmert.recipes.finetune import check_words, weights_digest
from xlxmert.recipes.opened import looks
from xlxmert.recipes.train_store import Prepared
from xlxmert.sampling import Greedy
from xlxmert.studio import Describer
from xlxmert.studio.sentences import word_ids
from xlxmert.tasks.generative import GenerativeConfig, GenerativeTask
from xlxmert.tasks.reading import VisualInput, view
from xlxmert.tasks.self_critical import References, SelfCriticalConfig, SelfCriticalTask
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


def fresh(prepared: Prepared, shape: XgptConfig, seed: int, visual_input: VisualInput = "features") -> Xgpt:
    """A model of this shape, sized by the data: a codebook if it reads codes, no learned places for boxes."""
    wants = shape.codes or visual_input == "codes"
    codes = len(prepared.coded("a captioner that reads them")) if wants else 0
    config = dataclasses.replace(
        shape,
        vocabulary=prepared.store.tokenizer.size,
        codes=codes,
        feature_width=prepared.width,
        grid=prepared.grid(shape.grid),
        grid_position="box" if "boxes" in prepared.store.pictures else shape.grid_position,
    )
    torch.manual_seed(seed)
    model = Xgpt(config)
    if codes and prepared.codebook is not None:
        model.load_centroids(prepared.codebook.centroids)
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
    facts: dict[str, Any] = {"generative": dataclasses.asdict(config), "store": prepared.store.facts["digest"]}
    if isinstance(start, Xgpt):
        model = copied(start)
        facts |= {"start": weights_digest(start)}
    else:
        model = fresh(prepared, start, loop.seed, config.visual_input)
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


def as_captioner(model: Xgpt, prepared: Prepared, config: GenerativeConfig, facts: Mapping[str, Any]) -> Captioner:
    """A trained model with its words and how it looks at pictures."""
    longest = prepared.store.longest
    known = {"visual_input": config.visual_input, "most_words": longest, **facts}
    known |= {LOOKS: looks(prepared.store)} if prepared.vocabulary is None else {}
    return Captioner(model, prepared.store.tokenizer, prepared.vocabulary, facts=known)


def cider_on(store: Store, visual_input: VisualInput, most: int = 200) -> Callable[[Xgpt], float]:
    """The CIDEr-D, times 100, of a captioner's greedy captions of a store's first pictures: by which checkpoints are
    chosen (XGPT section 5.3)."""
    references = References(store)
    pictures = references.pictures[:most]
    seen = view(store, pictures, visual_input)
    facts = {"most_words": store.longest}

    def score(model: Xgpt) -> float:
        describer = Describer(Captioner(model, store.tokenizer, facts=facts), "cpu")
        found = describer.write(seen.picture, decoding=Greedy(), boxes=seen.boxes)
        rewards = references.rewards(pictures.tolist(), [captions[0].text for captions in found])
        return 100 * float(rewards.mean())

    return score


def finetune_captioner(
    captioner: Captioner, store: Store, config: GenerativeConfig | SelfCriticalConfig, loop: TrainConfig
) -> Captioner:
    """Teach a captioner a store's captions, by cross-entropy or by CIDEr-D, going on from the run's last checkpoint.

    Args:
        captioner: what to start from; it stays as it is.
        store: prepared with the captioner's words and visual vocabulary.
        config: the objectives, captioning alone in the paper, or self-critical training.
        loop: length, schedule and folder of the run.

    Raises:
        XlxmertError: the store was prepared with another tokenizer or visual vocabulary, or lacks what is needed.
    """
    check_fit(captioner, store)
    model = copied(captioner.model)
    facts: dict[str, Any] = {
        "config": dataclasses.asdict(config),
        "store": store.facts["digest"],
        "start": weights_digest(captioner.model),
        "model": model.config.to_dict(),
    }
    task: GenerativeTask | SelfCriticalTask
    if isinstance(config, SelfCriticalConfig):
        task = SelfCriticalTask(model, store, config, word_ids(store.tokenizer), loop.seed)
    else:
        task = GenerativeTask(model, store, config, loop.seed)
    average = train(task, loop, facts=facts).averages.get("model", model)
    assert isinstance(average, Xgpt)
    return _finished(captioner, store, average.eval(), config, loop)


def check_fit(captioner: Captioner, store: Store) -> None:
    """Make sure that a store speaks of words and pictures as a captioner does.

    Raises:
        XlxmertError: it was prepared with another tokenizer or visual vocabulary.
    """
    check_words(store, captioner.tokenizer, "captioner", "the captioner's folder, or its store's")
    vocabulary = captioner.vocabulary
    if vocabulary is not None and store.fingerprint != vocabulary.codebook.fingerprint:
        raise XlxmertError(
            f"expected a store that looks at pictures as the captioner does (codebook "
            f"{vocabulary.codebook.fingerprint}), found codebook {store.fingerprint} in {store.folder}: prepare it "
            "with --codebook and the captioner's codebook.safetensors"
        )


def _finished(
    captioner: Captioner, store: Store, model: Xgpt, config: GenerativeConfig | SelfCriticalConfig, loop: TrainConfig
) -> Captioner:
    """The captioner with its new weights."""
    longest = store.longest
    by = "CIDEr-D" if isinstance(config, SelfCriticalConfig) else "cross-entropy"
    told = {"by": by, "captions": len(store.of_kind("caption")), "steps": loop.steps, "batch": loop.batch_size}
    facts = {
        **captioner.facts,
        "visual_input": config.visual_input,
        "most_words": max(longest, captioner.most_words),
        "finetuned": [*captioner.facts.get("finetuned", []), told],
    }
    card = (
        f"{captioner.card}\n## Fine-tuned\n\nOn {told['captions']:,} captions by {by}: {loop.steps:,} steps of "
        f"{loop.batch_size}. Scores above are of the captioner before.\n"
    )
    return Captioner(model, captioner.tokenizer, captioner.vocabulary, card.lstrip("\n"), facts)
