"""Time our models beside the baselines that their savings are measured against; `make bench` runs all of it.

    python scripts/bench.py                          everything, in about ten minutes on two quiet cores
    python scripts/bench.py --only train --batch 8   one comparison (repeat --only for more), one batch size
    python scripts/bench.py --out bench.json         all times as JSON, too

forward  LXMERT's encoders at the published size, beside `transformers`' LXMERT with the same weights and inputs
train    the same, forward and backward
codes    a pre-training step with X-LXMERT's code objective (forward, loss, backward): only what the hidden cells need,
         beside the same step with the scores of all cells. "head" is the head with its loss alone; "plain" sets the
         step beside the one of all cells in PyTorch's own products, the way of the reference code; "world" is the model
         that comes with the package (192 wide, 8,192 codes), whose head weighs more
render   8 pictures from X-LXMERT's image generator with noise, beside Fig. 8 of its paper computed as it is drawn
paint    Mask-Predict with 4 steps, from prompts to codes, the generator left out: what stays the same computed once
         (prompts; the wholly hidden grid and the multiplied-out head before the first picture), beside a whole forward
         pass for every step
caption  the bundled captioner with three beams on 100 pictures of the built-in world that were looked at before: keys
         and values of picture and words kept, beside everything computed anew for every word

The two sides of a comparison take turns, so that other work on the machine slows both; a warm-up of each comes first
and is not counted. Rows show medians, their ratio, and the ratio of the shortest times. Models are in eval mode, so
there is no dropout on either side, and gradients are computed all the same. Inputs and weights are random.
"""

import argparse
import dataclasses
import itertools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from plain_generator import PlainGenerator
from torch import Tensor, nn
from transformers import LxmertForPreTraining

from xlxmert.convert.captioner import Captioner
from xlxmert.convert.xlxmert_layout import from_reference
from xlxmert.core.seeds import torch_generator
from xlxmert.data.masking import uniform_mask
from xlxmert.models.base import Transformer
from xlxmert.models.generator import Generator, seeded_noise
from xlxmert.models.generator.presets import PAPER as PAPER_GENERATOR
from xlxmert.models.lxmert import LXMERT, PAPER, WORLD, Lxmert, LxmertConfig
from xlxmert.nn.heads import FoldedHead
from xlxmert.sampling import Beam, MaskPredict, last, paint
from xlxmert.studio import Describer
from xlxmert.studio.networks import PaintingNetwork, blank_picture
from xlxmert.tasks.world_scores import examples, true_pictures

NAMES = ("forward", "train", "codes", "render", "paint", "caption")
OURS = dataclasses.replace(WORLD, vocabulary=671, codes=8192, feature_width=160, answers=146)
"""The shape of the bundled checkpoint's transformer."""
WORDS = 20
"""Tokens of every sentence, [CLS] and [SEP] included (X-LXMERT, section C.1)."""
PICTURES = 8
"""Pictures that the generator is timed on."""
LEAST = 3
"""Rounds that a comparison gets however long it takes."""


@dataclass(frozen=True)
class Setting:
    """What the command line asks for."""

    only: tuple[str, ...]
    batch: tuple[int, ...]
    regions: tuple[int, ...]
    rounds: int
    seconds: float
    bf16: bool


@dataclass(frozen=True)
class Duel:
    """Two ways to the same numbers."""

    name: str
    size: str
    base: Callable[[], object]
    ours: Callable[[], object]
    difference: Callable[[], float | str]
    """How far apart the results are."""
    clean: Sequence[nn.Module] = ()
    """Models whose gradients are dropped before each run."""


def clock(run: Callable[[], object], models: Sequence[nn.Module], bf16: bool) -> float:
    for model in models:
        model.zero_grad(set_to_none=True)
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):  # anew for each run: it keeps cast weights
        run()
    return time.perf_counter() - start


def fight(duel: Duel, setting: Setting) -> dict[str, object]:
    """Rounds of one run each, who begins changing every time."""
    with torch.autocast("cpu", torch.bfloat16, enabled=setting.bf16):
        difference = duel.difference()
    for run in (duel.base, duel.ours):
        clock(run, duel.clean, setting.bf16)
    times: dict[str, list[float]] = {"base": [], "ours": []}
    start = time.perf_counter()
    for number in range(setting.rounds):
        if number >= LEAST and time.perf_counter() - start > setting.seconds:
            break
        sides = [("base", duel.base), ("ours", duel.ours)]
        for side, run in sides if number % 2 else reversed(sides):
            times[side].append(clock(run, duel.clean, setting.bf16))
    middle = {side: statistics.median(values) for side, values in times.items()}
    ratios = middle["base"] / middle["ours"], min(times["base"]) / min(times["ours"])
    print(
        f"{duel.name:<20}{duel.size:<30}{middle['base']:>9.3f}{middle['ours']:>9.3f}{ratios[0]:>8.2f}{ratios[1]:>8.2f}"
        f"{len(times['ours']):>8}   {difference if isinstance(difference, str) else f'{difference:.1e}'}",
        flush=True,
    )
    return {
        "name": duel.name,
        "size": duel.size,
        "median_s": middle,
        "ratio": ratios[0],
        "ratio_of_shortest": ratios[1],
        "difference": difference,
        "times_s": times,
        "load": os.getloadavg()[0],
    }


