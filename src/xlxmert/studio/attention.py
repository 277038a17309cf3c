"""What looks at what: the attention between a sentence and a picture by kind, layer and head (LXMERT, appendix E)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.core.axes import Float, Int, Tensor, UInt8
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.nn.attention import watched
from xlxmert.studio.sentences import read_sentences

KINDS = ("word-region", "region-word", "word-word", "region-region")
"""Who looks, and at what."""
TWO_STREAMS = (
    (r"language_layers\.(\d+)\.attention", "language {}", ("word-word",)),
    (r"relation_layers\.(\d+)\.attention", "relation {}", ("region-region",)),
    (r"cross_layers\.(\d+)\.cross", "cross {}", ("word-region", "region-word")),
    (r"cross_layers\.(\d+)\.language\.attention", "cross {}", ("word-word",)),
    (r"cross_layers\.(\d+)\.vision\.attention", "cross {}", ("region-region",)),
)
"""Modules of LXMERT by name, what their layer is called, and the kind of each of their calls."""
ONE_STREAM = r"layers\.(\d+)\.attention"
"""Modules of a family that reads words and cells as one sequence, words first."""


@dataclass(frozen=True)
class LayerMaps:
    """The maps of one kind."""

    layers: tuple[str, ...]
    """The layers by name, in the order in which the model runs them."""
    weights: Float[np.ndarray, "layers H L S"]
    """How much each position that looks gives to each that is seen; rows sum to 1."""


@dataclass(frozen=True)
class Panel:
    """One map: of a head, or the mean of all heads."""

    title: str
    weights: Float[np.ndarray, "L S"]
    """Rows sum to 1."""


@dataclass(frozen=True)
class AttentionMaps:
    """All that a model looked at while it read one sentence and one picture."""

    picture: UInt8[np.ndarray, "S S 3"]
    """RGB pixels."""
    sentence: str
    tokens: tuple[str, ...]
    """The sentence as the model reads it, [CLS] and [SEP] included."""
    grid: int
    """Cells per side of the picture; they are counted row by row."""
    kinds: Mapping[str, LayerMaps]
    """The maps by kind, in the order of `KINDS`; a kind that the model has no layer for is absent."""
    notes: tuple[str, ...] = ()
    """What the user should know about the sentence, such as words that the model never saw."""

    def name(self, side: str, place: int) -> str:
        """What stands at a place of a ``side``, word or region, as a reader would call it."""
        return self.tokens[place] if side == "word" else f"row {place // self.grid + 1}, column {place % self.grid + 1}"

    def panels(
        self, kind: str, layer: int | None = None, head: int | None = None, each_head: bool = False
    ) -> list[Panel]:
        """Maps of a kind: one per layer, or those of one layer, the mean over heads unless told otherwise.

        Args:
            kind: one of `KINDS`.
            layer: counted from 1; by default every layer.
            head: counted from 1; by default the mean over all heads.
            each_head: a map for each head of the layer.

        Raises:
            UsageError: the model has no such kind, layer or head, or the choices contradict each other.
        """
        if kind not in self.kinds:
            raise UsageError(
                f"expected a kind of {', '.join(self.kinds)}, found '{kind}': choose what this model has a layer for"
            )
        if each_head and (layer is None or head is not None):
            found = "no layer" if layer is None else f"head {head} as well"
            raise UsageError(f"expected one layer for a map of each of its heads, found {found}: name a layer alone")
        layers, weights = self.kinds[kind].layers, self.kinds[kind].weights
        _check("layer", layer, len(layers), kind)
        _check("head", head, weights.shape[1], kind)
        chosen = range(len(layers)) if layer is None else (layer - 1,)
        said = kind.replace("-", " to ")
        if each_head:
            return [
                Panel(f"{said}, {layers[place]}, head {number}", one)
                for place in chosen
                for number, one in enumerate(weights[place], 1)
            ]
        told = f"mean of {weights.shape[1]} heads" if head is None else f"head {head}"
        maps = weights.mean(1) if head is None else weights[:, head - 1]
        return [Panel(f"{said}, {layers[place]}, {told}", maps[place]) for place in chosen]


@torch.inference_mode()
def attention_maps(
    bundle: Bundle,
    picture: UInt8[np.ndarray, "S S 3"],
    seen: Int[Tensor, "1 N"] | Float[Tensor, "1 N F"],
    sentence: str,
) -> AttentionMaps:
    """Read a sentence and a picture once and keep what looked at what.

    Args:
        bundle: the checkpoint.
        picture: the picture's pixels, kept for drawing.
        seen: what the model reads of it, codes or features.
        sentence: what is read beside it.

    Raises:
        UsageError: the sentence is empty, too long or without any known word.
        XlxmertError: none of the model's attention is known by name.
    """
    words, notes = read_sentences(bundle.tokenizer, [sentence], bundle.most_words, "sentence")
    with watched(bundle.model) as kept:
        bundle.model(words.to(seen.device), seen)
    tokens = tuple(str(bundle.tokenizer.engine.id_to_token(word)) for word in words[0].tolist())
    return AttentionMaps(picture, sentence, tokens, bundle.model.config.grid, by_kind(kept, len(tokens)), notes[0])


def by_kind(seen: Mapping[str, list[Tensor]], words: int) -> dict[str, LayerMaps]:
    """Sort what `watched` kept of one sentence and one picture.

    Args:
        seen: the weights (1, H, L, S) of each call by module name, in the model's order.
        words: T, tokens of the sentence.

    Raises:
        XlxmertError: none of the names is known, or a module was called more or less often than its family does.
    """
    found: dict[str, list[tuple[str, Tensor]]] = {kind: [] for kind in KINDS}
    for name, calls in seen.items():
        for kind, layer, weights in _sorted(name, calls, words):
            found[kind].append((layer, weights))
    if not any(found.values()):
        raise XlxmertError(
            f"expected attention in language_layers, relation_layers, cross_layers or layers, found {sorted(seen)}: "
            "the maps of this model family are not known"
        )
    return {
        kind: LayerMaps(
            tuple(layer for layer, _ in maps), torch.cat([weights for _, weights in maps]).float().cpu().numpy()
        )
        for kind, maps in found.items()
        if maps
    }


def blocks(joint: Float[Tensor, "B H L L"], words: int) -> dict[str, Float[Tensor, "B H L2 S2"]]:
    """The four maps inside one over ``words`` words and then cells.

    Each row is divided by its sum, so it says how a position shares out what it gives to this side; a row that gives
    this side nothing at all is even.
    """
    sides = {"word": slice(None, words), "region": slice(words, None)}
    cut = {kind: joint[..., sides[kind.split("-")[0]], sides[kind.split("-")[1]]].float() for kind in KINDS}
    return {kind: _shares(weights) for kind, weights in cut.items()}


def _sorted(name: str, calls: list[Tensor], words: int) -> Iterator[tuple[str, str, Tensor]]:
    """Kind, layer and weights of each map of a module; none for a module whose name says nothing."""
    if place := re.fullmatch(ONE_STREAM, name):
        (joint,) = _called(name, calls, 1)
        for kind, weights in blocks(joint, words).items():
            yield kind, f"layer {int(place[1]) + 1}", weights
    for pattern, title, kinds in TWO_STREAMS:
        if place := re.fullmatch(pattern, name):
            for kind, weights in zip(kinds, _called(name, calls, len(kinds)), strict=True):
                yield kind, title.format(int(place[1]) + 1), weights


def _called(name: str, calls: list[Tensor], expected: int) -> list[Tensor]:
    if len(calls) != expected:
        raise XlxmertError(
            f"expected {expected} call(s) of {name} for one sentence and one picture, found {len(calls)}: "
            "let nobody else use the model meanwhile"
        )
    return calls


def _shares(weights: Float[Tensor, "B H L S"]) -> Float[Tensor, "B H L S"]:
    """Rows that sum to 1."""
    total = weights.sum(-1, keepdim=True)  # (B, H, L, 1)
    return torch.where(total > 0, weights / total, 1 / weights.shape[-1])


def _check(what: str, number: int | None, most: int, kind: str) -> None:
    if number is not None and not 1 <= number <= most:
        raise UsageError(f"expected a {what} from 1 to {most} for {kind}, found {number}: choose one of them")
