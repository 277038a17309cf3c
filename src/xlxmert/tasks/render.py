"""Training the image generator: pictures and their codes in, a network from codes to pixels out (X-LXMERT, app. D)."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from xlxmert.core.axes import Float, Tensor, UInt8
from xlxmert.core.errors import XlxmertError
from xlxmert.core.files import atomic_path
from xlxmert.core.seeds import numpy_generator, seed_of
from xlxmert.core.task import WHOLE, Part, Player
from xlxmert.metrics.image import psnr
from xlxmert.models.generator import Discriminator, Generator
from xlxmert.tasks.render_players import (
    DiscriminatorTurn,
    FeatureMaps,
    GeneratorTurn,
    Painter,
    RenderBatch,
    RenderConfig,
    evaluating,
)

__all__ = ["FeatureMaps", "RenderBatch", "RenderConfig", "RenderTask", "mean_patches", "picture_cells", "write_sheet"]


class RenderTask:
    """Learn to paint pictures from their codes.

    Players are the generator and, unless ``adversarial_from`` is -1, its discriminator.

    Raises:
        XlxmertError: codes and centroids do not fit each other or the generator, or a needed discriminator is missing.
    """

    name = "render"

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator | None,
        pictures: Callable[[int], np.ndarray],
        codes: np.ndarray,
        centroids: Float[Tensor, "K F"],
        config: RenderConfig,
        network: FeatureMaps | None = None,
        seed: int = 0,
    ) -> None:
        """Put the task together.

        Args:
            generator: what is trained.
            discriminator: its opponent; None only without adversarial losses.
            pictures: a picture's index to its uint8 pixels (S, S, 3).
            codes: uint16 (P, N), the codes of all pictures.
            centroids: the codebook.
            config: weights and rates.
            network: the frozen network of the perceptual loss; None: no such loss.
            seed: decides the order of the pictures and all noise.
        """
        self.config, self.seed, self.pictures, self.codes = config, seed, pictures, codes
        self.generator = generator
        self.discriminator: Discriminator | None = None
        self._check(centroids)
        self.painter = Painter(generator, centroids)
        if config.adversarial_from >= 0:
            if discriminator is None:
                raise XlxmertError(
                    "adversarial training needs a discriminator (found none): pass one or adversarial_from=-1"
                )
            discriminator.set_centroids(centroids)
            self.discriminator = discriminator
        self._players = self._seat(network)

    def _seat(self, network: FeatureMaps | None) -> list[Player]:
        """Generator first, then its opponent, as the reference trains them."""
        config = self.config
        turn = GeneratorTurn(self.painter, self.discriminator, network, config)
        players = [Player("generator", turn, config.generator_optim, trains=self.generator, ema=True)]
        if self.discriminator is not None:
            other = DiscriminatorTurn(self.painter, self.discriminator, config)
            players.append(Player("discriminator", other, config.discriminator_optim, trains=self.discriminator))
        return players

    def _check(self, centroids: Tensor) -> None:
        """Complain about codes, codebook and generator that do not belong together."""
        shape, cells = self.generator.config, self.generator.config.grid**2
        if self.codes.ndim != 2 or self.codes.shape[1] != cells or not len(self.codes):
            raise XlxmertError(
                f"codes must be of shape (pictures, {cells}) (found {self.codes.shape}): prepare the pictures anew"
            )
        if centroids.shape[1] != shape.feature_width:
            raise XlxmertError(
                f"the generator reads features of width {shape.feature_width} (found centroids of width "
                f"{centroids.shape[1]}): set feature_width to the codebook's"
            )
        if int(self.codes.max()) >= len(centroids):
            raise XlxmertError(
                f"codes must be below {len(centroids)} (found {int(self.codes.max())}): made with another codebook"
            )

    def players(self) -> Sequence[Player]:
        """Generator and, in adversarial training, discriminator."""
        return self._players

    def modules(self) -> Mapping[str, nn.Module]:
        """The networks that a checkpoint holds."""
        kept: dict[str, nn.Module] = {"generator": self.generator}
        if self.discriminator is not None:
            kept["discriminator"] = self.discriminator
        return kept

    def batch(self, step: int, size: int, part: Part = WHOLE) -> RenderBatch:
        """The batch of a step: every epoch goes through all pictures once, in an order of its own."""
        places = range(step * size, (step + 1) * size)[part.rows(size)]
        indices = [self._index(place) for place in places]
        seeds = [seed_of(self.seed, "noise", place) for place in places]
        return self._load(indices, seeds, step, part.share(size))

    def _index(self, place: int) -> int:
        """The picture at this place of the endless stream."""
        epoch, position = divmod(place, len(self.codes))
        return int(self._order(epoch)[position])

    def _order(self, epoch: int) -> np.ndarray:
        """The order of the pictures in an epoch; the last one is kept."""
        kept: tuple[int, np.ndarray] | None = getattr(self, "_kept_order", None)
        if kept is None or kept[0] != epoch:
            kept = (epoch, numpy_generator(self.seed, "order", epoch).permutation(len(self.codes)))
            self._kept_order = kept
        return kept[1]

    def _load(self, indices: Sequence[int], seeds: Sequence[int], number: int, share: float = 1.0) -> RenderBatch:
        """The pictures at these indices as a batch."""
        pixels = np.stack([self._picture(index) for index in indices])  # (B, S, S, 3)
        return RenderBatch(
            pictures=torch.from_numpy(pixels).permute(0, 3, 1, 2),  # channels-last in memory
            codes=torch.from_numpy(self.codes[list(indices)].astype(np.int64)),
            seeds=torch.tensor(seeds),
            number=torch.tensor(number),
            share=share,
        )

    def _picture(self, index: int) -> np.ndarray:
        """One picture, checked."""
        picture, side = self.pictures(index), self.generator.config.size
        if picture.shape != (side, side, 3) or picture.dtype != np.uint8:
            raise XlxmertError(
                f"picture {index} must be uint8 of shape {(side, side, 3)} (found {picture.dtype} {picture.shape}): "
                "resize it first"
            )
        return picture

    @torch.inference_mode()
    def reconstruct(self, indices: Sequence[int], generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """True and painted pictures (B, 3, S, S) in [-1, 1] at these indices; the training generator, or another."""
        device = self.painter.centroids.device
        batch = self._load(indices, [seed_of(self.seed, "preview", index) for index in indices], 0)
        chosen = generator or self.generator
        with evaluating(chosen):
            fake = Painter(chosen, self.painter.centroids)(batch.codes.to(device), batch.seeds)
        return batch.real(), fake.float().cpu()

    def score(self, indices: Sequence[int], generator: Generator | None = None) -> float:
        """Mean PSNR in decibels of the painted pictures at these indices."""
        return float(psnr(*self.reconstruct(indices, generator)).mean())

    def preview(self, folder: Path, step: int, averages: Mapping[str, nn.Module]) -> None:
        """Write ``render-<step>.png``: true pictures above, painted ones (by the moving average, if any) below."""
        average = averages.get("generator", self.generator)
        assert isinstance(average, Generator)
        indices = np.unique(np.linspace(0, len(self.codes) - 1, 8).astype(int)).tolist()
        write_sheet(folder / f"render-{step:06d}.png", *self.reconstruct(indices, average))


def mean_patches(
    pictures: Callable[[int], np.ndarray], codes: np.ndarray, size: int
) -> tuple[Float[Tensor, "K 3 s s"], Float[Tensor, " K"]]:
    """What the cells of each code look like on average, in [-1, 1], and how many cells it has; grey where none.

    Args:
        pictures: a picture's index to its uint8 pixels (S, S, 3).
        codes: (P, N), the codes of the pictures from index 0 on.
        size: K.
    """
    grid = math.isqrt(codes.shape[1])
    sums, counts = torch.zeros(0), torch.zeros(size)
    for index, row in enumerate(codes):
        cells = picture_cells(pictures(index), grid)  # (N, 3, s, s)
        if not index:
            sums = torch.zeros(size, *cells.shape[1:])
        places = torch.from_numpy(row.astype(np.int64))
        sums.index_add_(0, places, cells)
        counts += torch.bincount(places, minlength=size)
    return sums / counts.clamp(min=1)[:, None, None, None], counts


def picture_cells(picture: UInt8[np.ndarray, "S S 3"], grid: int) -> Float[Tensor, "N 3 s s"]:
    """A picture cut into its cells, row-major, in [-1, 1]."""
    side = picture.shape[0] // grid
    cells = torch.from_numpy(np.array(picture)).view(grid, side, grid, side, 3)
    return cells.permute(0, 2, 4, 1, 3).reshape(grid * grid, 3, side, side).float() / 127.5 - 1


def write_sheet(target: Path, *rows: Float[Tensor, "B 3 S S"]) -> None:
    """Write rows of pictures in [-1, 1] as one PNG."""
    sheet = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)  # (3, rows * S, B * S)
    pixels = sheet.add(1).mul(127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    with atomic_path(target) as part:
        Image.fromarray(pixels).save(part, format="PNG")
