"""The studio: one object that paints, edits, captions, answers, verifies and retrieves; the package's front door."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from xlxmert.convert.captioner import Captioner
from xlxmert.convert.folder import Bundle
from xlxmert.convert.looking import picture_size
from xlxmert.core.axes import Float
from xlxmert.core.errors import UsageError
from xlxmert.sampling import Decoding, Guidance, Sampler
from xlxmert.studio.attention import AttentionMaps, attention_maps
from xlxmert.studio.describer import Describer
from xlxmert.studio.devices import pick_device
from xlxmert.studio.editor import Editor
from xlxmert.studio.edits import Edits
from xlxmert.studio.options import STANDARD, PaintOptions
from xlxmert.studio.painter import Painter
from xlxmert.studio.pictures import LOOK_CHUNK, Picture, each_once, is_one, looked_at, squashed
from xlxmert.studio.results import Answer, Caption, Frame, Painting, Retrieval, ranked
from xlxmert.studio.teller import SAMPLER as CAPTION_SAMPLER
from xlxmert.studio.teller import Seen, Teller


class Studio(Edits):
    """All that a checkpoint can do.

    Args:
        bundle: the checkpoint.
        device: ``auto`` (an accelerator if there is one), ``cpu`` or ``cuda``.
        captioner: an XGPT that captions in its place, or a function that loads it.
        decoding: how it writes unless `caption` is told otherwise.

    Raises:
        UsageError: there is no such device.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: str = "auto",
        captioner: Captioner | Callable[[], Captioner] | None = None,
        decoding: Decoding | None = None,
    ) -> None:
        """Move the checkpoint to the device; see the class."""
        self.device = pick_device(device)
        self._captioner, self._decoding = captioner, decoding
        self.bundle = bundle.to(self.device)
        self.bundle.model.eval()
        if self.bundle.generator is not None:
            self.bundle.generator.eval()
        self._painter, self._teller = Painter(self.bundle, self.device), Teller(self.bundle, self.device)
        self._editor = Editor(self._painter, self._teller, self.size)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path | None = None,
        device: str = "auto",
        captioner: str | Path | None = "auto",
        decoding: Decoding | None = None,
    ) -> "Studio":
        """Open a checkpoint: the bundled one by default, a folder, or a name on the Hugging Face hub.

        Args:
            name: the checkpoint.
            device: where to compute.
            captioner: who captions: an XGPT's folder or name on the hub, None for the checkpoint itself; ``auto`` is
                the bundled captioner beside the bundled checkpoint, and None beside others.
            decoding: how the captioner writes.

        Raises:
            UsageError: there is no such checkpoint, captioner or device.
            XlxmertError: the checkpoint is damaged.
        """
        pick_device(device)
        writer: Captioner | Callable[[], Captioner] | None = None
        if captioner == "auto":
            writer = Captioner.from_pretrained if name is None else None
        elif captioner is not None:
            writer = Captioner.from_pretrained(captioner)
        return cls(Bundle.from_pretrained(name), device, writer, decoding)

    @cached_property
    def describer(self) -> Describer | None:
        """Who captions instead of the checkpoint, if anyone."""
        captioner = self._captioner
        if captioner is None:
            return None
        return Describer(captioner if isinstance(captioner, Captioner) else captioner(), self.device.type)

    @property
    def size(self) -> int:
        """Side of its pictures, in pixels: of those that it paints, or else of those that it was trained on."""
        generator = self.bundle.generator
        return picture_size(self.bundle.facts) if generator is None else generator.config.size

    def paint(
        self,
        prompts: str | Sequence[str],
        seed: int = 0,
        seeds: Sequence[int] | None = None,
        sampler: Sampler | None = None,
        guidance: float | Guidance | None = None,
        negative: str | None = None,
        best_of: int | None = None,
        likelihood: float | None = None,
        options: PaintOptions = STANDARD,
    ) -> list[Painting]:
        """Paint one picture per prompt.

        Args:
            prompts: sentences.
            seed: of every picture: a prompt's picture does not depend on the prompts beside it.
            seeds: one per prompt instead.
            sampler: how codes are chosen; see ``xlxmert.sampling``.
            guidance: how much stronger than learned the words speak, 0 or more; by default what suits the checkpoint.
            negative: what the pictures should not show; needs guidance.
            best_of: drafts of each picture, of which the one that fits its prompt best is kept.
            likelihood: weight of the prompt's likelihood beside the matching head when drafts are judged.
            options: whatever is not given above.

        Raises:
            UsageError: a prompt is empty, too long or without any known word, or a choice is out of range.
        """
        return list(
            self.paint_each(
                prompts, seed, seeds, options.with_changes(sampler, guidance, negative, best_of, likelihood)
            )
        )

    def paint_each(
        self,
        prompts: str | Sequence[str],
        seed: int = 0,
        seeds: Sequence[int] | None = None,
        options: PaintOptions = STANDARD,
    ) -> Iterator[Painting]:
        """As `paint`, but picture by picture as they are finished, for long lists."""
        prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        chosen = [seed] * len(prompts) if seeds is None else list(seeds)
        return self._painter.paint(prompts, chosen, options)

    def paint_steps(self, prompt: str, seed: int = 0, options: PaintOptions = STANDARD) -> Iterator[Frame]:
        """Paint a picture and show it after every step; the last frame is the picture that `paint` gives.

        Raises:
            UsageError: the prompt, the seed or the guidance cannot be used.
        """
        return self._painter.frames(prompt, seed, options)

    def caption(
        self,
        pictures: Picture | Iterable[Picture],
        count: int = 1,
        prefix: str = "",
        sampler: Sampler | None = None,
        seed: int = 0,
        decoding: Decoding | None = None,
    ) -> list[list[Caption]]:
        """Describe pictures.

        Args:
            pictures: files or pixels.
            count: different captions per picture, best first; there may be fewer.
            prefix: words that every caption begins with.
            sampler: let the checkpoint itself write, by masked words: ``Raster()`` from left to right,
                ``RandomOrder(...)`` is the paper's Gibbs sampling. By default the captioner writes, where there is one.
            seed: of whatever is drawn.
            decoding: how the captioner writes: ``Beam(3)`` by default; see `xlxmert.sampling`.

        Raises:
            UsageError: the prefix or the count cannot be used, or a decoding is asked for and there is no captioner.
            XlxmertError: a picture cannot be read, or the checkpoint cannot look at pictures.
        """
        if sampler is None and self.describer is not None:
            return self.describer.caption(pictures, count, prefix, decoding or self._decoding, seed)
        if decoding is not None:
            raise UsageError(
                "expected a captioner for this decoding, found none beside the checkpoint, or a sampler that was asked "
                "for: pass a captioner, or leave the decoding out"
            )
        return [
            captions
            for pixels in looked_at(pictures, self.size)
            for captions in self._teller.caption(
                self._teller.seen(pixels), count, prefix, sampler or CAPTION_SAMPLER, seed
            )
        ]

    def answer(
        self, pictures: Picture | Iterable[Picture], questions: str | Sequence[str], top: int = 3
    ) -> list[list[list[Answer]]]:
        """Answer every question about every picture: for each picture and question the ``top`` answers.

        Raises:
            UsageError: a question is empty, too long or without any known word.
            XlxmertError: a picture cannot be read, or the checkpoint knows no answers.
        """
        questions = [questions] if isinstance(questions, str) else list(questions)
        return [
            answers
            for pixels in looked_at(pictures, self.size)
            for answers in self._teller.answer(self._teller.seen(pixels), questions, top)
        ]

    def match(self, pictures: Picture | Iterable[Picture], sentences: str | Sequence[str]) -> Float[np.ndarray, "B S"]:
        """The probability, in [0, 1], that each sentence (column) belongs to each picture (row).

        Raises:
            UsageError: a sentence is empty, too long or without any known word.
            XlxmertError: a picture cannot be read.
        """
        sentences = [sentences] if isinstance(sentences, str) else list(sentences)
        rows = [self._teller.match(self._teller.seen(pixels), sentences) for pixels in looked_at(pictures, self.size)]
        return torch.cat(rows).numpy()

    def retrieve(
        self, pictures: Picture | Iterable[Picture], sentences: str | Sequence[str], top: int = 5
    ) -> Retrieval:
        """For each sentence the ``top`` pictures that fit it best, and for each picture the ``top`` sentences.

        Each side is encoded once; every picture meets every sentence.

        Raises:
            UsageError: a sentence is empty, too long or without any known word, or fewer than 1 find is asked for.
            XlxmertError: a picture cannot be read.
        """
        sentences = [sentences] if isinstance(sentences, str) else list(sentences)
        seen = torch.cat([self._teller.seen(pixels) for pixels in looked_at(pictures, self.size)])
        return ranked(self._teller.odds(seen, sentences).numpy(), top)

    def verify(
        self,
        left: Picture | Iterable[Picture],
        right: Picture | Iterable[Picture],
        statements: str | Sequence[str],
    ) -> Float[np.ndarray, " S"]:
        """The probability, in [0, 1], that each statement holds of a left and a right picture.

        Args:
            left: one picture for all statements, or one for each.
            right: the same.
            statements: such as ``both pictures contain a dog``.

        Raises:
            UsageError: a statement cannot be used, or there are not as many pictures as statements.
            XlxmertError: a picture cannot be read, or the checkpoint has no head for pairs.
        """
        texts = [statements] if isinstance(statements, str) else list(statements)
        lefts, rights = ([side] * len(texts) if is_one(side) else list(side) for side in (left, right))  # type: ignore[arg-type]
        if not texts or len(lefts) != len(texts) or len(rights) != len(texts):
            raise UsageError(
                f"expected statements and for each a left and a right picture, found {len(texts)} statements, "
                f"{len(lefts)} left and {len(rights)} right pictures: pass as many, or one picture for all"
            )
        chances = []
        for start in range(0, len(texts), LOOK_CHUNK):
            some = slice(start, start + LOOK_CHUNK)
            once, rows = each_once([*lefts[some], *rights[some]])
            seen = torch.cat([self._teller.seen(pixels) for pixels in looked_at(once, self.size)])
            chances.append(self._teller.verify(seen, texts[some], torch.tensor(rows).view(2, -1).T))
        return torch.cat(chances).numpy()

    def attend(self, picture: Picture, sentence: str) -> AttentionMaps:
        """What looks at what while the model reads this sentence and this picture, by kind, layer and head.

        Raises:
            UsageError: the sentence is empty, too long or without any known word.
            XlxmertError: the picture cannot be read, or the checkpoint cannot look at pictures.
        """
        pixels = squashed(picture, self.size)  # (S, S, 3)
        return attention_maps(self.bundle, pixels.numpy(), self._teller.seen(pixels[None]), sentence)

    def reply(self, pictures: Iterable[Picture], questions: Sequence[str]) -> list[str]:
        """The most probable answer to one question per picture, for long lists of pairs.

        Raises:
            UsageError: a question cannot be used, or there is not one per picture.
            XlxmertError: a picture cannot be read, or the checkpoint knows no answers.
        """
        replies: dict[int, str] = {}
        for seen, rows, places in self._beside(pictures, questions):
            found = self._teller.reply(seen, [questions[place] for place in places], 1, rows)
            replies |= {place: answers[0].text for place, answers in zip(places, found, strict=True)}
        return [replies[place] for place in range(len(questions))]

    def fit(self, pictures: Iterable[Picture], sentences: Sequence[str]) -> Float[np.ndarray, " B"]:
        """The probability, in [0, 1], that each picture and the sentence of its number belong together.

        Raises:
            UsageError: a sentence cannot be used, or there is not one per picture.
            XlxmertError: a picture cannot be read.
        """
        chances = torch.zeros(len(sentences))
        for seen, rows, places in self._beside(pictures, sentences):
            chances[places] = self._teller.fit(seen, [sentences[place] for place in places], rows)
        return chances.numpy()

    def rebuild(self, pictures: Picture | Iterable[Picture], seed: int = 0) -> list[Painting]:
        """Pictures painted from their own true codes: the best that the generator can do.

        Raises:
            XlxmertError: a picture cannot be read, or the checkpoint lacks a generator or a visual vocabulary.
        """
        paintings = []
        for pixels in looked_at(pictures, self.size):
            codes = self._teller.codes(pixels)
            painted = self._painter.render(codes, [seed] * len(codes))
            paintings += [
                Painting(picture, cells, seed, "") for picture, cells in zip(painted, codes.cpu().numpy(), strict=True)
            ]
        return paintings

    def _beside(self, pictures: Iterable[Picture], texts: Sequence[str]) -> Iterator[tuple[Seen, list[int], list[int]]]:
        """Some pictures at a time, each once; for the texts about them, the picture's row and the place."""
        listed = list(pictures)
        if len(listed) != len(texts):
            raise UsageError(f"expected {len(listed)} texts, one per picture, found {len(texts)}: pass as many")
        once, rows = each_once(listed)
        order, done = sorted(range(len(rows)), key=rows.__getitem__), 0
        for pixels in looked_at(once, self.size):
            places = [place for place in order if done <= rows[place] < done + len(pixels)]
            yield self._teller.seen(pixels), [rows[place] - done for place in places], places
            done += len(pixels)
