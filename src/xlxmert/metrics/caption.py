"""Caption scores without Java: PTB-like tokens, corpus BLEU, ROUGE-L and CIDEr-D as COCO's evaluation has them.

Captions are lists of tokens here: ``candidates`` holds one per picture, ``references`` one or more, in the same order.
"""

import html
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xlxmert.core.errors import UsageError
from xlxmert.metrics.caption_java import JavaScore, java_scores

Tokens = Sequence[str]
Ngram = tuple[str, ...]

_DROPPED = frozenset(("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"))
"""Tokens that the evaluation leaves out; lower-cased brackets such as -lrb- stay in."""

_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}

_QUOTES = {"‘": "'", "’": "'", '"': " '' ", "“": " '' ", "”": " '' "}
_SIGNS = {"–": " -- ", "—": " -- ", "…": " ... ", "€": "$", "£": "#", "¢": " cents "}
_PLAIN = str.maketrans(_QUOTES | _SIGNS)

_TITLES = "mr mrs ms messrs dr prof rev hon jr sr gen sgt capt lt gov sen rep pres "
_ABBREVIATIONS = "st mt ave blvd rd sq ft bldg inc co corp ltd est tel vs etc al "
_MONTHS = "jan feb mar apr jun jul aug sep sept oct nov dec"
_STOPPED = "|".join((_TITLES + _ABBREVIATIONS + _MONTHS).split())

_TOKEN = re.compile(
    rf"""
      (?:https?://|www\.)[^\s"<>]+                      # web addresses
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                      # mail addresses
    | \.{{2,}} | [?!]{{2,}} | -{{2,}}                   # runs of one mark are one token
    | [^\W\d_](?:\.[^\W\d_])+\.?(?!\w)                  # u.s. a.m. t.v
    | (?:{_STOPPED})\.(?!\w)                            # abbreviations keep their full stop
    | (?:no|fig)\.(?=\s*\d)                            # no. 5
    | [^\W\d_]\.(?!\w)(?!\s*$)                         # initials, but not at the end
    | 'n' | '\d\ds | '?t(?=is\b|was\b) | y'(?=all\b)     # rock 'n' roll, the '80s, 'tis, y'all
    | n't(?!\w) | '(?:s|m|d|ll|re|ve)(?!\w)             # endings, cut off before by _ENDING
    | [+-]?(?:\.\d+|\d+(?:[.,:/]\d+)+)(?:-\w+)*         # 1,000 10:30 3/4 .5
    | \w+(?:[-/.]\w+)*(?:(?<=[^\W\d])'(?!(?:s|m|d|ll|re|ve)\b)\w+)*   # words, t-shirt, black/white, o'clock
    | \S
    """,
    re.VERBOSE,
)
_ENDING = re.compile(r"(?<=\w)(n't|'(?:s|m|d|ll|re|ve))(?!\w)")
_JOINED = {
    "cannot": ("can", "not"),
    "gimme": ("gim", "me"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "lemme": ("lem", "me"),
    "wanna": ("wan", "na"),
}


def tokenize(caption: str) -> list[str]:
    """Lower-cased Penn-Treebank-like tokens of ``caption``, without punctuation."""
    plain = html.unescape(caption).lower().translate(_PLAIN)
    found = [piece for token in _TOKEN.findall(_ENDING.sub(r" \1", plain)) for piece in _JOINED.get(token, (token,))]
    return [_BRACKETS.get(token, token) for token in found if token not in _DROPPED]


def bleu(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]], longest: int = 4) -> list[float]:
    """Corpus BLEU-1 … BLEU-``longest`` in [0, 1] (Papineni et al. 2002), against the closest reference length.

    Raises:
        UsageError: numbers of candidates and references differ, or a picture has no reference.
    """
    _check(candidates, references)
    correct, guessed, length, target = [0] * longest, [0] * longest, 0, 0
    for candidate, group in zip(candidates, references, strict=True):
        length += len(candidate)
        target += min((abs(len(reference) - len(candidate)), len(reference)) for reference in group)[1]
        most: Counter[Ngram] = Counter()
        for reference in group:
            most |= _ngrams(reference, longest)
        for ngram, count in _ngrams(candidate, longest).items():
            guessed[len(ngram) - 1] += count
            correct[len(ngram) - 1] += min(count, most[ngram])
    ratio = (length + 1e-15) / (target + 1e-9)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    product, scores = 1.0, []
    for size in range(longest):
        product *= (correct[size] + 1e-15) / (guessed[size] + 1e-9)
        scores.append(penalty * product ** (1 / (size + 1)))
    return scores


def rouge_l(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]], beta: float = 1.2) -> list[float]:
    """ROUGE-L of every picture in [0, 1] (Lin 2004): F of the longest common subsequence, recall weighted by ``beta``.

    Precision and recall are each the best over the references.

    Raises:
        UsageError: numbers of candidates and references differ, or a picture has no reference.
    """
    _check(candidates, references)
    scores = []
    for candidate, group in zip(candidates, references, strict=True):
        common = [_common(candidate, reference) for reference in group]
        precision = max(common) / max(len(candidate), 1)
        recall = max(shared / max(len(reference), 1) for shared, reference in zip(common, group, strict=True))
        both = recall + beta**2 * precision
        scores.append((1 + beta**2) * precision * recall / both if both > 0 else 0.0)
    return scores


