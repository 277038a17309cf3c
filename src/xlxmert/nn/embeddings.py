"""From ids, features and boxes to vectors of the transformer's width: the first step inside every model."""

import torch
from torch import nn

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import XlxmertError
from xlxmert.nn.blocks import NORM_EPS
from xlxmert.nn.initialise import INIT_STD
from xlxmert.nn.linear import Linear


class WordEmbeddings(nn.Module):
    """``dropout(LayerNorm(word + position + token type))`` (LXMERT section 2.1).

    Row 0 of each table receives no gradient through the look-up, as in the reference code: among words it is padding;
    at position 0 (always ``[CLS]``) and type 0 it is a constant that the other tables can express.
    """

    def __init__(self, vocabulary: int, width: int, max_text: int, token_types: int, dropout: float = 0.0):
        """Build the tables; ``max_text`` is the longest text in tokens; there may be no token types."""
        super().__init__()
        self.word = nn.Embedding(vocabulary, width, padding_idx=0)
        self.position = nn.Embedding(max_text, width, padding_idx=0)
        self.token_type = nn.Embedding(token_types, width, padding_idx=0) if token_types else None
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        words: Int[Tensor, "B T"],
        token_types: Int[Tensor, "B T"] | None = None,
        places: Int[Tensor, "B2 T"] | None = None,
        first: int = 0,
    ) -> Float[Tensor, "B T D"]:
        """Embed token ids; the token type is 0 by default, and the positions count from ``first``, or are ``places``.

        Raises:
            XlxmertError: there are more tokens than positions.
        """
        length = first + words.shape[1]
        if length > self.position.num_embeddings:
            raise XlxmertError(
                f"texts must have at most {self.position.num_embeddings} tokens (found {length}): "
                "shorten them or build the model with a larger max_text"
            )
        places = torch.arange(first, length, device=words.device) if places is None else places
        place = self.position(places)  # (T, D) or (B2, T, D)
        if self.token_type is not None:
            place = place + self.token_type(words.new_zeros(1) if token_types is None else token_types)
        x = self.word(words) + place  # (B, T, D)
        return to_compute_dtype(self.dropout(self.norm(x)))  # (B, T, D)


class FeatureContent(nn.Module):
    """Visual features through one linear map; hidden cells show a learned mask feature in the features' own space.

    Without a ``mask_std`` these are zeros that nothing learns (LXMERT section 3.1.2). With 0 the mask feature starts at
    zero, as in the reference code of X-LXMERT. The bias starts at zero too, so the norm that follows divides by the
    root of its tiny epsilon: until both have moved, their gradients are about ten thousand times all others, which
    matters to a training from scratch with clipped gradients.
    """

    def __init__(self, feature_width: int, width: int, mask_std: float | None = 0.0):
        """Build ``feature_width`` → ``width``; ``mask_std`` is the spread of the mask feature at the start."""
        super().__init__()
        self.linear = Linear(feature_width, width)
        learned = None if mask_std is None else nn.Parameter(torch.empty(feature_width).normal_(std=mask_std))
        self.register_parameter("mask", learned)

    def forward(self, features: Float[Tensor, "B N F"], hidden: Bool[Tensor, "B N"] | None) -> Float[Tensor, "B N D"]:
        """Project; one product serves all hidden cells, which equals replacing their features before the map."""
        x: Tensor = self.linear(features)  # (B, N, D)
        if hidden is None:
            return x
        shown = self.linear.bias.to(x) if self.mask is None else self.linear(self.mask)  # (D)
        return torch.where(hidden[..., None], shown, x)


class CodeContent(nn.Module):
    """Visual codes through a learned table; hidden cells show a learned mask embedding."""

    def __init__(self, codes: int, width: int):
        """Build a table of ``codes`` rows."""
        super().__init__()
        self.table = nn.Embedding(codes, width)
        self.mask = nn.Parameter(torch.empty(width).normal_(std=INIT_STD))

    def forward(self, codes: Int[Tensor, "B N"], hidden: Bool[Tensor, "B N"] | None) -> Float[Tensor, "B N D"]:
        """Look the codes up."""
        x: Tensor = self.table(codes)  # (B, N, D)
        return x if hidden is None else torch.where(hidden[..., None], self.mask, x)


