"""The visual vocabulary: pixels to features to codes and back to features, a small contract for everything above."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlxmert.core.axes import Float, Int, Tensor, UInt8
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import read_tensors, write_tensors
from xlxmert.core.images import to_floats
from xlxmert.core.seeds import torch_generator
from xlxmert.vision.backbones import open_backbone
from xlxmert.vision.codebook import Codebook
from xlxmert.vision.labels import LESSONS, CellLabels, LabelEmbedding, teach
from xlxmert.vision.network import PictureNetwork
from xlxmert.vision.reference import Reference, measure
from xlxmert.vision.regions import FeatureSpec, Statistics, cell_blocks, fit_statistics, fit_whole, grid_pool
from xlxmert.vision.transformers_backbone import unpack_transformers

EMBEDDING = "embedding."
"""What the embedding's tensors are called in a file."""
NETWORK = "network."
"""What the backbone's tensors are called, if they travel along."""

Picture = UInt8[Tensor, "_ _ 3"] | UInt8[np.ndarray, "_ _ 3"]


class FeatureExtractor:
    """Pictures to one feature per grid cell, without codes yet.

    Args:
        backbone: a frozen picture network.
        spec: what a feature is made of.
        statistics: the blocks' linear maps, fitted for this backbone and spec.
        embedding: tells labelled things apart; features are plain without it.
    """

    def __init__(
        self,
        backbone: PictureNetwork,
        spec: FeatureSpec,
        statistics: Statistics,
        embedding: LabelEmbedding | None = None,
    ) -> None:
        """Keep the parts; see the class."""
        self.backbone, self.spec, self.statistics, self.embedding = backbone, spec, statistics, embedding

    @classmethod
    def fit(cls, backbone: PictureNetwork, spec: FeatureSpec, pictures: Iterable[Picture]) -> "FeatureExtractor":
        """Measure the statistics on some hundred pictures (all of one size), streaming."""

        def blocks() -> Iterator[Sequence[Tensor]]:
            for stack in stacked(pictures, _together(backbone)):
                pixels = to_floats(stack.to(_device(backbone)))
                with torch.no_grad():
                    yield cell_blocks(backbone(pixels, spec.deepest), pixels, spec)

        pictures = list(pictures) if spec.kept else pictures
        statistics = fit_statistics(blocks(), spec)
        if spec.kept:
            blocks_alone = cls(backbone, dataclasses.replace(spec, kept=0, whiten=0.0), statistics)
            statistics = fit_whole((blocks_alone.features(stack) for stack in stacked(pictures, 32)), statistics, spec)
        return cls(backbone, spec, statistics)

    @torch.no_grad()
    def features(self, pictures: UInt8[Tensor, "B H W 3"]) -> Float[Tensor, "B N F"]:
        """The features of each picture's cells, row-major; under bfloat16 autocast about twice as fast on new CPUs."""
        return torch.cat(
            [
                self.look(to_floats(stack.to(_device(self.backbone))))
                for stack in torch.split(pictures, _together(self.backbone))
            ]
        )  # (B, N, F)

    @torch.no_grad()
    def look(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N F"]:
        """The same of pixels in [-1, 1] on the backbone's device, all at once."""
        maps = self.backbone(pixels, self.spec.deepest)
        return self.finished(grid_pool(maps, pixels, self.spec, self.statistics))

    def finished(self, plain: Float[Tensor, "*any _"]) -> Float[Tensor, "*any F"]:
        """Plain features with the learned vector before them, if there is one; always in single precision."""
        if self.embedding is None:
            return plain
        with torch.autocast(plain.device.type, enabled=False):
            finished: Tensor = self.embedding(plain)
        return finished

    def taught(
        self, plain: Float[Tensor, "M _"], labels: CellLabels, lessons: int, seed: int = 0
    ) -> "FeatureExtractor":
        """The same extractor with an embedding taught on labelled cells, whose features so far are ``plain``.

        Raises:
            XlxmertError: no cell shows a thing, or the spec has no ``embedded`` width.
        """
        if not self.spec.embedded:
            raise XlxmertError("expected a width for what labels teach, found embedded=0: set it in the feature spec")
        net = teach(plain, labels, self.spec.embedded, self.spec.plain_weight, lessons, seed)
        return FeatureExtractor(self.backbone, self.spec, self.statistics, net)

    def _look_apart(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B N F"]:
        return torch.cat([self.look(some) for some in torch.split(pixels, _together(self.backbone))])

    @property
    def width(self) -> int:
        """F, the width of a feature."""
        return self._plain_width + (0 if self.embedding is None else self.spec.embedded)

    @property
    def _plain_width(self) -> int:
        if self.spec.kept:
            return self.spec.kept
        parts = [depth.parts for depth in self.spec.depths] + [self.spec.colour_parts] * bool(self.spec.colour_parts)
        return sum(part**2 * axes.shape[1] for part, axes in zip(parts, self.statistics.axes, strict=True))


class VisualVocabulary(FeatureExtractor):
    """A feature extractor with a codebook: pictures to codes, codes to features.

    Args:
        backbone: a frozen picture network.
        spec: what a feature is made of.
        statistics: the blocks' linear maps.
        codebook: centroids of such features.
        embedding: tells labelled things apart; features are plain without it.
        reference: how its features should look; None for vocabularies of earlier versions.

    Raises:
        XlxmertError: the codebook's centroids are not as wide as the features.
    """

    def __init__(
        self,
        backbone: PictureNetwork,
        spec: FeatureSpec,
        statistics: Statistics,
        codebook: Codebook,
        embedding: LabelEmbedding | None = None,
        reference: Reference | None = None,
    ) -> None:
        """Keep the parts; see the class."""
        super().__init__(backbone, spec, statistics, embedding)
        if codebook.width != self.width:
            raise XlxmertError(
                f"expected centroids of width {self.width} for this feature spec, found {codebook.width}: "
                "the codebook belongs to another spec; run `xlxmert codebook`"
            )
        self.codebook, self.reference = codebook, reference

    def encode(self, pictures: UInt8[Tensor, "B H W 3"]) -> Int[Tensor, "B N"]:
        """The codes of each picture's cells, in [0, K), row-major."""
        return self.codebook.assign(self.features(pictures))

    def decode(self, codes: Int[Tensor, "B N"]) -> Float[Tensor, "B N F"]:
        """The centroid features that stand for the codes."""
        return self.codebook.features_of(codes)

    def extract(
        self, pictures: Iterable[Picture], batch: int = 32
    ) -> Iterator[tuple[Float[Tensor, "B N F"], Int[Tensor, "B N"]]]:
        """Features and codes of any number of pictures (all of one size), batch by batch as they come."""
        for stack in stacked(pictures, batch):
            features = self.features(stack)
            yield features, self.codebook.assign(features)

    def to(self, device: torch.device | str) -> "VisualVocabulary":
        """The same vocabulary on another device; the backbone itself is moved."""
        statistics, codebook = self.statistics.to(device), self.codebook.to(device)
        embedding = None if self.embedding is None else self.embedding.to(device)
        return VisualVocabulary(self.backbone.to(device), self.spec, statistics, codebook, embedding, self.reference)

    def with_reference(
        self, golden: UInt8[Tensor, "G S S 3"], sample: UInt8[Tensor, "P S S 3"], crop: bool
    ) -> "VisualVocabulary":
        """The same with a reference measured on known pictures and on some of the training."""
        known, other = (to_floats(some.to(_device(self.backbone))) for some in (golden, sample))
        reference = measure(self._look_apart, known, other, golden.shape[1], crop)
        parts = self.statistics, self.codebook, self.embedding
        return VisualVocabulary(self.backbone, self.spec, *parts, reference)

    def config(self) -> dict[str, Any]:
        """What `load` needs besides tensors, ready for JSON."""
        return {"backbone": self.backbone.name, "spec": dataclasses.asdict(self.spec)}

    def save(self, path: Path) -> None:
        """Write one safetensors file: centroids and statistics as tensors, config and fingerprint as metadata.

        A backbone that came from a folder of one's own is put into it too.
        """
        tensors = {"centroids": self.codebook.centroids}
        for index, (mean, axes) in enumerate(zip(self.statistics.means, self.statistics.axes, strict=True)):
            tensors |= {f"statistics.{index}.mean": mean, f"statistics.{index}.axes": axes}
        if self.embedding is not None:
            tensors |= {f"{EMBEDDING}{name}": tensor for name, tensor in self.embedding.state_dict().items()}
        metadata = {"fingerprint": self.codebook.fingerprint, "config": json.dumps(self.config())}
        if packed := self.backbone.packed():
            tensors |= {f"{NETWORK}{name}": tensor for name, tensor in packed[0].items()}
            metadata["network"] = json.dumps(packed[1])
        if self.reference is not None:
            tensors |= self.reference.tensors()
            metadata["reference"] = self.reference.told()
        write_tensors(path, tensors, metadata)

    @classmethod
    def load(cls, path: Path, backbone: PictureNetwork | None = None) -> "VisualVocabulary":
        """Read what `save` wrote; the backbone is in it, or is loaded by its name, unless one is given.

        Raises:
            XlxmertError: the file is unreadable or holds something else.
        """
        tensors, metadata = read_tensors(path)
        codebook = Codebook.from_tensors(tensors, metadata, path)
        if "config" not in metadata:
            raise XlxmertError(f"expected a visual vocabulary in {path}, found bare centroids: run `xlxmert codebook`")
        config = json.loads(metadata["config"])
        spec = FeatureSpec.from_dict(config["spec"])
        means, axes = ([f"statistics.{index}.{part}" for index in range(spec.maps)] for part in ("mean", "axes"))
        missing = [key for key in means + axes if key not in tensors]
        if missing:
            raise XlxmertError(f"expected {missing} in {path}, found {sorted(tensors)}: fit or download it again")
        statistics = Statistics(tuple(tensors[key] for key in means), tuple(tensors[key] for key in axes))
        if backbone is None and "network" in metadata:
            backbone = unpack_transformers(_under(NETWORK, tensors), json.loads(metadata["network"]), str(path))
        network = backbone or open_backbone(config["backbone"], spec.deepest)
        return cls(network, spec, statistics, codebook, _embedding(tensors), Reference.read(tensors, metadata))


def fit_vocabulary(
    extractor: FeatureExtractor,
    pictures: Iterable[Picture],
    codes: int,
    iterations: int = 20,
    seed: int = 0,
    cells: int = 0,
    batch: int = 32,
    balance: float = 0.0,
    per_code: int = 256,
    labels: Callable[[], CellLabels] | None = None,
    lessons: int = LESSONS,
) -> VisualVocabulary:
    """Fit a codebook on the features of pictures, streaming; only the cells that are kept stay in memory.

    With labels of the pictures' cells the extractor is first taught to tell their things apart.

    Args:
        extractor: gives the features.
        pictures: all of one size.
        codes: K, the size of the codebook.
        iterations: rounds of k-means.
        seed: of the sample of cells and of k-means.
        cells: keep this many random cells of each picture; 0 keeps all.
        batch: pictures per batch.
        balance: see `Codebook.fit`.
        per_code: see `Codebook.fit`.
        labels: gives those of all cells of all pictures, in their order, and is asked when the pictures have been read;
            it needs every cell (``cells`` 0).
        lessons: steps of teaching, if there are labels.

    Raises:
        XlxmertError: there are no pictures, fewer cells than codes, or labels of other cells.
    """
    if labels is not None and cells:
        raise XlxmertError(f"expected all cells of the pictures where they are labelled, found cells={cells}: set it 0")
    kept = []
    for number, stack in enumerate(stacked(pictures, batch)):
        rows = extractor.features(stack).flatten(0, 1).cpu()  # (B * N, F)
        if 0 < cells < extractor.spec.cells:
            order = torch.randperm(len(rows), generator=torch_generator(seed, "cells", number))
            rows = rows[order[: cells * len(stack)]]
        kept.append(rows)
    if not kept:
        raise XlxmertError("expected pictures to fit the visual vocabulary on, found none")
    rows = torch.cat(kept)  # (M, F)
    if labels is not None:
        extractor = extractor.taught(rows, labels(), lessons, seed)
        rows = torch.cat([extractor.finished(some) for some in torch.split(rows, 8192)])
    codebook = Codebook.fit(rows, codes, iterations, seed, per_code, balance)
    network, spec, statistics = extractor.backbone, extractor.spec, extractor.statistics
    return VisualVocabulary(network, spec, statistics, codebook, extractor.embedding).to(_device(network))


def _embedding(tensors: dict[str, Tensor]) -> LabelEmbedding | None:
    """The embedding in a file's content, if there is one."""
    own = _under(EMBEDDING, tensors)
    return LabelEmbedding.of(own) if own else None


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def stacked(pictures: Iterable[Picture], batch: int) -> Iterator[UInt8[Tensor, "B H W 3"]]:
    """Pictures as batches of at most ``batch``.

    Raises:
        XlxmertError: pictures of one batch differ in size.
    """
    stream = iter(pictures)
    while group := list(itertools.islice(stream, batch)):
        sizes = {tuple(picture.shape) for picture in group}
        if len(sizes) > 1:
            raise XlxmertError(
                f"expected pictures of one size, found {sorted(sizes)}: resize them as load_picture does"
            )
        yield torch.stack([torch.as_tensor(picture) for picture in group])


def _device(backbone: PictureNetwork) -> torch.device:
    return next(backbone.parameters()).device


def _together(backbone: PictureNetwork) -> int:
    """How many pictures go through the backbone at once: on a CPU, as many as stay in its cache."""
    return 4 if _device(backbone).type == "cpu" else 64
