"""``xlxmert pretrain``: trains the transformer on a store."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from xlxmert.cli.choices import ShapeName
from xlxmert.cli.progress import print_facts
from xlxmert.convert.captioner import Captioner
from xlxmert.core.errors import UsageError
from xlxmert.core.processes import is_main, processes
from xlxmert.data.store import Store
from xlxmert.models.families import PRESETS
from xlxmert.models.xgpt import PRESETS as XGPT
from xlxmert.models.xgpt import Xgpt, XgptConfig
from xlxmert.recipes.captioner import (
    BATCH,
    STEPS,
    Stage,
    as_captioner,
    check_fit,
    cider_on,
    copied,
    of_stage,
    train_captioner,
)
from xlxmert.recipes.captioner import OBJECTIVES as CAPTIONER
from xlxmert.recipes.cost import Data, check_machine, pretrain_cost
from xlxmert.recipes.finetune import check_words
from xlxmert.recipes.train_store import (
    GUIDANCE,
    OBJECTIVES,
    PRETRAIN_BATCH,
    PRETRAIN_STEPS,
    Prepared,
    pretrain,
    pretrain_loop,
)
from xlxmert.tasks.generative import GenerativeConfig
from xlxmert.tasks.pretrain import PretrainConfig
from xlxmert.train import TrainConfig
from xlxmert.train.average import BEST, average_best

PresetName = Literal[ShapeName, "xgpt", "xgpt-tiny", "xgpt-world"]


@dataclass(frozen=True)
class Options:
    """Train the transformer on a prepared store; stop it and call it again to go on."""

    store: Path
    """The folder that `xlxmert prepare` wrote."""
    codebook: Path | None = None
    """The visual vocabulary that the store's codes were made with, or X-LXMERT's published centroids (.npy). A store of
    published features or codes needs none."""
    loop: TrainConfig = field(default_factory=lambda: pretrain_loop(Path("runs/pretrain")))
    """Length, schedule, precision and folder of the run. Where the default length stands, XGPT takes 5,000 steps of 256
    captions, which are as many sentences."""
    preset: PresetName = "world"
    """Family and shape of the model; words, codes, features, labels and answers are the store's."""
    bert: Path | None = None
    """Start words and language layers from this folder of BERT's weights, as some rows of the papers do; the store's
    words must be BERT's (`xlxmert prepare --tokenizer vocab.txt`)."""
    objectives: PretrainConfig = field(default_factory=lambda: OBJECTIVES)
    """What is masked, how often, and on which sentences; the defaults are those that docs/results.md measured."""
    stage: Stage | None = None
    """XGPT: take a stage's weights of the objectives instead of those in --generative: texts alone (text), many noisy
    captions (out-of-domain), the pictures at hand (in-domain), or captioning."""
    start: str | None = None
    """XGPT: go on from the captioner in this folder, an earlier stage's, instead of from random weights."""
    generative: GenerativeConfig = field(default_factory=lambda: CAPTIONER)
    """XGPT: which objectives, with which weights, and how captions are corrupted."""
    validation: Path | None = None
    """XGPT: a store of other pictures. The mean of the run's best four checkpoints, by CIDEr-D of their greedy captions
    there, is kept instead of the moving average; --loop.keep says how many there are to choose from."""
    dry_run: bool = False
    """Train nothing: say how many numbers, operations, bytes and hours the run needs (docs/scaling.md)."""
    tflops: float | None = None
    """With --dry-run: TFLOP/s that all processes together reach; by default hours are those of one H200."""


def run(options: Options) -> int:
    """Train, and leave a checkpoint (without a generator yet) in the run's folder."""
    check_machine(options.tflops)
    prepared = Prepared.open(options.store, options.codebook)
    if options.dry_run:
        return _dry_run(prepared, options)
    folder = options.loop.out / "checkpoint"
    if options.preset in XGPT:
        steps = _captioner(prepared, options)
    else:
        model = pretrain(prepared, PRESETS[options.preset], options.objectives, options.loop, options.bert)
        guidance = GUIDANCE if options.objectives.caption_dropout else 0.0
        if is_main():
            prepared.bundle(model, None, {"guidance": guidance}).save_pretrained(folder)
        steps = options.loop.steps
    if is_main():
        print_facts({"steps": steps, "checkpoint": folder})
    return 0


def _dry_run(prepared: Prepared, options: Options) -> int:
    """Say what the run would cost."""
    if options.preset in XGPT:
        raise UsageError(f"expected a transformer of {', '.join(PRESETS)} for --dry-run, found {options.preset}")
    store = prepared.store
    shape = prepared.model(PRESETS[options.preset], options.loop.seed).config
    shares = len(store.of_kind("question")) / max(len(store), 1)
    data = Data(store.longest + 2, store.tokens, shares)
    if is_main():
        cost = pretrain_cost(shape, options.objectives, options.loop, data, processes())
        print_facts({"pictures": store.size, "sentences": len(store), **cost.facts(options.tflops)})
    return 0


def _captioner(prepared: Prepared, options: Options) -> int:
    """A stage of XGPT. Returns the number of steps."""
    loop = options.loop
    if (loop.steps, loop.batch_size) == (PRETRAIN_STEPS, PRETRAIN_BATCH):  # nothing was asked for
        loop = dataclasses.replace(loop, steps=STEPS, batch_size=BATCH)
    config = options.generative if options.stage is None else of_stage(options.stage, options.generative)
    start: XgptConfig | Xgpt = XGPT[options.preset]
    if options.start is not None:
        earlier = Captioner.from_pretrained(options.start)
        check_fit(earlier, prepared.store)
        start = earlier.model
    judge = None if options.validation is None else _judge(prepared, options.validation, config, loop)
    model = train_captioner(prepared, start, config, loop)
    if not is_main():
        return loop.steps
    if judge is not None:
        model = average_best(loop.out, copied(model), judge)
    facts = {"stage": options.stage or "own", "steps": loop.steps, "batch": loop.batch_size}
    as_captioner(model, prepared, config, facts).save_pretrained(loop.out / "checkpoint")
    return loop.steps


def _judge(
    prepared: Prepared, validation: Path, config: GenerativeConfig, loop: TrainConfig
) -> Callable[[Xgpt], float]:
    """By what checkpoints are chosen; whatever can be wrong with it is said before the training.

    Raises:
        UsageError: fewer checkpoints are kept than are averaged.
        XlxmertError: the store for it has other words or looks at pictures in another way.
    """
    if loop.keep < BEST:
        raise UsageError(
            f"expected --loop.keep of at least {BEST} beside --validation, found {loop.keep}: the best {BEST} of the "
            "checkpoints that are kept are averaged, so keep 8, for example, and save them with --loop.save-every"
        )
    store = Store.open(validation, prepared.store.fingerprint)
    check_words(store, prepared.store.tokenizer, "captioner", "the captioner's folder, or its store's")
    return cider_on(store, config.visual_input)
