"""Scores of painted pictures beyond the world's facts: nearness to real ones, R-precision, and words found again.

Papers score thirty thousand pictures, more than memory holds, so a measure sees some at a time and gives its scores at
the end. It knows no model: networks, scorers and fillers are functions.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from xlxmert.core.axes import Float, Tensor, UInt8
from xlxmert.core.errors import UsageError
from xlxmert.data.rivals import Choice, Gap
from xlxmert.data.world.captions import facts_of_text
from xlxmert.data.world.parser import parse_pictures
from xlxmert.data.world.scene import Scene
from xlxmert.data.world.settings import SIDE
from xlxmert.metrics.fidelity import SPLITS, frechet_distance, inception_score, kernel_distance
from xlxmert.metrics.hummus import Blank, hummus_scores
from xlxmert.metrics.r_precision import own_first, r_precision
from xlxmert.vision.fidelity_networks import FeatureNetwork, look

Pixels = UInt8[np.ndarray, "S S 3"]
Filler = Callable[[Sequence[Pixels], Sequence[Gap]], Sequence[str]]
"""The word that belongs into each gap, one picture each."""
FOLDS = 10
"""Parts over which R-precision's spread is taken, as in the literature."""


@runtime_checkable
class Scorer(Protocol):
    """Says how well captions fit pictures."""

    @property
    def name(self) -> str:
        """What a report calls it."""

    def __call__(self, pictures: Sequence[Pixels], captions: Sequence[Sequence[str]]) -> list[Float[np.ndarray, " C"]]:
        """For each picture a score for each of its captions; higher is better."""


@runtime_checkable
class Measure(Protocol):
    """What is measured of painted pictures."""

    def see(self, places: Sequence[int], painted: UInt8[Tensor, "B S S 3"]) -> None:
        """Take in some pictures; each place comes once."""

    def scores(self) -> dict[str, float]:
        """What was measured, by full name."""

    def details(self) -> dict[str, Any]:
        """What the scores mean nothing without: networks, numbers of pictures, seeds."""


@dataclass
class Fidelity:
    """FID, KID and, where the network has classes, Inception Score, against the real pictures of `see_real`.

    Args:
        network: makes the features.
        seed: of KID's subsets.
    """

    network: FeatureNetwork
    seed: int = 0
    _painted: list[Tensor] = field(default_factory=list)
    _logits: list[Tensor] = field(default_factory=list)
    _real: list[Tensor] = field(default_factory=list)
    _known: dict[tuple[int, int], dict[str, dict[str, Any]]] = field(default_factory=dict)

    def see(self, places: Sequence[int], painted: UInt8[Tensor, "B S S 3"]) -> None:
        """Keep the features of painted pictures."""
        found = look(self.network, painted)
        self._painted.append(found.features)
        if found.logits is not None:
            self._logits.append(found.logits)

    def see_real(self, pictures: UInt8[Tensor, "B S S 3"]) -> None:
        """Keep the features of real pictures."""
        self._real.append(look(self.network, pictures).features)

    def scores(self) -> dict[str, float]:
        """``fidelity/FID``, ``fidelity/KID`` and ``fidelity/IS``, in their own units; IS needs ten pictures."""
        return {f"fidelity/{name}": value["value"] for name, value in self._measured.items()}

    def details(self) -> dict[str, Any]:
        """The network, the numbers of pictures, and the spreads."""
        about = {"network": self.network.name, "size": self.network.size, "resize": self.network.resize}
        counts = {"painted": sum(map(len, self._painted)), "real": sum(map(len, self._real))}
        return {"fidelity": about | counts | self._measured}

    @property
    def _measured(self) -> dict[str, dict[str, Any]]:
        """All that is measured of the pictures seen so far: slow, so it is kept."""
        seen = len(self._painted), len(self._real)
        if seen not in self._known:
            self._known[seen] = self._measure()
        return self._known[seen]

    def _measure(self) -> dict[str, dict[str, Any]]:
        painted, real = (torch.cat(part).double().numpy() for part in (self._painted, self._real))
        kid = asdict(kernel_distance(painted, real, seed=self.seed))
        found: dict[str, dict[str, Any]] = {
            "FID": {"value": frechet_distance(painted, real)},
            "KID": {"value": kid.pop("mean"), **kid, "seed": self.seed},
        }
        if self._logits and len(painted) >= SPLITS:
            score = inception_score(torch.cat(self._logits).double().numpy())
            found["IS"] = {"value": score.mean, "std": score.std, "splits": SPLITS}
        return found


