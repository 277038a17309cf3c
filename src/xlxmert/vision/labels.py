"""Features that tell things apart: a small net that is taught the names and attributes of what stands in a cell.

The papers' visual features come from a detector that had learned the objects and attributes of Visual Genome before any
of their models was trained (LXMERT section 4.1; X-LXMERT section C.1). A backbone trained on ImageNet alone knows
neither the colours nor many of the shapes of one's own pictures. `teach` gives it the same lesson with whatever boxes
there are: a net over each cell's feature learns to name the thing in the cell, its attributes and the part of the
thing that the cell shows. Its last inner vector is then the larger share of the cell's feature.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.core.seeds import torch_generator

LESSONS = 3000
"""Steps of teaching, unless said otherwise."""
CELLS = 3072
"""Labelled cells per step of teaching: two in three with a thing in them."""


@dataclass(frozen=True)
class CellLabels:
    """What stands in each of M cells."""

    things: Int[Tensor, " M"]
    """The thing's name by number; 0 where the cell shows no thing."""
    attributes: Bool[Tensor, "M A"]
    """Which of A attributes the thing has."""
    parts: Int[Tensor, " M"]
    """A number for the kind of thing, its attributes and the place in it, all at once; -1 where there is none."""

    def __len__(self) -> int:
        """M, the number of cells."""
        return len(self.things)


class LabelEmbedding(nn.Module):
    """A cell's feature to a vector of length sqrt(E) that tells things apart, beside the feature itself.

    Args:
        width: F, of the plain feature.
        embedded: E, of the learned vector.
        inner: of the hidden layers.
    """

    plain: Tensor
    """What the plain feature is multiplied with."""

    def __init__(self, width: int, embedded: int, inner: int = 256) -> None:
        """Build the net; see the class."""
        super().__init__()
        self.first = nn.Linear(width, inner)
        self.second = nn.Linear(inner, inner)
        self.last = nn.Linear(inner, embedded)
        self.register_buffer("plain", torch.ones(()))

    def embed(self, features: Float[Tensor, "*any F"]) -> Float[Tensor, "*any E"]:
        """The learned vector alone."""
        x: Tensor = F.gelu(self.first(features))
        x = x + F.gelu(self.second(x))
        return F.normalize(self.last(x), dim=-1) * math.sqrt(self.last.out_features)

    def forward(self, features: Float[Tensor, "*any F"]) -> Float[Tensor, "*any G"]:
        """The learned vector and the scaled plain feature, side by side: G = E + F."""
        return torch.cat([self.embed(features), features * self.plain], dim=-1)

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> "LabelEmbedding":
        """The net whose ``state_dict`` was saved."""
        inner, width = tensors["first.weight"].shape
        net = cls(width, len(tensors["last.weight"]), inner)
        net.load_state_dict(tensors)
        return net.requires_grad_(False)


class _Lessons(nn.Module):
    """The embedding with the heads that teach it, which are thrown away afterwards."""

    def __init__(self, net: LabelEmbedding, labels: CellLabels) -> None:
        super().__init__()
        self.net, embedded = net, net.last.out_features
        self.things = nn.Linear(embedded, int(labels.things.max()) + 1)
        self.attributes = nn.Linear(embedded, max(labels.attributes.shape[1], 1))
        self.parts = nn.Linear(embedded, max(int(labels.parts.max()) + 1, 1))

    def forward(self, features: Tensor, labels: CellLabels) -> Tensor:
        x = self.net.embed(features)
        there, part = labels.things > 0, labels.parts >= 0
        loss = F.cross_entropy(self.things(x).float(), labels.things)
        if bool(there.any()) and labels.attributes.shape[1]:
            scores, wanted = self.attributes(x[there]).float(), labels.attributes[there].float()
            loss = loss + F.binary_cross_entropy_with_logits(scores, wanted, reduction="none").sum(1).mean() / 2
        if bool(part.any()):
            loss = loss + F.cross_entropy(self.parts(x[part]).float(), labels.parts[part]) / 4
        return loss


def teach(
    features: Float[Tensor, "M F"],
    labels: CellLabels,
    embedded: int,
    plain_weight: float,
    steps: int,
    seed: int = 0,
) -> LabelEmbedding:
    """Train a `LabelEmbedding` on labelled cells.

    Args:
        features: of M cells, as the blocks' maps give them.
        labels: of the same cells.
        embedded: E, width of the learned vector.
        plain_weight: how long the plain feature is beside the learned vector (root mean square): what keeps codes of
            plain areas, and of one thing in another light, apart.
        steps: of training, with `CELLS` cells each.
        seed: of the start and of the cells drawn.

    Raises:
        XlxmertError: features and labels differ in number, or no cell shows a thing.
    """
    there, empty = (labels.things > 0).nonzero().flatten(), (labels.things == 0).nonzero().flatten()
    if len(features) != len(labels):
        raise XlxmertError(f"expected labels for {len(features)} cells, found {len(labels)}: label the same pictures")
    if not len(there):
        raise XlxmertError(
            f"expected things in some of the {len(labels)} cells, found none: check that the annotations are of these "
            "pictures, or fit the vocabulary without them"
        )
    generator, device = torch_generator(seed, "labels"), features.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        lessons = _Lessons(LabelEmbedding(features.shape[1], embedded), labels).to(device)
    optimiser = torch.optim.AdamW(lessons.parameters(), lr=2e-3)
    for step in range(steps):
        rows = torch.cat([_some(there, CELLS * 2 // 3, generator), _some(empty, CELLS // 3, generator)])
        few = CellLabels(labels.things[rows], labels.attributes[rows], labels.parts[rows])
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):  # a caller's cache would go stale
            loss = lessons(features[rows], few)
        optimiser.param_groups[0]["lr"] = 2e-3 * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(lessons.parameters(), 1.0)
        optimiser.step()
    net = lessons.net.requires_grad_(False)
    length = float(features.square().sum(-1).mean().sqrt().clamp(min=1e-8))
    net.plain.fill_(plain_weight * embedded**0.5 / length)
    return net


def _some(rows: Int[Tensor, " R"], count: int, generator: torch.Generator) -> Int[Tensor, " C"]:
    if not len(rows):
        return rows
    return rows[torch.randint(len(rows), (count,), generator=generator)]
