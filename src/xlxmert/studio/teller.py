"""From pictures to words: captions, answers and whether a sentence fits; the picture is encoded once for them all."""

from collections.abc import Iterator, Sequence

import torch

from xlxmert.convert.folder import Bundle
from xlxmert.convert.looking import cannot_look
from xlxmert.core.axes import Float, Int, Tensor, UInt8
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.answers import AnswerTable
from xlxmert.sampling import Raster, Sampler, last
from xlxmert.sampling.words import blank, draft_likelihood, pseudo_log_likelihood, write
from xlxmert.studio.networks import WritingNetwork
from xlxmert.studio.results import Answer, Caption
from xlxmert.studio.sentences import prefix_ids, read_sentences, word_ids

SAMPLER = Raster()
"""How captions are written unless the caller says otherwise: from left to right, the likeliest word."""
LENGTHS = (4, 14)
"""The shortest and longest caption tried, in tokens, unless the checkpoint's fact ``caption_words`` says otherwise."""
CANDIDATES = 48
"""Sentences that are written together."""
FINALS = 6
"""Drafts per wanted caption that are scored exactly."""
PAIRS = 64
"""Pairs of sentence and picture that are crossed together."""
Seen = Int[Tensor, "B N"] | Float[Tensor, "B N F"]
"""Pictures as the model reads them: codes or features."""