def sentences(batch: int, words: int = PAPER.vocabulary) -> Tensor:
    return torch.randint(1, words, (batch, WORDS), generator=torch_generator("bench", "words", batch))


def backbones(setting: Setting) -> Iterator[Duel]:
    """Ours and theirs with the same weights, for every batch size and number of regions."""
    torch.manual_seed(0)
    theirs = LxmertForPreTraining(transformers.LxmertConfig()).eval()
    ours = Lxmert(LXMERT).eval()
    ours.load_state_dict(from_reference(theirs.state_dict(), LXMERT))
    for name, regions, batch in itertools.product(("forward", "train"), setting.regions, setting.batch):
        if name in setting.only:
            yield backbone(name, ours, theirs.lxmert, batch, regions)


def backbone(name: str, ours: Lxmert, theirs: nn.Module, batch: int, regions: int) -> Duel:
    generator = torch_generator("bench", batch, regions)
    words = sentences(batch)
    features = torch.randn(batch, regions, LXMERT.feature_width, generator=generator)
    boxes = torch.rand(batch, regions, 4, generator=generator)
    inputs = {"input_ids": words, "visual_feats": features, "visual_pos": boxes, "attention_mask": (words > 0).float()}

    def run_ours() -> tuple[Tensor, ...]:
        out = ours(words, features, boxes)
        return out.language, out.vision, out.pooled

    def run_theirs() -> tuple[Tensor, ...]:
        out = theirs(**inputs)
        return out.language_output, out.vision_output, out.pooled_output

    def difference() -> float:
        with torch.no_grad():
            return max((a - b).abs().max().item() for a, b in zip(run_ours(), run_theirs(), strict=True))

    size = f"batch {batch}, {regions} regions"
    if name == "train":
        return Duel(name, size, taught(run_theirs), taught(run_ours), difference, (ours, theirs))
    return Duel(name, size, torch.no_grad()(run_theirs), torch.no_grad()(run_ours), difference)


def taught(run: Callable[[], tuple[Tensor, ...]]) -> Callable[[], object]:
    """Forward and backward from the mean square of every output."""

    def step() -> None:
        torch.stack([out.float().square().mean() for out in run()]).sum().backward()  # type: ignore[no-untyped-call]

    return step


def x_lxmert(shape: LxmertConfig = PAPER) -> Lxmert:
    torch.manual_seed(0)
    model = Lxmert(shape).eval()
    model.load_centroids(torch.randn(shape.codes, shape.feature_width))
    return model


def pictures(batch: int, most: int) -> tuple[Tensor, Tensor]:
    """Codes below ``most``, and which are hidden: a share drawn for each picture."""
    generator = torch_generator("bench", "codes", batch)
    codes = torch.randint(0, most, (batch, PAPER.cells), generator=generator)
    return codes, uniform_mask(batch, PAPER.cells, generator)


def code_steps(setting: Setting) -> Iterator[Duel]:
    """For every batch size: the whole step, the head and its loss alone, the step in PyTorch's own products."""
    for name, shape in (("codes", PAPER), ("codes, world", OURS)):
        model = x_lxmert(shape)
        for batch in setting.batch:
            yield from code_duels(name, model, batch, plain=not setting.bf16)


def code_duels(name: str, model: Lxmert, batch: int, plain: bool) -> Iterator[Duel]:
    words, (codes, hidden) = sentences(batch, model.config.vocabulary), pictures(batch, model.config.codes)
    size = f"batch {batch}, {int(hidden.sum())} of {hidden.numel()} hidden"
    labels = codes.masked_fill(~hidden, -1).flatten()

    def encoded() -> Tensor:
        return model(words, codes, hidden=hidden).vision

    def of_all(vision: Tensor) -> Tensor:
        return F.cross_entropy(model.code_logits(vision).flatten(0, 1).float(), labels, ignore_index=-1)

    def asked() -> Tensor:
        language, vision = model.encode_words(words), model.encode_picture(codes, hidden=hidden)
        return model.cross_picture(language, vision, words > 0)

    def of_hidden(vision: Tensor) -> Tensor:
        return F.cross_entropy(model.code_logits(vision[hidden]).float(), codes[hidden])

    def difference() -> float:
        with torch.no_grad():
            return (of_all(encoded()) - of_hidden(asked())).abs().item()

    def plainly() -> None:
        torch.backends.mkldnn.enabled = False
        of_all(encoded()).backward()  # type: ignore[no-untyped-call]
        torch.backends.mkldnn.enabled = True

    with torch.no_grad():
        state = encoded()
    state.requires_grad_()
    step = (lambda: of_all(encoded()).backward(), lambda: of_hidden(asked()).backward())
    yield Duel(name, size, *step, difference, (model,))
    head = (lambda: of_all(state).backward(), lambda: of_hidden(state).backward())
    yield Duel(f"{name}, head", size, *head, difference, (model,))
    if plain:  # without oneDNN, bfloat16 takes minutes
        yield Duel(f"{name}, plain", size, plainly, step[1], difference, (model,))