@dataclass
class RPrecision:
    """How often a picture's own caption beats its rivals.

    Args:
        scorer: says which caption fits best.
        choices: by kind: ``easy``, ``hard/noun`` and so on.
        about: how the choices were drawn, for the report.
    """

    scorer: Scorer
    choices: Mapping[str, Sequence[Choice]]
    about: Mapping[str, Any] = field(default_factory=dict)
    _chances: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    def see(self, places: Sequence[int], painted: UInt8[Tensor, "B S S 3"]) -> None:
        """Score the captions of some pictures; each picture is looked at once for all its choices."""
        asked = {place: self._by_place[place] for place in places if place in self._by_place}
        pixels = dict(zip(places, painted.numpy(), strict=True))
        captions = [[text for each in some.values() for text in each.captions] for some in asked.values()]
        rows = self.scorer([pixels[place] for place in asked], captions) if asked else []
        for (place, some), row in zip(asked.items(), rows, strict=True):
            ends = np.cumsum([len(each.captions) for each in some.values()])
            for kind, part in zip(some, np.split(row, ends[:-1]), strict=True):
                self._chances[kind][place] = float(own_first(part[None])[0])

    @property
    def _kinds(self) -> list[str]:
        """The kinds of which some were asked, in their own order."""
        return [kind for kind in self.choices if kind in self._chances]

    @cached_property
    def _by_place(self) -> dict[int, dict[str, Choice]]:
        table: dict[int, dict[str, Choice]] = defaultdict(dict)
        for kind, choices in self.choices.items():
            for choice in choices:
                table[choice.place][kind] = choice
        return table

    def scores(self) -> dict[str, float]:
        """``r-precision/easy``, ``r-precision/hard/…`` and ``r-precision/hard``, the mean of its categories."""
        means = {kind: float(np.mean(list(self._chances[kind].values()))) for kind in self._kinds}
        hard = [value for kind, value in means.items() if kind.startswith("hard/")]
        scores = {f"r-precision/{kind}": value for kind, value in means.items()}
        return scores | ({"r-precision/hard": float(np.mean(hard))} if hard else {})

    def details(self) -> dict[str, Any]:
        """The scorer, and for each kind how many pictures, captions beside each, and the spread over folds."""
        kinds = {}
        for kind in self._kinds:
            found = self._chances[kind]
            chances = np.array([found[place] for place in sorted(found)])
            spread = r_precision(chances, FOLDS).std if len(chances) >= FOLDS else None
            captions = len(self.choices[kind][0].captions)
            kinds[kind] = {"pictures": len(chances), "captions": captions, "std over 10 folds": spread}
        return {"r-precision": {"scorer": self.scorer.name, **self.about, **kinds}}


@dataclass
class AutoHummus:
    """HUMMUS with a model for the people: how often it finds the hidden word of a caption in the picture.

    Args:
        filler: fills gaps.
        gaps: captions with a hidden word.
        about: how they were drawn and who fills them, for the report.
    """

    filler: Filler
    gaps: Sequence[Gap]
    about: Mapping[str, Any] = field(default_factory=dict)
    _answers: dict[str, list[str]] = field(default_factory=dict)

    def see(self, places: Sequence[int], painted: UInt8[Tensor, "B S S 3"]) -> None:
        """Fill the gaps of some pictures."""
        pixels = dict(zip(places, painted.numpy(), strict=True))
        some = [gap for gap in self.gaps if gap.place in pixels]
        if some:
            words = self.filler([pixels[gap.place] for gap in some], some)
            self._answers |= {_key(gap): [word] for gap, word in zip(some, words, strict=True)}

    def scores(self) -> dict[str, float]:
        """``auto_hummus/noun`` and so on, and ``auto_hummus/mean``, that of the categories."""
        blanks = {_key(gap): Blank(gap.category, gap.word) for gap in self.gaps}
        return {f"auto_hummus/{name}": value for name, value in hummus_scores(self._answers, blanks).items()}

    def details(self) -> dict[str, Any]:
        """Who filled how many gaps."""
        counts: dict[str, int] = defaultdict(int)
        for gap in self.gaps:
            counts[gap.category] += _key(gap) in self._answers
        return {"auto_hummus": {**self.about, "gaps": dict(counts)}}


@dataclass(frozen=True)
class FactJudge:
    """The built-in world's parser as a scorer: independent of every model, and exact on true pictures of the world."""

    name: str = "the world's parser: share of the caption's facts that hold in the picture"

    def __call__(self, pictures: Sequence[Pixels], captions: Sequence[Sequence[str]]) -> list[Float[np.ndarray, " C"]]:
        """Shares in [0, 1]; 0 for a caption that states no fact of the world.

        Raises:
            UsageError: the pictures are not of the world's size.
        """
        wrong = [picture.shape[0] for picture in pictures if picture.shape[:2] != (SIDE, SIDE)]
        if wrong:
            raise UsageError(
                f"expected pictures {SIDE} pixels wide for the world's parser, found {wrong[0]}: take another --scorer"
            )
        scenes = parse_pictures(torch.from_numpy(np.stack(pictures)))
        return [
            np.array([_share(scene, text) for text in texts]) for scene, texts in zip(scenes, captions, strict=True)
        ]


def _share(scene: Scene, caption: str) -> float:
    truths = scene.right(facts_of_text(caption)).values()
    return sum(truths) / len(truths) if truths else 0.0


def _key(gap: Gap) -> str:
    return f"{gap.category} {gap.place}"
