"""Editing: painting in which some cells, and perhaps some words, are known and stay exactly as they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from xlxmert.core.axes import Bool, Int, Tensor, UInt8
from xlxmert.core.errors import UsageError
from xlxmert.core.seeds import seed_of
from xlxmert.sampling import Guidance, Step
from xlxmert.studio.blanks import Sentence, has_blanks, read_blanks
from xlxmert.studio.changes import Change, Plan, Region, Variation, WordsAlone
from xlxmert.studio.joint import Filled, JointPainter
from xlxmert.studio.options import PaintOptions
from xlxmert.studio.painter import CHUNK, Painter, check_seeds
from xlxmert.studio.pictures import Picture, squashed, whole
from xlxmert.studio.results import Edited, Frame
from xlxmert.studio.seams import draw_canvas, keep_original
from xlxmert.studio.teller import SAMPLER as CAPTION_SAMPLER
from xlxmert.studio.teller import Teller


@dataclass(frozen=True)
class Task:
    """A picture and a sentence, read once for all seeds."""

    original: UInt8[np.ndarray, "height width 3"]
    codes: Int[Tensor, "n n"]
    sentence: Sentence
    options: PaintOptions
    repaint: bool


@dataclass
class Canvas:
    """Sentences and pictures on their way from a plan to the end, one per seed."""

    plan: Plan
    words: Int[Tensor, "B T"]
    codes: Int[Tensor, "B rows columns"]
    left: Bool[Tensor, "B rows columns"]
    """Cells that no window has painted yet."""
    scores: list[float | None]

    def at(self, window: tuple[int, int], grid: int) -> tuple[Int[Tensor, "B N"], Bool[Tensor, "B N"]]:
        """The codes in a window, and which of them are unknown; copies, since a sampler goes on reading them."""
        there = _within(window, grid)
        return self.codes[there].flatten(1).clone(), self.left[there].flatten(1).clone()

    def put(self, window: tuple[int, int], grid: int, codes: Int[Tensor, "B N"]) -> None:
        """Paste the codes of a window; they are known from then on."""
        there = _within(window, grid)
        self.codes[there] = codes.view(len(codes), grid, grid)
        self.left[there] = False


class Editor:
    """Edits with one checkpoint on one device.

    Args:
        painter: paints the unknown cells.
        teller: tells the codes of pictures.
        size: side in pixels at which pictures are looked at.
    """

    def __init__(self, painter: Painter, teller: Teller, size: int) -> None:
        """Keep the parts; nothing is computed yet."""
        self.painter, self.teller, self.size = painter, teller, size
        self.joint = JointPainter(painter)
        self.grid: int = painter.bundle.model.config.grid

    @torch.inference_mode()
    def edit(
        self,
        picture: Picture,
        sentence: str,
        change: Change,
        seeds: Sequence[int],
        options: PaintOptions,
        repaint: bool = False,
    ) -> Iterator[Edited]:
        """Change a picture, once for each seed, in order.

        Args:
            picture: a file, pixels, or what the studio made.
            sentence: what the whole picture shows afterwards; it may be empty, and may have blanks to be filled.
            change: what is painted anew.
            seeds: one for each result.
            options: how to paint.
            repaint: draw the whole picture from codes, at the studio's own size, instead of keeping its pixels.

        Raises:
            UsageError: the sentence, the change, a seed or an option cannot be used.
            XlxmertError: the picture cannot be read, or the checkpoint cannot paint or look at pictures.
        """
        check_seeds(seeds, len(seeds))
        task = self._task(picture, sentence, change, options, repaint)
        together = max(1, CHUNK // options.best_of)
        for start in range(0, len(seeds), together):
            some = seeds[start : start + together]
            canvas = self._canvas(task, change, some)
            for number, window in enumerate(canvas.plan.windows):
                filled = self._fill(task, canvas, window, _window_seeds(some, number))
                canvas.words, canvas.scores = filled.words, filled.scores
                canvas.put(window, self.grid, filled.codes)
            yield from (self._result(task, canvas, row, seed) for row, seed in enumerate(some))

    @torch.inference_mode()
    def frames(
        self,
        picture: Picture,
        sentence: str,
        change: Change,
        seed: int,
        options: PaintOptions,
        repaint: bool = False,
    ) -> Iterator[Frame]:
        """Change a picture and show it after every step; the last frame is what `edit` gives.

        A step's codes are those of the window that is being filled; with blanks, the sentence's words come before them.
        What no window has reached yet is white.

        Raises:
            UsageError: see `edit`.
        """
        check_seeds([seed], 1)
        task = self._task(picture, sentence, change, options, repaint)
        canvas = self._canvas(task, change, [seed])
        for number, window in enumerate(canvas.plan.windows):
            (drawn,) = _window_seeds([seed], number)
            if options.best_of > 1:
                (drawn,) = self._fill(task, canvas, window, [drawn]).drawn
            for step in self._steps(task, canvas, window, [drawn]):
                canvas.put(window, self.grid, step.codes[:, -(self.grid**2) :])
                yield Frame(step, self._picture(task, canvas, 0, seed, number + 1))

    def _task(self, picture: Picture, sentence: str, change: Change, options: PaintOptions, repaint: bool) -> Task:
        """Read and check everything before any work."""
        self.painter.check()
        if has_blanks(sentence) and not isinstance(change, Region | WordsAlone):
            raise UsageError(
                "expected blanks in the sentence of a region or of a whole picture only, found them beside another "
                "change: fill them in yourself, or choose a region"
            )
        pixels = squashed(picture, self.size)[None]  # (1, S, S, 3)
        codes = self.teller.codes(pixels)[0].view(self.grid, self.grid)
        alone = not sentence.strip() and isinstance(change, Variation)
        read = self._own(pixels) if alone else self._read(sentence)
        if not read.text and not options.negative:  # there is nothing to be louder than silence
            options = replace(options, guidance=Guidance(0.0))
        return Task(whole(picture), codes, read, options, repaint)

    def _own(self, pixels: UInt8[Tensor, "1 S S 3"]) -> Sentence:
        """What the studio itself says about a picture, with a note that it does."""
        ((caption,),) = self.teller.caption(self.teller.seen(pixels), 1, "", CAPTION_SAMPLER, 0)
        note = f"no sentence was given; the picture is taken for '{caption.text}'"
        return replace(self._read(caption.text), notes=(note,))

    def _read(self, sentence: str) -> Sentence:
        """The sentence on the device; none is silence."""
        if sentence.strip():
            read = read_blanks(self.painter.bundle.tokenizer, sentence, self.painter.bundle.most_words)
        else:
            words = self.painter.against("")
            read = Sentence("", words, torch.zeros_like(words, dtype=torch.bool))
        return replace(read, words=read.words.to(self.painter.device), blanks=read.blanks.to(self.painter.device))

    def _canvas(self, task: Task, change: Change, seeds: Sequence[int]) -> Canvas:
        """Where the painting starts."""
        plan = change.plan(task.codes, seeds)
        codes = plan.before.expand(len(seeds), -1, -1).clone()
        words = task.sentence.words.expand(len(seeds), -1)
        return Canvas(plan, words, codes, plan.unknown.clone(), [None] * len(seeds))

    def _fill(self, task: Task, canvas: Canvas, window: tuple[int, int], seeds: Sequence[int]) -> Filled:
        """Finish a window, and the sentence if it has blanks."""
        codes, unknown = canvas.at(window, self.grid)
        if has_blanks(task.sentence.text):
            blanks = task.sentence.blanks.expand(len(seeds), -1)
            return self.joint.fill(canvas.words, blanks, codes, unknown, seeds, task.options)
        return Filled(canvas.words, *self.painter.fill(canvas.words, seeds, task.options, codes, unknown))

    def _steps(self, task: Task, canvas: Canvas, window: tuple[int, int], seeds: Sequence[int]) -> Iterator[Step]:
        """As `_fill`, but step by step."""
        codes, unknown = canvas.at(window, self.grid)
        if has_blanks(task.sentence.text):
            blanks = task.sentence.blanks.expand(len(seeds), -1)
            return self.joint.steps(canvas.words, blanks, codes, unknown, seeds, task.options)
        return self.painter.steps(canvas.words, seeds, task.options, codes, unknown)

    def _result(self, task: Task, canvas: Canvas, row: int, seed: int) -> Edited:
        """What one seed has led to."""
        plan, sentence = canvas.plan, task.sentence
        words = canvas.words[row][sentence.blanks[0]].tolist()
        text = sentence.filled([self.painter.bundle.tokenizer.decode([word]) for word in words])
        picture = self._picture(task, canvas, row, seed)
        after, before, unknown = (part.cpu().numpy() for part in (canvas.codes[row], plan.before, plan.unknown[row]))
        return Edited(picture, after, before, unknown, text, seed, sentence.notes, canvas.scores[row])

    def _picture(
        self, task: Task, canvas: Canvas, row: int, seed: int, reached: int | None = None
    ) -> UInt8[np.ndarray, "height width 3"]:
        """One of the pictures as it is now, as far as so many windows show it, by default all."""
        plan = canvas.plan
        if not task.repaint and not bool(plan.unknown[row].any()):
            return task.original
        painted = draw_canvas(
            lambda codes: self.painter.render(codes, [seed] * len(codes)),
            canvas.codes[row],
            [plan.place, *plan.windows[:reached]],
            self.grid,
        )
        if task.repaint:
            return painted
        return keep_original(task.original, painted, plan.unknown[row].cpu().numpy(), plan.place, self.grid)


def _within(window: tuple[int, int], grid: int) -> tuple[slice, slice, slice]:
    """A window of every picture of a canvas."""
    row, column = window
    return slice(None), slice(row, row + grid), slice(column, column + grid)


def _window_seeds(seeds: Sequence[int], number: int) -> list[int]:
    """The seeds of a canvas's windows: the first is painted with the picture's own."""
    return [seed_of(seed, "window", number) % 2**31 if number else seed for seed in seeds]
