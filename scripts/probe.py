"""Let a linear classifier that never saw a painting name what is painted: a judge for `xlxmert train`'s checkpoints.

    python scripts/probe.py cutouts --images cutouts --run runs/cutouts
    python scripts/probe.py cifar10 --images cifar10 --run runs/cifar10

1. The pictures that the checkpoint was trained on go through the shipped backbone, as they are and rebuilt from their
   codes, as the classifier has to know the generator's look; the deepest map, averaged and at its largest, is the
   picture's feature.
2. For each question (which thing, which place; which class) a multinomial logistic regression learns the answer that
   the captions of ``RUN/train.jsonl`` tell.
3. It is scored on the pictures that were kept out (``RUN/held.jsonl``), on the same rebuilt from their codes, and on
   paintings of one sentence for each combination of answers, or as many as ``--count``.

Pictures of two things are left out where things are asked for.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cifar10
import cutouts
import numpy as np
import torch

from xlxmert.core.errors import XlxmertError
from xlxmert.core.images import contact_sheet, load_picture, save_png, to_floats
from xlxmert.core.seeds import numpy_generator
from xlxmert.studio import Studio
from xlxmert.vision.backbone import load_backbone

QUESTIONS = {
    "cutouts": {"thing": list(cutouts.THINGS), "place": list(cutouts.PLACES)},
    "cifar10": {"class": list(cifar10.CLASSES)},
}
PROMPT = {"cutouts": "{} {}", "cifar10": "{}"}
DECAY = 1e-3
SHOWN = 16


def answers_of(captions: Sequence[str], answers: Sequence[str]) -> int:
    """Which answer the captions tell; -1 for none or several."""
    told = [place for place, answer in enumerate(answers) if any(answer in caption for caption in captions)]
    return told[0] if len(told) == 1 else -1


def features_of(pictures: Sequence[np.ndarray]) -> torch.Tensor:
    """The features of pictures (P, S, S, 3) as (P, 2C)."""
    backbone = load_backbone()
    rows = []
    with torch.inference_mode():
        for start in range(0, len(pictures), 16):
            deepest = backbone(to_floats(torch.from_numpy(np.stack(pictures[start : start + 16]))))[-1]
            rows.append(torch.cat([deepest.mean((2, 3)), deepest.amax((2, 3))], 1))
    return torch.cat(rows)


class Probe:
    """A logistic regression over standardised features."""

    def __init__(self, rows: torch.Tensor, labels: torch.Tensor, count: int) -> None:
        """Fit it."""
        self.mean, self.deviation = rows.mean(0), rows.std(0) + 1e-6
        self.weights = torch.zeros(rows.shape[1] + 1, count, requires_grad=True)
        x = self._standard(rows)
        optimizer = torch.optim.LBFGS([self.weights], max_iter=200, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(x @ self.weights, labels) + DECAY * self.weights.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)

    def right(self, rows: torch.Tensor, labels: torch.Tensor) -> float:
        """The share of right answers."""
        with torch.no_grad():
            return float(((self._standard(rows) @ self.weights).argmax(1) == labels).float().mean())

    def _standard(self, rows: torch.Tensor) -> torch.Tensor:
        rows = (rows - self.mean) / self.deviation
        return torch.cat([rows, torch.ones(len(rows), 1)], 1)


def rebuilt(studio: Studio, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pictures as the generator shows their codes."""
    return [each.picture for each in studio.rebuild(pictures)]


def told(path: Path, images: Path) -> tuple[list[np.ndarray], list[list[str]]]:
    """Pictures and their captions."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [load_picture(images / line["image"], 256) for line in lines], [line["caption"] for line in lines]


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", choices=sorted(QUESTIONS))
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--count", type=int, default=96, help="pictures that are painted")
    parser.add_argument("--sheet", type=Path, help="a contact sheet of the first of them")
    options = parser.parse_args()
    try:
        for line in judge(options):
            print(line)
    except XlxmertError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def judge(options: argparse.Namespace) -> list[str]:
    """What the probe sees, a line for each question."""
    questions = QUESTIONS[options.folder]
    studio = Studio.from_pretrained(str(options.run / "checkpoint"))
    pictures, captions = told(options.run / "train.jsonl", options.images)
    held, held_captions = told(options.run / "held.jsonl", options.images)
    combinations = list(itertools.product(*(range(len(answers)) for answers in questions.values())))
    order = numpy_generator("probe").permutation(len(combinations))
    chosen = [combinations[int(order[i % len(order)])] for i in range(options.count)]
    prompts = [
        PROMPT[options.folder].format(*(a[i] for a, i in zip(questions.values(), each, strict=True))) for each in chosen
    ]
    painted = [p.picture for i in range(0, len(prompts), 8) for p in studio.paint(prompts[i : i + 8], seed=i)]
    if options.sheet is not None:
        rows = [painted[i : i + 8] for i in range(0, min(SHOWN, len(painted)), 8)]
        save_png(options.sheet, contact_sheet(rows, [prompts[i : i + 8] for i in range(0, 8 * len(rows), 8)]))
    features = {"train": torch.cat([features_of(pictures), features_of(rebuilt(studio, pictures))])}
    features |= {"held": features_of(held), "rebuilt": features_of(rebuilt(studio, held))}
    features["painted"] = features_of(painted)
    lines = []
    for number, (name, answers) in enumerate(questions.items()):
        labels = {"train": [*captions, *captions], "held": held_captions, "rebuilt": held_captions}
        found = {part: torch.tensor([answers_of(c, answers) for c in texts]) for part, texts in labels.items()}
        found["painted"] = torch.tensor([each[number] for each in chosen])
        known = {part: value >= 0 for part, value in found.items()}
        probe = Probe(features["train"][known["train"]], found["train"][known["train"]], len(answers))
        scores = {part: probe.right(features[part][known[part]], found[part][known[part]]) for part in features}
        told_scores = ", ".join(
            f"{part} {100 * value:.1f} % of {int(known[part].sum())}" for part, value in scores.items()
        )
        lines.append(f"{name} ({len(answers)} answers): {told_scores}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
