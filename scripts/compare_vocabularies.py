"""Compare visual vocabularies for the built-in world: what their codes keep, and what a short training learns of them.

    python scripts/compare_vocabularies.py --out runs/vocabularies --codes 2048 6144 --steps 600
    python scripts/compare_vocabularies.py --out runs/optimisers --muon-lr 0 0.01 0.02 --code-balance 0 0.5 --steps 600

For each choice it walks the first stages of ``recipes/world.py`` on fewer pictures and measures

- **kept**: test pictures are rebuilt by pasting, for each cell, the mean patch of its code: PSNR, and the share of true
  facts that the parser finds again. No network takes part, so it is a lower bound of what a generator can reach.
- **learned**: after the short training one thing's cells are hidden, and the codes' mean loss there is taken with the
  picture's own caption and with another's: the difference is what the words tell the model.
"""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import tyro

from xlxmert.core.axes import Float, Int, Tensor, UInt8
from xlxmert.data.world.captions import make_captions
from xlxmert.data.world.parser import agreement, parse_pictures
from xlxmert.data.world.render import render
from xlxmert.data.world.scene import GRID, Scene, make_scene
from xlxmert.models.lxmert import Lxmert
from xlxmert.recipes import world
from xlxmert.recipes.codebook import TAUGHT
from xlxmert.recipes.train_store import OBJECTIVES, Prepared
from xlxmert.tasks.render import mean_patches


def pasted(cells: Float[Tensor, "N 3 s s"]) -> UInt8[Tensor, "S S 3"]:
    """The picture of these cells."""
    side = cells.shape[-1]
    whole = cells.view(GRID, GRID, 3, side, side).permute(0, 3, 1, 4, 2).reshape(GRID * side, GRID * side, 3)
    return ((whole + 1) * 127.5).round().clamp(0, 255).byte()


def kept(prepared: Prepared, recipe: world.WorldRecipe, scenes: list[Scene]) -> tuple[float, float]:
    """PSNR in decibels, and agreement of facts in [0, 1], of pictures rebuilt from mean patches."""
    size, true = len(prepared.vocabulary.codebook), [render(scene) for scene in scenes]
    table, _ = mean_patches(lambda index: world.picture(recipe, index), prepared.store.codes, size)
    codes = prepared.vocabulary.encode(torch.from_numpy(np.stack(true)))
    rebuilt = torch.stack([pasted(table[row]) for row in codes])
    error = (rebuilt.float() - torch.from_numpy(np.stack(true)).float()).square().mean() / 255**2
    return -10 * math.log10(float(error)), agreement(scenes, parse_pictures(rebuilt))


@torch.no_grad()
def learned(model: Lxmert, prepared: Prepared, scenes: list[Scene]) -> tuple[float, float]:
    """Mean loss in nats of one hidden thing's codes, with the picture's own caption and with another picture's."""
    codes = prepared.vocabulary.encode(torch.from_numpy(np.stack([render(scene) for scene in scenes])))
    texts = [make_captions(scene, "test", 0, index)[0].text for index, scene in enumerate(scenes)]
    words = prepared.store.tokenizer.encode(texts, model.config.max_text)
    hidden = torch.zeros_like(codes, dtype=torch.bool)
    for row, scene in zip(hidden, scenes, strict=True):
        row[[y * GRID + x for x, y in scene.items[0].cells]] = True
    return _loss(model, words, codes, hidden), _loss(model, words.roll(7, 0), codes, hidden)


def _loss(model: Lxmert, words: Int[Tensor, "B T"], codes: Int[Tensor, "B N"], hidden: Tensor) -> float:
    logits = model.code_logits(model(words, codes, hidden=hidden).vision[hidden])
    return float(F.cross_entropy(logits, codes[hidden]))


def main(
    out: Path,
    codes: tuple[int, ...] = (world.WorldRecipe.codes,),
    embedded: tuple[int, ...] = (0, TAUGHT.embedded),
    plain_weight: tuple[float, ...] = (TAUGHT.plain_weight,),
    balance: tuple[float, ...] = (world.WorldRecipe.balance,),
    muon_lr: tuple[float, ...] = (OBJECTIVES.optim.muon_lr,),
    code_balance: tuple[float, ...] = (OBJECTIVES.code_balance,),
    pictures: int = 12_000,
    steps: int = 600,
    scored: int = 200,
) -> None:
    """Print one row per choice; folders of an earlier call are gone on with.

    Args:
        out: where vocabularies, stores and runs go.
        codes: sizes of the vocabulary.
        embedded: widths of what labels teach its features; 0 leaves them plain.
        plain_weight: how long the plain feature is beside what is taught.
        balance: how much its k-means prefers things to plain areas.
        muon_lr: learning rates of the inner matrices; 0 leaves them to AdamW.
        code_balance: powers by which rare codes outweigh common ones in the loss.
        pictures: training pictures.
        steps: steps of each training.
        scored: test pictures.
    """
    scenes = [make_scene("test", 0, index) for index in range(scored)]
    heads = ("codes", "taught", "plain weight", "balance", "Muon", "code balance", "PSNR", "facts", "own", "another's")
    print("|", " | ".join(heads), "|")
    print("|", " | ".join("---:" for _ in heads), "|")
    for size, width, plain, even in itertools.product(codes, embedded, plain_weight, balance):
        if not width and plain != plain_weight[0]:
            continue  # features that are plain have nothing beside them
        recipe = world.WorldRecipe(
            pictures=pictures,
            codes=size,
            features=dataclasses.replace(TAUGHT, embedded=width, plain_weight=plain),
            balance=even,
            pretrain_steps=steps,
            log=lambda line: None,
        )
        folder = out / f"{size}-{width}-{plain}-{even}"
        vocabulary = world.visual_vocabulary(folder, recipe)
        prepared = Prepared(world.prepare(folder, recipe, vocabulary), vocabulary)
        psnr, facts = kept(prepared, recipe, scenes)
        for rate, power in itertools.product(muon_lr, code_balance):
            optim = dataclasses.replace(recipe.pretrain.optim, muon_lr=rate)
            objectives = dataclasses.replace(recipe.pretrain, optim=optim, code_balance=power)
            trial = dataclasses.replace(recipe, pretrain=objectives)
            model = world.pretrain(folder / f"muon-{rate}-power-{power}", trial, prepared, quiet=True)
            own, other = learned(model, prepared, scenes)
            row = (
                size,
                width,
                plain,
                even,
                rate,
                power,
                f"{psnr:.1f} dB",
                f"{facts:.1%}",
                f"{own:.2f}",
                f"{other:.2f}",
            )
            print("|", " | ".join(map(str, row)), "|", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
