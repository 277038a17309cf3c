"""Half a sentence and half a picture: words and cells as one sequence that any sampler fills."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.models.base import Transformer
from xlxmert.nn.heads import FoldedHead
from xlxmert.sampling import Guidance, Step, last, mix, paint
from xlxmert.sampling.words import WordIds, as_network
from xlxmert.studio.blanks import blank_ids
from xlxmert.studio.options import PaintOptions
from xlxmert.studio.painter import Painter, draft_seed
from xlxmert.studio.rerank import agreement, best_rows


class JointNetwork:
    """Words and cells, words first, to logits as wide as the larger of both vocabularies.

    What the other side's vocabulary has more gets no probability, nor do words that may not be written. Guidance speaks
    through the cells alone: the sentence that guides is what the words are so far.

    Args:
        model: the transformer.
        unknown: (B, T + N) the words and cells that are filled.
        width: T, tokens of the sentences.
        ids: the tokens that frame a sentence and those that are never written.
        head: what gives the codes' logits.
        guidance: how strongly the words speak.
        against: (1, U) what the pictures are guided away from.
    """

    def __init__(
        self,
        model: Transformer,
        unknown: Bool[Tensor, "B L"],
        width: int,
        ids: WordIds,
        head: FoldedHead,
        guidance: Guidance,
        against: Int[Tensor, "1 U"],
    ) -> None:
        """Encode what the pictures are guided away from; see the class."""
        self.model, self.width, self.ids, self.head = model, width, ids, head
        self.guidance, self.unknown = guidance, unknown[:, width:]
        self.against = model.encode_words(against) if guidance.strength else None  # (1, U, D)

    def __call__(self, tokens: Int[Tensor, "B L"], hidden: Bool[Tensor, "B L"]) -> Float[Tensor, "B L M"]:
        """Logits for every word and every cell."""
        (words, cells), (blanks, dark) = (part.tensor_split([self.width], dim=1) for part in (tokens, hidden))
        mask = words > 0
        language = self.model.encode_words(words.masked_fill(blanks, self.ids.mask), mask)  # (B, T, D)
        vision = self.model.encode_picture(cells, hidden=dark)  # (B, N, D)
        both = self.model.cross(language, vision, mask)
        write = as_network(lambda _: self.model.word_logits(both.language), self.ids)
        sides = [write(words, blanks), self._code_logits(both.vision, vision, dark)]  # (B, T, V), (B, N, K)
        most = max(side.shape[-1] for side in sides)
        return torch.cat([F.pad(side, (0, most - side.shape[-1]), value=float("-inf")) for side in sides], 1)

    def _code_logits(
        self, told: Float[Tensor, "B N D"], vision: Float[Tensor, "B N D"], dark: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B N K"]:
        """The cells' logits, guided where cells are filled at all."""
        strength = self.guidance.at(dark, self.unknown)  # (B)
        if self.against is None or not bool(self.unknown.any() and strength.any()):
            return self.head(told)
        untold = self.model.cross_picture(self.against.expand(len(vision), -1, -1), vision)  # (B, N, D)
        return self.head.scores(mix(self.head.transform(told), self.head.transform(untold), strength))


@dataclass(frozen=True)
class Filled:
    """Sentences and pictures without gaps."""

    words: Int[Tensor, "B T"]
    codes: Int[Tensor, "B N"]
    drawn: list[int]
    """The seed that each was drawn with."""
    scores: list[float | None]
    """How well both fit, in log-odds, where the best of several drafts was chosen."""


class JointPainter:
    """Fills words and cells together, with one checkpoint.

    Args:
        painter: whose model, head and guidance are used.
    """

    def __init__(self, painter: Painter) -> None:
        """Find out which words may be written."""
        self.painter, self.bundle = painter, painter.bundle
        self.ids = blank_ids(painter.bundle.tokenizer)

    @torch.inference_mode()
    def fill(
        self,
        words: Int[Tensor, "B T"],
        blanks: Bool[Tensor, "B T"],
        codes: Int[Tensor, "B N"],
        unknown: Bool[Tensor, "B N"],
        seeds: Sequence[int],
        options: PaintOptions,
    ) -> Filled:
        """Fill the ``blanks`` of the sentences and the ``unknown`` cells; the seeds do what they do in `Painter.fill`.

        Raises:
            UsageError: there is nothing to fill, or the guidance cannot be used.
            XlxmertError: the checkpoint cannot paint.
        """
        count = options.best_of
        drawn = [draft_seed(seed, draft) for seed in seeds for draft in range(count)]
        words, blanks, codes, unknown = (part.repeat_interleave(count, 0) for part in (words, blanks, codes, unknown))
        done = last(self.steps(words, blanks, codes, unknown, drawn, options)).codes  # (B * drafts, T + N)
        words, codes = done.tensor_split([words.shape[1]], dim=1)
        if count == 1:
            return Filled(words, codes, drawn, [None] * len(seeds))
        scores = agreement(self.bundle.model, words, codes, self.ids, options.likelihood)
        best = best_rows(scores, count)
        return Filled(words[best], codes[best], [drawn[row] for row in best.tolist()], scores[best].tolist())

    def steps(
        self,
        words: Int[Tensor, "B T"],
        blanks: Bool[Tensor, "B T"],
        codes: Int[Tensor, "B N"],
        unknown: Bool[Tensor, "B N"],
        seeds: Sequence[int],
        options: PaintOptions,
    ) -> Iterator[Step]:
        """The sampler's stream over words and cells; see `fill`."""
        self.painter.check()
        tokens, hidden = torch.cat([words, codes], 1), torch.cat([blanks, unknown], 1)  # (B, T + N)
        guidance, against = self.painter.guidance(options), self.painter.against(options.negative)
        network = JointNetwork(
            self.bundle.model, hidden, words.shape[1], self.ids, self.painter.head, guidance, against
        )
        return paint(network, tokens, hidden, options.sampler, seeds)
