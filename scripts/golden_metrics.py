"""Write the numbers that other people's metrics give, for tests/golden: FID, KID and IS, and scores of captions.

    python -m venv oracle
    oracle/bin/pip install -e . scipy pycocoevalcap
    oracle/bin/pip install --no-deps torch-fidelity tqdm
    oracle/bin/python scripts/golden_metrics.py

needs Java too. torch-fidelity's own functions of features are called; the rest of that package needs torchvision, so
an empty module stands in for it. With ``--captions FILE`` (lines of text) the tokens and scores of other sentences than
the world's are compared on the spot and nothing is written.
"""

import argparse
import gzip
import json
import random
import re
import sys
import types
from pathlib import Path

import numpy as np
import torch

from xlxmert.core.files import write_bytes, write_json
from xlxmert.data.world.captions import make_captions
from xlxmert.data.world.scene import make_scene
from xlxmert.metrics.caption import caption_scores, tokenize

DATA = Path(__file__).parents[1] / "tests" / "golden" / "data"
PICTURES = 1200
"""Pictures whose captions are scored."""


def features(seed: int, pictures: int, width: int) -> np.ndarray:
    """Correlated features: numpy's legacy generator, whose numbers never change."""
    mixed = np.random.RandomState(9).standard_normal((width, width))
    return np.random.RandomState(seed).standard_normal((pictures, width)) @ mixed / 4 + seed / 10


SETS = {"tall": (300, 260, 24), "flat": (20, 30, 48)}
"""Pictures of either side and width: more pictures than features, and fewer."""


def stand_in_for_torchvision() -> None:
    """What torch-fidelity imports and its functions of features never use."""
    for name in ("", ".datasets", ".transforms", ".transforms.functional"):
        sys.modules[f"torchvision{name}"] = types.ModuleType(f"torchvision{name}")
    for name in ("CIFAR10", "CIFAR100", "STL10"):
        setattr(sys.modules["torchvision.datasets"], name, object)
    sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]
    sys.modules["torchvision.transforms"].functional = sys.modules["torchvision.transforms.functional"]


def by_scipy(one: np.ndarray, other: np.ndarray) -> float:
    """FID as pytorch-fid has it, without its epsilon."""
    import scipy.linalg

    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second)
    apart = one.mean(axis=0) - other.mean(axis=0)
    return float(apart @ apart + np.trace(first) + np.trace(second) - 2 * np.trace(root).real)


def fidelity() -> dict[str, dict[str, float]]:
    """Numbers of scipy and torch-fidelity on the same features."""
    stand_in_for_torchvision()
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    found = {}
    for name, (many, others, width) in SETS.items():
        one, other = features(1, many, width), features(2, others, width)
        sides = [torch.from_numpy(side) for side in (one, other)]
        fid = fid_statistics_to_metric(*map(fid_features_to_statistics, sides), verbose=False)
        whole = [side[: min(many, others)] for side in sides]  # torch-fidelity's subsets are of one size
        kid = kid_features_to_metric(*whole, kid_subsets=1, kid_subset_size=len(whole[0]), verbose=False)
        found[name] = {
            "FID by scipy": by_scipy(one, other),
            "FID by torch-fidelity": fid["frechet_inception_distance"],
            "KID of the first ones of both": kid["kernel_inception_distance_mean"],
        }
    score = isc_features_to_metric(torch.from_numpy(3 * features(3, 305, 40)), splits=10, shuffle=False)
    found["classes"] = {"IS": score["inception_score_mean"], "IS std": score["inception_score_std"]}
    return found


def world_captions() -> tuple[list[str], list[list[str]]]:
    """A candidate and four references for each picture; every third candidate is another picture's caption."""
    groups = [[c.text for c in make_captions(make_scene("test", 0, i), "test", 0, i)] for i in range(PICTURES)]
    candidates = [group[0] for group in groups]
    for place in range(0, PICTURES, 3):
        candidates[place] = groups[place - 1][1]
    return candidates, [group[1:] for group in groups]


Words = dict[int, list[str]]


def by_pycocoevalcap(candidates: list[str], references: list[list[str]]) -> tuple[dict[str, float], Words, Words]:
    """All scores of the common implementation, with its own tokens; and these, of candidates and references."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    theirs = PTBTokenizer().tokenize({i: [{"caption": text} for text in group] for i, group in enumerate(references)})
    mine = PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in enumerate(candidates)})
    scores = {f"BLEU-{n}": v for n, v in enumerate(Bleu(4).compute_score(theirs, mine, verbose=0)[0], start=1)}
    for name, scorer in (("ROUGE-L", Rouge()), ("CIDEr-D", Cider()), ("METEOR", Meteor())):
        scores[name] = float(scorer.compute_score(theirs, mine)[0])
    return {name: 100 * value for name, value in scores.items()}, mine, theirs


def compare(path: Path) -> None:
    """Print where the tokens of other sentences differ, and both sides' scores of those where they do not.

    Sentences that end in a lone letter (``the letter a.``) are left out: whether the full stop stays with the letter
    depends, for the original, on how the next line begins.
    """
    texts = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    texts = [text for text in texts if not re.search(r"(?<!\w)[A-Za-z]\.$", text)]
    rng = random.Random(0)
    references = [[text, texts[rng.randrange(len(texts))]] for text in texts]
    candidates = [" ".join(word for word in text.split() if rng.random() < 0.85) or text for text in texts]
    _, mine, theirs = by_pycocoevalcap(candidates, references)
    alike = []
    for place, group in enumerate(references):
        pairs = list(zip([candidates[place], *group], [*mine[place], *theirs[place]], strict=True))
        odd = [(text, split) for text, split in pairs if tokenize(text) != split.split()]
        if odd:
            print(f"{odd[0][0]!r}\n    ours   {' '.join(tokenize(odd[0][0]))}\n    theirs {odd[0][1]}")
        else:
            alike.append(place)
    candidates, references = [candidates[i] for i in alike], [references[i] for i in alike]
    print(f"{len(texts)} sentences with two references each; {len(alike)} have the same tokens:")
    scores = by_pycocoevalcap(candidates, references)[0]
    for name, value in caption_scores(candidates, references, ("METEOR",)).items():
        print(f"{name:8} ours {value:.9f} theirs {scores[name]:.9f} apart {abs(value - scores[name]):.1e}")


def main() -> None:
    """Write both files, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path, help="compare these sentences and write nothing")
    options = parser.parse_args()
    if options.captions:
        compare(options.captions)
        return
    write_json(DATA / "fidelity.json", fidelity())
    candidates, references = world_captions()
    scores, *_ = by_pycocoevalcap(candidates, references)
    content = {"scores": scores, "candidates": candidates, "references": references}
    write_bytes(DATA / "captions.json.gz", gzip.compress(json.dumps(content).encode(), mtime=0))
    print(json.dumps({"captions": scores, **json.loads((DATA / "fidelity.json").read_text())}, indent=2))


if __name__ == "__main__":
    main()