def renderings(setting: Setting) -> Iterator[Duel]:
    """The generator as a checkpoint ships it, beside the same weights in the operations of the paper's figure."""
    torch.manual_seed(0)
    trained = Generator(PAPER_GENERATOR).eval()
    with torch.no_grad():
        for name, strength in trained.named_parameters():
            if "noise" in name:
                strength.fill_(0.1)
    features = torch.randn(
        PICTURES, PAPER_GENERATOR.feature_width, 8, 8, generator=torch_generator("bench", "features")
    )
    figure, ours = PlainGenerator(trained), trained.folded()

    @torch.inference_mode()
    def base() -> Tensor:
        draw = seeded_noise(range(PICTURES))
        return figure(features, lambda x: draw(len(x), x.shape[-1]))

    @torch.inference_mode()
    def own() -> Tensor:
        return ours(features, range(PICTURES))

    yield Duel("render", f"batch {PICTURES}, 256 pixels", base, own, lambda: (base() - own()).abs().max().item())


def paintings(setting: Setting) -> Iterator[Duel]:
    """The studio's network, beside one that computes everything at every step."""
    model = x_lxmert()
    with torch.no_grad():
        blank, head = blank_picture(model, "cpu"), model.folded_code_head()
    for batch in setting.batch:
        if batch <= 8:  # more takes minutes, at the ratio of 8
            yield painting(model, blank, head, batch)


def painting(model: Lxmert, blank: Tensor, head: FoldedHead, batch: int) -> Duel:
    words = sentences(batch)

    @torch.inference_mode()
    def whole() -> Tensor:
        return painted(model, Whole(model, words), batch)

    @torch.inference_mode()
    def cached() -> Tensor:
        return painted(model, PaintingNetwork(model, words, blank, head), batch)

    def difference() -> str:
        return f"{(cached() == whole()).float().mean().item():.1%} of codes equal"

    return Duel("paint", f"batch {batch}, 4 steps", whole, cached, difference)


class Whole:
    """A network without memory, as in the reference code."""

    def __init__(self, model: Transformer, words: Tensor) -> None:
        self.model, self.words = model, words

    def __call__(self, codes: Tensor, hidden: Tensor) -> Tensor:
        return self.model.code_logits(self.model(self.words, codes, hidden=hidden).vision)


def painted(model: Transformer, network: Callable[[Tensor, Tensor], Tensor], batch: int) -> Tensor:
    blank = torch.zeros(batch, model.config.cells, dtype=torch.long)
    return last(paint(network, blank, torch.ones_like(blank, dtype=torch.bool), MaskPredict(4), [0] * batch)).codes


def captions(setting: Setting) -> Iterator[Duel]:
    """Beam search with a cache, beside without."""
    captioner = Captioner.from_pretrained()
    cached, plain = Describer(captioner, "cpu"), Describer(captioner, "cpu", cached=False)
    seen = torch.cat([cached.seen(some) for some in true_pictures(examples("test", 100)).split(20)])
    for beams in (1, 3, 5):
        yield captioning(plain, cached, seen, beams)


def captioning(plain: Describer, cached: Describer, seen: Tensor, beams: int) -> Duel:
    def written(describer: Describer) -> list[str]:
        return [found[0].text for found in describer.write(seen, decoding=Beam(beams))]

    def difference() -> str:
        equal = sum(one == other for one, other in zip(written(plain), written(cached), strict=True))
        return f"{equal} of {len(seen)} captions equal"

    name = f"{len(seen)} pictures, {beams} beam{'s' if beams > 1 else ''}"
    return Duel("caption", name, lambda: written(plain), lambda: written(cached), difference)


def machine() -> dict[str, object]:
    return {
        "processor": processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def processor() -> str:
    """The processor's name where the system tells it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=NAMES, action="append", help="one comparison instead of all; may be repeated")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32], help="batch sizes (default 1 8 32)")
    parser.add_argument("--regions", type=int, nargs="+", default=[36, 64], help="regions of a picture (36 64)")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of each comparison (10)")
    parser.add_argument("--seconds", type=float, default=30, help="end a comparison's rounds after this time (30)")
    parser.add_argument("--bf16", action="store_true", help="both sides under autocast to bfloat16")
    parser.add_argument("--out", type=Path, help="write all times as JSON to this file")
    given = parser.parse_args()
    only = tuple(given.only or NAMES)
    setting = Setting(only, tuple(given.batch), tuple(given.regions), given.rounds, given.seconds, given.bf16)
    print("  ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{'':<50}{'base s':>9}{'ours s':>9}{'ratio':>8}{'of min':>8}{'rounds':>8}   difference")
    makers = [
        (backbones, {"forward", "train"}), (code_steps, {"codes"}), (renderings, {"render"}), (paintings, {"paint"}),
        (captions, {"caption"}),
    ]  # fmt: skip
    rows = []
    for make, names in makers:
        if names & set(only):
            rows += [fight(duel, setting) for duel in make(setting)]
    if given.out:
        report = {"machine": machine(), "bf16": setting.bf16, "rows": rows}
        given.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