class VisualEmbeddings(nn.Module):
    """``dropout((LayerNorm(content) + LayerNorm(place)) / 2)`` (LXMERT equation 1).

    The content is the sum of what is given: projected features, embedded codes, or both. The place is the box through a
    linear map, plus, with ``places``, a learned vector for each cell of the grid.
    """

    def __init__(
        self,
        features: FeatureContent | None,
        codes: CodeContent | None,
        width: int,
        places: int = 0,
        dropout: float = 0.0,
    ):
        """Put the readers of content together; ``places`` counts the grid's cells, 0 for boxes alone."""
        super().__init__()
        self.features = features
        self.codes = codes
        self.content_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.box = Linear(4, width)
        self.places = nn.Parameter(torch.empty(places, width).normal_(std=INIT_STD)) if places else None
        self.box_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        features: Float[Tensor, "B N F"] | None,
        codes: Int[Tensor, "B N"] | None,
        boxes: Float[Tensor, "B2 N 4"],
        hidden: Bool[Tensor, "B N"] | None = None,
    ) -> Float[Tensor, "B N D"]:
        """Embed visual tokens; one row of ``boxes`` may serve the whole batch; ``hidden`` is True at masked cells."""
        parts = []
        if self.features is not None and features is not None:
            parts.append(self.features(features, hidden))  # (B, N, D)
        if self.codes is not None and codes is not None:
            parts.append(self.codes(codes, hidden))  # (B, N, D)
        content = self.content_norm(parts[0] if len(parts) == 1 else parts[0] + parts[1])  # (B, N, D)
        return to_compute_dtype(self.dropout((content + self.place(boxes)) * 0.5))  # (B, N, D)

    def place(self, boxes: Float[Tensor, "B2 N 4"]) -> Float[Tensor, "B2 N D"]:
        """Where the visual tokens are.

        Raises:
            XlxmertError: the model has learned places and the number of visual tokens is another.
        """
        return self.box_norm(_placed(self.box(boxes), self.places))  # type: ignore[no-any-return]


class RegionEmbeddings(nn.Module):
    """``dropout(LayerNorm(Linear([feature; position])))`` (XGPT section 3; the norm is its code's).

    The position has five numbers: the box and the share of the picture that it covers.
    """

    def __init__(self, feature_width: int, width: int, places: int = 0, unit: bool = False, dropout: float = 0.0):
        """Build for features; ``places`` counts a grid's cells, each with a learned vector, 0 for boxes alone.

        ``unit`` divides the five numbers by their norm, as the authors' code does.
        """
        super().__init__()
        self.linear = Linear(feature_width + 5, width)
        self.places = nn.Parameter(torch.empty(places, width).normal_(std=INIT_STD)) if places else None
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.dropout = nn.Dropout(dropout)
        self.unit = unit

    def forward(self, features: Float[Tensor, "B N F"], boxes: Float[Tensor, "B2 N 4"]) -> Float[Tensor, "B N D"]:
        """Embed regions; one row of ``boxes`` may serve the whole batch.

        Raises:
            XlxmertError: the model has learned places and the number of regions is another.
        """
        position = box_position(boxes, self.unit).to(features).expand(features.shape[0], -1, -1)  # (B, N, 5)
        x = _placed(self.linear(torch.cat([features, position], -1)), self.places)  # (B, N, D)
        return to_compute_dtype(self.dropout(self.norm(x)))  # (B, N, D)


def _placed(x: Float[Tensor, "B N D"], places: Float[Tensor, "cells D"] | None) -> Float[Tensor, "B N D"]:
    """Visual tokens with the learned vectors of their cells, if there are any."""
    if places is None:
        return x
    if places.shape[0] != x.shape[1]:
        raise XlxmertError(
            f"pictures must have {places.shape[0]} visual tokens (found {x.shape[1]}): this model has learned a "
            "position for each cell of its grid; use that grid, or grid_position='box'"
        )
    return x + places


def box_position(boxes: Float[Tensor, "B N 4"], unit: bool = False) -> Float[Tensor, "B N 5"]:
    """Boxes x0 y0 x1 y1 in [0, 1] and the share of the picture that each covers; of length 1 if ``unit``."""
    area = (boxes[..., 2:3] - boxes[..., 0:1]) * (boxes[..., 3:4] - boxes[..., 1:2])
    position = torch.cat([boxes, area], -1)  # (B, N, 5)
    return position / position.norm(dim=-1, keepdim=True).clamp(min=1e-12) if unit else position


def grid_boxes(grid: int) -> Float[Tensor, "N 4"]:
    """The cells of a ``grid`` x ``grid`` picture, row-major, as x0 y0 x1 y1 in [0, 1]."""
    edge = torch.arange(grid + 1) / grid
    rows, columns = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    return torch.stack([edge[columns], edge[rows], edge[columns + 1], edge[rows + 1]], 1)  # (N, 4)


def to_compute_dtype(x: Tensor) -> Tensor:
    """``x`` in the type that autocast computes in.

    Otherwise the residual stream stays in float32 and every product casts it again (7 % of a training step on a CPU).
    """
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return x.to(torch.get_autocast_dtype(kind))
    return x
