"""Painting in the tables: a trained model of any family and kind of target, scored by the facts its pictures show."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch

from xlxmert.core.axes import Float, Int, Tensor, UInt8
from xlxmert.core.images import contact_sheet, save_png, to_bytes
from xlxmert.data.world.parser import parse_pictures
from xlxmert.models.base import Transformer
from xlxmert.models.generator import grid_map
from xlxmert.recipes.tables.data import CUT, SEED, Data
from xlxmert.sampling import MaskPredict, Sampler, last, paint
from xlxmert.sampling.features import FeatureGibbs
from xlxmert.studio.networks import FeaturePaintingNetwork, PaintingNetwork, blank_picture
from xlxmert.tasks.world_scores import Example, examples, fact_scores, true_pictures

SAMPLER = MaskPredict(4)
"""The paper's."""
CHUNK = 50
"""Pictures that are painted together."""
SHOWN = 12
"""Pictures of a sheet."""
T = TypeVar("T")


class Gallery:
    """Captions of unseen pictures, painted and scored.

    Args:
        data: vocabulary, words and generator.
        pictures: how many captions of the split val or test.
        split: of the world's part that the tables use.
    """

    def __init__(self, data: Data, pictures: int = 300, split: str = "test") -> None:
        """Open the generator; see the class."""
        self.data, self.generator = data, data.generator()
        self.found: list[Example] = examples(split, pictures, SEED, CUT)
        self.prompts = [example.captions[0].text for example in self.found]
        tokenizer = data.pretraining.store.tokenizer
        self.words = tokenizer.encode(self.prompts, 64)

    def score(
        self, model: Transformer, sheet: Path, sampler: Sampler = SAMPLER, snapped: bool = False
    ) -> dict[str, float]:
        """Facts right in the painted pictures, by kind; the first few pictures go to ``sheet``.

        With codes the sampler chooses them. Without, the model's features are sampled in as many steps as Mask-Predict
        takes, and rendered as they are or, ``snapped``, as their nearest centroids.
        """
        pictures = self.paint(model, len(self.prompts), sampler, snapped)
        save_png(sheet, contact_sheet(_rows(list(pictures.numpy())), _rows(self.prompts)))
        stated = [example.captions[0].facts for example in self.found]
        return dict(fact_scores(stated, parse_pictures(pictures)))

    @torch.inference_mode()
    def paint(
        self, model: Transformer, count: int, sampler: Sampler = SAMPLER, snapped: bool = False
    ) -> UInt8[Tensor, "P S S 3"]:
        """The first ``count`` captions as pictures; see `score`."""
        features = torch.cat([self._painted(model, some, sampler) for some in torch.split(self.words[:count], CHUNK)])
        if snapped:
            codebook = self.data.vocabulary.codebook
            features = codebook.features_of(codebook.assign(features))
        return self.render(features)

    def render(self, features: Float[Tensor, "P N F"]) -> UInt8[Tensor, "P S S 3"]:
        """Features as pictures."""
        return torch.cat([to_bytes(self.generator(grid_map(some))) for some in torch.split(features, 8)])

    def ceiling(self) -> dict[str, float]:
        """Facts right in the true pictures rebuilt from their codes, and from their features."""
        stated = [example.captions[0].facts for example in self.found]
        vocabulary, truth = self.data.vocabulary, true_pictures(self.found)
        with torch.inference_mode():
            features = torch.cat([vocabulary.features(some) for some in torch.split(truth, 16)])
            snapped = vocabulary.codebook.features_of(vocabulary.codebook.assign(features))
            exact, coded = (dict(fact_scores(stated, parse_pictures(self.render(f)))) for f in (features, snapped))
        return {**{f"features/{k}": v for k, v in exact.items()}, **{f"codes/{k}": v for k, v in coded.items()}}

    def chance(self) -> dict[str, float]:
        """Facts right in the true picture of another caption: what words that nobody heard would reach."""
        scenes = [example.scene for example in self.found]
        stated = [example.captions[0].facts for example in self.found]
        return dict(fact_scores(stated, [*scenes[1:], scenes[0]]))

    def _painted(self, model: Transformer, words: Int[Tensor, "B T"], sampler: Sampler) -> Float[Tensor, "B N F"]:
        seeds, cells = list(range(len(words))), model.config.cells
        unknown = torch.ones(len(words), cells, dtype=torch.bool)
        if model.config.codes:
            network = PaintingNetwork(model, words, blank_picture(model, "cpu"))
            start = torch.zeros(len(words), cells, dtype=torch.long)
            return model.features_of(last(paint(network, start, unknown, sampler, seeds)).codes)
        steps = sampler.steps if isinstance(sampler, MaskPredict) else cells
        start = torch.zeros(len(words), cells, model.config.feature_width)
        *_, painted = FeatureGibbs(steps).run(FeaturePaintingNetwork(model, words), start, unknown, seeds)
        return painted


def _rows(items: Sequence[T], width: int = 6) -> list[list[T]]:
    kept = list(items[:SHOWN])
    return [kept[start : start + width] for start in range(0, len(kept), width)]
