"""From prompts to pictures: the sampler chooses codes, the generator turns them into pixels once per picture."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from xlxmert.convert.folder import Bundle
from xlxmert.core.axes import Int, Tensor, UInt8
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import to_bytes
from xlxmert.models.generator import Generator, grid_map
from xlxmert.nn.heads import FoldedHead
from xlxmert.sampling import MaskGIT, Network, Sampler, Step, guided, last, paint
from xlxmert.studio.networks import PaintingNetwork, blank_picture
from xlxmert.studio.results import Frame, Painting
from xlxmert.studio.sentences import read_sentences

SAMPLER = MaskGIT(steps=32, choice_temperature=4.5, token_temperature=0.5)
"""How pictures are painted unless the caller says otherwise."""
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
    def paint(
        self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler, guidance: float | None = None
    ) -> Iterator[Painting]:
        """Paint one picture per prompt and seed, in order, chunk by chunk.

        Raises:
            UsageError: a prompt, a seed or the guidance cannot be used.
        """
        check_seeds(seeds, len(prompts))
        words, notes = read_sentences(self.bundle.tokenizer, prompts, self.bundle.most_words)
        for start in range(0, len(prompts), CHUNK):
            some = slice(start, start + CHUNK)
            codes = last(self._steps(words[some], seeds[some], sampler, guidance)).codes
            pictures, cells = self.render(codes, seeds[some]), codes.cpu().numpy()
            yield from map(Painting, pictures, cells, seeds[some], prompts[some], notes[some])

    @torch.inference_mode()
    def frames(self, prompt: str, seed: int, sampler: Sampler, guidance: float | None = None) -> Iterator[Frame]:
        """Paint one picture and show it after every step.

        Raises:
            UsageError: the prompt, the seed or the guidance cannot be used.
        """
        check_seeds([seed], 1)
        words, _ = read_sentences(self.bundle.tokenizer, [prompt], self.bundle.most_words)
        for step in self._steps(words, [seed], sampler, guidance):
            yield Frame(step, self.render(step.codes, [seed])[0])

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

    def _steps(
        self, words: Int[Tensor, "B T"], seeds: Sequence[int], sampler: Sampler, guidance: float | None
    ) -> Iterator[Step]:
        """The sampler's stream for a chunk of prompts; without a word on it, the guidance is the checkpoint's own."""
        self._check_codes()
        self._generator()  # before any work
        strength = float(self.bundle.facts.get("guidance", 0.0)) if guidance is None else guidance
        model = self.bundle.model
        if self._blank is None:
            self._blank, self._head = blank_picture(model, self.device), model.folded_code_head()
        longest = int((words > 0).sum(dim=1).max())
        network: Network = PaintingNetwork(model, words[:, :longest].to(self.device), self._blank, self._head)
        if strength:
            tokenizer = self.bundle.tokenizer
            silence = torch.tensor([[tokenizer.start, tokenizer.end]] * len(words), device=self.device)
            network = guided(network, PaintingNetwork(model, silence, self._blank, self._head), strength)
        codes = torch.zeros(len(words), model.config.cells, dtype=torch.long, device=self.device)
        return paint(network, codes, torch.ones_like(codes, dtype=torch.bool), sampler, seeds)

    def _check_codes(self) -> None:
        if not self.bundle.model.config.codes:
            raise XlxmertError(
                "painting needs a checkpoint that predicts visual codes, as X-LXMERT does (found codes=0 in its "
                "config, as in LXMERT): name another with --checkpoint"
            )

    def _generator(self) -> Generator:
        if self.bundle.generator is None:
            raise XlxmertError(
                "painting needs a checkpoint with a generator (found none in it): train one with `xlxmert render` or "
                "name another with --checkpoint"
            )
        return self.bundle.generator


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