class Teller:
    """Looks at pictures with one checkpoint on one device.

    Args:
        bundle: the checkpoint, already on the device.
        device: where it lies.
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        """Keep the parts; nothing is computed yet."""
        self.bundle, self.device = bundle, device
        self._ids = word_ids(bundle.tokenizer)

    @torch.inference_mode()
    def codes(self, pictures: UInt8[Tensor, "B S S 3"]) -> Int[Tensor, "B N"]:
        """The visual codes of pictures.

        Raises:
            XlxmertError: the checkpoint cannot look at pictures.
        """
        vocabulary = self.bundle.vocabulary
        if vocabulary is None:
            raise cannot_look(self.bundle.facts, "checkpoint", "--checkpoint")
        return vocabulary.encode(pictures)

    @torch.inference_mode()
    def seen(self, pictures: UInt8[Tensor, "B S S 3"]) -> Seen:
        """What the model reads of pictures: codes, or features where it has no codes or was fine-tuned on features.

        Raises:
            XlxmertError: the checkpoint cannot look at pictures.
        """
        reads_features = self.bundle.facts.get("visual_input") == "features" or self.bundle.model.centroids is None
        if self.bundle.vocabulary is None or not reads_features:
            return self.codes(pictures)
        return self.bundle.vocabulary.features(pictures)

    @torch.inference_mode()
    def caption(self, seen: Seen, count: int, prefix: str, sampler: Sampler, seed: int) -> Iterator[list[Caption]]:
        """The ``count`` likeliest of the sentences written for each picture, best first.

        1. For each picture, each length and each of ``count`` seeds, write a draft.
        2. Of the drafts that were surest while being written, score each by its pseudo-log-likelihood, one masked token
           at a time.
        3. Keep the different ones of highest score.

        Raises:
            UsageError: the count is below 1, or the prefix cannot be used.
        """
        if count < 1:
            raise UsageError(f"expected to write at least 1 caption, found {count}: ask for 1 or more")
        start = prefix_ids(self.bundle.tokenizer, prefix, self.bundle.most_words)
        drafts = [(length, seed + extra) for length in self._lengths(len(start)) for extra in range(count)]
        together = max(1, CANDIDATES // len(drafts))
        for chunk in torch.split(seen, together):
            vision = self.bundle.model.encode_picture(chunk).repeat_interleave(len(drafts), 0)  # (B * drafts, N, D)
            network = WritingNetwork(self.bundle.model, vision)
            lengths, seeds = (list(values) * len(chunk) for values in zip(*drafts, strict=True))
            starts = [start] * len(lengths)
            draft = last(write(network, starts, lengths, sampler, seeds, self._ids, self.device))  # (B * drafts, T)
            written = blank(starts, lengths, self._ids, self.device)[1]  # (B * drafts, T)
            sure = draft_likelihood(draft, written).view(len(chunk), -1)  # (B, drafts)
            finals = sure.topk(min(len(drafts), FINALS * count), dim=1).indices  # (B, finals)
            rows = finals + len(drafts) * torch.arange(len(chunk), device=finals.device)[:, None]
            words = draft.codes[rows.flatten()]  # (B * finals, T)
            judge = WritingNetwork(self.bundle.model, vision[rows.flatten()])
            scores = pseudo_log_likelihood(judge, words, self._ids).tolist()
            found = list(zip(map(self.bundle.tokenizer.decode, words.cpu()), scores, strict=True))
            for first in range(0, len(found), finals.shape[1]):
                yield best_captions(found[first : first + finals.shape[1]], count)

    @torch.inference_mode()
    def answer(self, seen: Seen, questions: Sequence[str], top: int) -> list[list[list[Answer]]]:
        """The ``top`` answers to every question about every picture, most probable first.

        Raises:
            UsageError: a question cannot be used, or fewer than 1 answer is asked for.
            XlxmertError: the checkpoint knows no answers.
        """
        rows = self._top(self._crossed(seen, questions, _all_pairs(seen, questions), "question"), top)
        return [rows[start : start + len(questions)] for start in range(0, len(rows), len(questions))]

    @torch.inference_mode()
    def reply(
        self, seen: Seen, questions: Sequence[str], top: int, rows: Sequence[int] | None = None
    ) -> list[list[Answer]]:
        """As `answer`, with one picture per question: that of its number, or the row of ``seen`` that ``rows`` gives.

        Raises:
            UsageError: a question cannot be used, or there is not one per picture.
            XlxmertError: the checkpoint knows no answers.
        """
        return self._top(self._crossed(seen, questions, _beside(seen, questions, rows), "question"), top)

    @torch.inference_mode()
    def match(self, seen: Seen, sentences: Sequence[str]) -> Float[Tensor, "B S"]:
        """The probability that each sentence belongs to each picture.

        Raises:
            UsageError: a sentence cannot be used.
        """
        return self.odds(seen, sentences).sigmoid()

    @torch.inference_mode()
    def odds(self, seen: Seen, sentences: Sequence[str]) -> Float[Tensor, "B S"]:
        """The logarithm of the odds that each sentence belongs to each picture: where probabilities are all 1, these
        still differ.

        Raises:
            UsageError: a sentence cannot be used.
        """
        pooled = self._crossed(seen, sentences, _all_pairs(seen, sentences), "sentence")
        return self._matched(pooled).view(len(seen), len(sentences))

    @torch.inference_mode()
    def fit(self, seen: Seen, sentences: Sequence[str], rows: Sequence[int] | None = None) -> Float[Tensor, " S"]:
        """As `match`, with one picture per sentence; see `reply`.

        Raises:
            UsageError: a sentence cannot be used, or there is not one per picture.
        """
        return self._matched(self._crossed(seen, sentences, _beside(seen, sentences, rows), "sentence")).sigmoid()

    @torch.inference_mode()
    def verify(self, seen: Seen, statements: Sequence[str], sides: Int[Tensor, "S 2"]) -> Float[Tensor, " S"]:
        """The probability that each statement holds of the two pictures whose rows of ``seen`` ``sides`` gives.

        Raises:
            UsageError: a statement cannot be used.
            XlxmertError: the checkpoint has no head for pairs.
        """
        own = torch.arange(len(statements))
        pairs = torch.cat([torch.stack([side, own], 1) for side in sides.unbind(1)])  # lefts, then rights
        pooled = torch.cat(list(self._crossed(seen, statements, pairs, "statement")))
        return self.bundle.model.pair_logits(*pooled.chunk(2)).softmax(-1)[:, 1].cpu()

    def _top(self, pooled: Iterator[Float[Tensor, "P D"]], top: int) -> list[list[Answer]]:
        """The most probable answers of each pair."""
        table = self._answers()
        if top < 1:
            raise UsageError(f"expected to give at least 1 answer, found {top}: ask for 1 or more")
        chances = torch.cat([self.bundle.model.answer_logits(chunk).softmax(-1) for chunk in pooled])
        best = chances.topk(min(top, len(table)), dim=-1)
        return [
            [Answer(table[place], chance) for place, chance in zip(places, values, strict=True)]
            for places, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def _matched(self, pooled: Iterator[Float[Tensor, "P D"]]) -> Float[Tensor, " P"]:
        """The logarithm of each pair's odds to belong together."""
        logits = torch.cat([self.bundle.model.matching_logits(chunk) for chunk in pooled]).float()
        return (logits[:, 1] - logits[:, 0]).cpu()

    def _crossed(
        self, seen: Seen, sentences: Sequence[str], pairs: Int[Tensor, "P 2"], what: str
    ) -> Iterator[Float[Tensor, "P D"]]:
        """One vector for each pair of picture and sentence, in chunks; each side is encoded once."""
        model = self.bundle.model
        words, _ = read_sentences(self.bundle.tokenizer, sentences, self.bundle.most_words, what)
        words = words.to(self.device)
        language, mask = model.encode_words(words), words > 0
        vision = torch.cat([model.encode_picture(chunk) for chunk in torch.split(seen, PAIRS)])
        for picture, sentence in (chunk.unbind(1) for chunk in torch.split(pairs.to(self.device), PAIRS)):
            yield model.pooler(model.cross_words(language[sentence], vision[picture], mask[sentence]))  # (P, D)

    def _lengths(self, given: int) -> range:
        """The lengths to try after a prefix of ``given`` tokens: a few more at least."""
        low, high = self.bundle.facts.get("caption_words", LENGTHS)
        high = min(self.bundle.most_words, max(high, given + 4))
        return range(min(max(low, given + 1), high), high + 1)

    def _answers(self) -> AnswerTable:
        if self.bundle.answers is None:
            raise XlxmertError(
                "answering needs a checkpoint with answers (found none in it): name another with --checkpoint"
            )
        return self.bundle.answers


def _all_pairs(seen: Seen, sentences: Sequence[str]) -> Int[Tensor, "P 2"]:
    """Every picture with every sentence, pictures outside."""
    return torch.cartesian_prod(torch.arange(len(seen)), torch.arange(len(sentences))).view(-1, 2)


def _beside(seen: Seen, sentences: Sequence[str], rows: Sequence[int] | None) -> Int[Tensor, "P 2"]:
    """Each sentence with the picture of its number, or of the row that is given for it."""
    rows = range(len(seen)) if rows is None else rows
    if len(sentences) != len(rows):
        raise UsageError(f"expected {len(rows)} sentences, one per picture, found {len(sentences)}: pass as many")
    return torch.stack([torch.tensor(list(rows), dtype=torch.long), torch.arange(len(rows))], 1)


def best_captions(found: Sequence[tuple[str, float]], count: int) -> list[Caption]:
    """The different texts of highest score, best first."""
    ordered = sorted(found, key=lambda pair: -pair[1])
    different = {text: score for text, score in reversed(ordered)}  # the best score of a text is written last
    return [Caption(text, different[text]) for text in dict.fromkeys(text for text, _ in ordered)][:count]