@dataclass(frozen=True)
class DocumentFrequency:
    """In how many pictures' references each n-gram occurs: what makes CIDEr value rare words."""

    counts: Mapping[Ngram, int]
    """Pictures per n-gram."""
    pictures: int
    """Pictures counted."""

    @classmethod
    def of(cls, references: Sequence[Sequence[Tokens]], longest: int = 4) -> "DocumentFrequency":
        """Count the references of a whole split."""
        counts: Counter[Ngram] = Counter()
        for group in references:
            counts.update({ngram for reference in group for ngram in _ngrams(reference, longest)})
        return cls(counts, len(references))

    def weigh(self, ngrams: Counter[Ngram]) -> dict[Ngram, float]:
        """Term frequency times inverse document frequency."""
        whole = math.log(self.pictures)
        return {ngram: count * (whole - math.log(max(1, self.counts.get(ngram, 0)))) for ngram, count in ngrams.items()}


def cider(
    candidates: Sequence[Tokens],
    references: Sequence[Sequence[Tokens]],
    frequency: DocumentFrequency | None = None,
    longest: int = 4,
    sigma: float = 6.0,
) -> list[float]:
    """CIDEr-D of every picture in [0, 10] (Vedantam et al. 2015, Sec. 4): clipped tf-idf n-grams and a length penalty.

    ``frequency`` defaults to that of these references, so a single picture scores 0. As in the common implementation,
    lengths are compared as numbers of bigrams: the same as of words, except for empty captions.

    Raises:
        UsageError: numbers of candidates and references differ, or a picture has no reference.
    """
    _check(candidates, references)
    frequency = frequency or DocumentFrequency.of(references, longest)
    scores = []
    for candidate, group in zip(candidates, references, strict=True):
        mine = _Vector.of(candidate, frequency, longest)
        total = sum(_similarity(mine, _Vector.of(reference, frequency, longest), sigma) for reference in group)
        scores.append(10 * total / (longest * len(group)))
    return scores


@dataclass(frozen=True)
class _Vector:
    """A caption's tf-idf weights and norm for each n-gram size, and its number of bigrams."""

    weights: list[dict[Ngram, float]]
    norms: list[float]
    bigrams: int

    @classmethod
    def of(cls, tokens: Tokens, frequency: DocumentFrequency, longest: int) -> "_Vector":
        weights: list[dict[Ngram, float]] = [{} for _ in range(longest)]
        for ngram, weight in frequency.weigh(_ngrams(tokens, longest)).items():
            weights[len(ngram) - 1][ngram] = weight
        norms = [math.sqrt(sum(weight**2 for weight in size.values())) for size in weights]
        return cls(weights, norms, max(len(tokens) - 1, 0))


def _similarity(candidate: _Vector, reference: _Vector, sigma: float) -> float:
    """The sum over n-gram sizes of the clipped cosine, times the penalty for another length."""
    penalty = math.exp(-((candidate.bigrams - reference.bigrams) ** 2) / (2 * sigma**2))
    total = 0.0
    for mine, theirs, norm, their_norm in zip(
        candidate.weights, reference.weights, candidate.norms, reference.norms, strict=True
    ):
        if norm > 0 and their_norm > 0:
            shared = mine.keys() & theirs.keys()
            total += sum(min(mine[ngram], theirs[ngram]) * theirs[ngram] for ngram in shared) / (norm * their_norm)
    return total * penalty


def caption_scores(
    candidates: Sequence[str], references: Sequence[Sequence[str]], java: Sequence[JavaScore] = ()
) -> dict[str, float]:
    """BLEU-1 … BLEU-4, ROUGE-L and CIDEr-D of written captions, in per cent (CIDEr-D can exceed 100).

    Args:
        candidates: one caption per picture.
        references: the picture's true ones.
        java: further scores, which need Java and the package pycocoevalcap.

    Raises:
        UsageError: numbers of candidates and references differ, or a picture has no reference.
        XlxmertError: Java or the package is not there.
    """
    mine = [tokenize(candidate) for candidate in candidates]
    theirs = [[tokenize(reference) for reference in group] for group in references]
    scores = {f"BLEU-{size}": score for size, score in enumerate(bleu(mine, theirs), start=1)}
    scores["ROUGE-L"] = sum(rouge_l(mine, theirs)) / len(mine)
    scores["CIDEr-D"] = sum(cider(mine, theirs)) / len(mine)
    scores |= java_scores(mine, theirs, java) if java else {}
    return {name: 100 * score for name, score in scores.items()}


def _ngrams(tokens: Tokens, longest: int) -> Counter[Ngram]:
    """How often each n-gram of 1 … ``longest`` words occurs."""
    return Counter(
        tuple(tokens[start : start + size]) for size in range(1, longest + 1) for start in range(len(tokens) - size + 1)
    )


def _common(one: Tokens, other: Tokens) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for token in one:
        before = 0
        for place, against in enumerate(other, start=1):
            before, row[place] = row[place], before + 1 if token == against else max(row[place], row[place - 1])
    return row[-1]


def _check(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> None:
    """Refuse what cannot be scored."""
    if not candidates or len(candidates) != len(references):
        raise UsageError(
            f"expected one candidate and a list of references per picture, found {len(candidates)} candidates and "
            f"{len(references)} lists: pair them picture by picture"
        )
    for place, group in enumerate(references):
        if not group:
            raise UsageError(f"expected at least one reference for each picture, found none for number {place}")
