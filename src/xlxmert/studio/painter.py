"""From prompts to pictures: the sampler chooses codes, the generator turns them into pixels once per picture."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.core.axes import Bool, Int, Tensor, UInt8
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import to_bytes
from xlxmert.core.seeds import seed_of
from xlxmert.models.generator import Generator, grid_map
from xlxmert.nn.heads import FoldedHead
from xlxmert.sampling import Guidance, Network, Step, last, paint
from xlxmert.studio.networks import GuidedPaintingNetwork, PaintingNetwork, blank_picture
from xlxmert.studio.options import PaintOptions
from xlxmert.studio.rerank import agreement, best_rows
from xlxmert.studio.results import Frame, Painting
from xlxmert.studio.sentences import read_sentences, word_ids

CHUNK = 32
"""Pictures that are painted together."""
RENDER_CHUNK = 8
"""Pictures that are turned into pixels together: on a CPU, few stay in its cache."""
LARGEST_SEED = 2**63 - 1


class Painter:
    """Paints with one checkpoint on one device.

    Args:
        bundle: the checkpoint, already on the device.
        device: where it lies.
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        """Keep the parts; nothing is computed yet."""
        self.bundle, self.device = bundle, device
        self._blank: Tensor | None = None
        self._head: FoldedHead | None = None

    @torch.inference_mode()
    def paint(self, prompts: Sequence[str], seeds: Sequence[int], options: PaintOptions) -> Iterator[Painting]:
        """Paint one picture per prompt and seed, in order, chunk by chunk.

        Raises:
            UsageError: a prompt, a seed or the guidance cannot be used.
        """
        check_seeds(seeds, len(prompts))
        words, notes = self.read(prompts)
        together = max(1, CHUNK // options.best_of)
        for start in range(0, len(prompts), together):
            some = slice(start, start + together)
            codes, drawn, scores = self.fill(words[some], seeds[some], options)
            pictures, cells = self.render(codes, drawn), codes.cpu().numpy()
            yield from map(Painting, pictures, cells, drawn, prompts[some], notes[some], scores)

    @torch.inference_mode()
    def frames(self, prompt: str, seed: int, options: PaintOptions) -> Iterator[Frame]:
        """Paint one picture and show it after every step; of several drafts, the best.

        Raises:
            UsageError: the prompt, the seed or the guidance cannot be used.
        """
        check_seeds([seed], 1)
        words, _ = self.read([prompt])
        if options.best_of > 1:
            _, (seed,), _ = self.fill(words, [seed], options)
        for step in self.steps(words, [seed], options):
            yield Frame(step, self.render(step.codes, [seed])[0])

    def read(self, prompts: Sequence[str]) -> tuple[Int[Tensor, "B T"], list[tuple[str, ...]]]:
        """Prompts as token ids without needless padding, and notes on unknown words; see `read_sentences`."""
        words, notes = read_sentences(self.bundle.tokenizer, prompts, self.bundle.most_words)
        return words[:, : int((words > 0).sum(dim=1).max())].to(self.device), notes

    @torch.inference_mode()
    def fill(
        self,
        words: Int[Tensor, "B T"],
        seeds: Sequence[int],
        options: PaintOptions,
        codes: Int[Tensor, "B N"] | None = None,
        unknown: Bool[Tensor, "B N"] | None = None,
    ) -> tuple[Int[Tensor, "B N"], list[int], list[float | None]]:
        """The finished codes, the seed that each was drawn with, and its score where the best of several was chosen.

        Args:
            words: a prompt for each picture.
            seeds: one for each picture; the first draft is drawn with it, further ones with seeds that it decides.
            options: how to paint.
            codes: known codes, by default none.
            unknown: the cells to fill, by default all.

        Raises:
            XlxmertError: the checkpoint cannot paint.
        """
        if options.best_of == 1:
            return last(self.steps(words, seeds, options, codes, unknown)).codes, list(seeds), [None] * len(seeds)
        count = options.best_of
        drawn = [draft_seed(seed, draft) for seed in seeds for draft in range(count)]
        words = words.repeat_interleave(count, 0)  # (B * drafts, T)
        starts = [None if part is None else part.repeat_interleave(count, 0) for part in (codes, unknown)]
        drafts = last(self.steps(words, drawn, options, *starts)).codes  # (B * drafts, N)
        scores = agreement(self.bundle.model, words, drafts, word_ids(self.bundle.tokenizer), options.likelihood)
        best = best_rows(scores, count)
        return drafts[best], [drawn[row] for row in best.tolist()], scores[best].tolist()

    @torch.inference_mode()
    def render(self, codes: Int[Tensor, "B N"], seeds: Sequence[int]) -> list[UInt8[np.ndarray, "S S 3"]]:
        """Codes as pictures; the noise of each depends on its own seed alone.

        Raises:
            XlxmertError: the checkpoint has no generator.
        """
        generator = self._generator()
        pictures: list[np.ndarray] = []
        for start in range(0, len(codes), RENDER_CHUNK):
            some, chosen = codes[start : start + RENDER_CHUNK], seeds[start : start + RENDER_CHUNK]
            features = grid_map(self.bundle.model.features_of(some))  # (b, F, n, n)
            pictures.extend(to_bytes(generator(features, chosen, codes=some)).cpu().numpy())
        return pictures

    def steps(
        self,
        words: Int[Tensor, "B T"],
        seeds: Sequence[int],
        options: PaintOptions,
        codes: Int[Tensor, "B N"] | None = None,
        unknown: Bool[Tensor, "B N"] | None = None,
    ) -> Iterator[Step]:
        """The sampler's stream for a chunk of prompts; see `fill`."""
        self.check()
        cells = self.bundle.model.config.cells
        codes = torch.zeros(len(words), cells, dtype=torch.long, device=self.device) if codes is None else codes
        unknown = torch.ones_like(codes, dtype=torch.bool) if unknown is None else unknown
        return paint(self._network(words, unknown, options), codes, unknown, options.sampler, seeds)

    def check(self) -> None:
        """Complain before any work if something is missing.

        Raises:
            XlxmertError: the checkpoint predicts no codes, or has no generator.
        """
        if not self.bundle.model.config.codes:
            raise XlxmertError(
                "painting needs a checkpoint that predicts visual codes, as X-LXMERT does (found codes=0 in its "
                "config, as in LXMERT): name another with --checkpoint"
            )
        self._generator()

    @property
    def head(self) -> FoldedHead:
        """What gives code logits, multiplied out once."""
        if self._head is None:
            self._head = self.bundle.model.folded_code_head()
        return self._head

    def guidance(self, options: PaintOptions) -> Guidance:
        """How strongly to guide; without a word on it, as the checkpoint says.

        Raises:
            UsageError: there is a negative prompt, but no guidance that it could speak through.
        """
        own = Guidance(float(self.bundle.facts.get("guidance", 0.0)))
        guidance = own if options.guidance is None else options.guidance
        if options.negative and not guidance.strength:
            raise UsageError(
                "expected guidance beside a negative prompt, found none (the checkpoint brings none): "
                "try a guidance of 1"
            )
        return guidance

    def against(self, negative: str) -> Int[Tensor, "1 U"]:
        """What to guide away from: the negative prompt, or silence."""
        if negative:
            return self.read([negative])[0]
        return torch.tensor([[self.bundle.tokenizer.start, self.bundle.tokenizer.end]], device=self.device)

    def _network(self, words: Int[Tensor, "B T"], unknown: Bool[Tensor, "B N"], options: PaintOptions) -> Network:
        """From codes to logits."""
        model, guidance = self.bundle.model, self.guidance(options)
        if self._blank is None:
            self._blank = blank_picture(model, self.device)
        if not guidance.strength:
            return PaintingNetwork(model, words, self._blank, self.head)
        against = self.against(options.negative).expand(len(words), -1)
        return GuidedPaintingNetwork(model, words, against, guidance, unknown, self._blank, self.head)

    def _generator(self) -> Generator:
        if self.bundle.generator is None:
            raise XlxmertError(
                "painting needs a checkpoint with a generator (found none in it): train one with `xlxmert render` or "
                "name another with --checkpoint"
            )
        return self.bundle.generator


def draft_seed(seed: int, draft: int) -> int:
    """The seed of a draft: the first is drawn with the picture's own, so that one draft is plain painting."""
    return seed_of(seed, "draft", draft) % 2**31 if draft else seed


def check_seeds(seeds: Sequence[int], count: int) -> None:
    """Complain about seeds that are too few, too many or out of range.

    Raises:
        UsageError: there is not one seed per picture, or one is negative or needs more than 63 bits.
    """
    if len(seeds) != count:
        raise UsageError(f"expected {count} seeds, one per prompt, found {len(seeds)}: pass as many as prompts")
    for seed in seeds:
        if not 0 <= seed <= LARGEST_SEED:
            raise UsageError(f"expected a seed from 0 to {LARGEST_SEED}, found {seed}: choose one in this range")
