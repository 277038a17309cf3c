"""The studio's doors to editing: a region, more on one side, variations, and half a sentence with half a picture."""

from collections.abc import Iterator, Sequence

from xlxmert.studio.changes import Change, Extension, Region, Variation, WordsAlone
from xlxmert.studio.editor import Editor
from xlxmert.studio.options import STANDARD, PaintOptions
from xlxmert.studio.pictures import Picture
from xlxmert.studio.results import Edited, Frame

Corners = Sequence[float | int]
"""Four numbers x0 y0 x1 y1, in [0, 1] of a picture's width and height."""


class Edits:
    """What a `Studio` can change about pictures; cells that are not painted keep their codes exactly.

    Every method takes a picture (a file, pixels, or what the studio made), a sentence that says what the *whole*
    picture shows afterwards, and gives one result per seed: ``count`` of them from ``seed`` on.
    """

    _editor: Editor

    def edit(
        self,
        picture: Picture,
        prompt: str,
        region: Corners,
        seed: int = 0,
        count: int = 1,
        options: PaintOptions = STANDARD,
        repaint: bool = False,
    ) -> list[Edited]:
        """Paint a region anew.

        Args:
            picture: what to change.
            prompt: what the whole picture shows afterwards; empty to leave it open.
            region: every cell that it touches is painted.
            seed: of the first result.
            count: how many results, with seeds seed, seed + 1, …
            options: how to paint.
            repaint: draw the whole picture from codes; by default it keeps its own pixels outside the region, and its
                size.

        Raises:
            UsageError: the prompt, the region or a number cannot be used.
            XlxmertError: the picture cannot be read, or the checkpoint cannot paint or look at pictures.
        """
        return list(self.change(picture, prompt, Region.of(region), _seeds(seed, count), options, repaint))

    def extend(
        self,
        picture: Picture,
        prompt: str,
        side: str,
        cells: int | None = None,
        times: int = 1,
        seed: int = 0,
        count: int = 1,
        options: PaintOptions = STANDARD,
        repaint: bool = False,
    ) -> list[Edited]:
        """Paint what lies beyond an edge of the picture; see `edit` for what is not told here.

        Args:
            picture: what to extend.
            prompt: what every stretch shows, together with the part of the picture that it continues.
            side: ``left``, ``right``, ``up`` or ``down``.
            cells: how many are added at a time, by default half the grid.
            times: how often.
            seed: of the first result.
            count: how many results.
            options: how to paint.
            repaint: draw the old part from codes, too.
        """
        change = Extension(side, cells, times)
        return list(self.change(picture, prompt, change, _seeds(seed, count), options, repaint))

    def vary(
        self,
        picture: Picture,
        prompt: str = "",
        strength: float | int = 0.5,
        seed: int = 0,
        count: int = 1,
        options: PaintOptions = STANDARD,
        repaint: bool = False,
    ) -> list[Edited]:
        """Paint a share ``strength`` of the cells anew, other cells for every seed; see `edit` for the rest."""
        return list(self.change(picture, prompt, Variation(float(strength)), _seeds(seed, count), options, repaint))

    def complete(
        self,
        picture: Picture,
        sentence: str,
        region: Corners | None = None,
        seed: int = 0,
        count: int = 1,
        options: PaintOptions = STANDARD,
        repaint: bool = False,
    ) -> list[Edited]:
        """Fill the blanks of a sentence (``two ___ cars``) and a region of a picture, each in view of the other.

        Without a region only words are found; without blanks this is `edit`. See there for the rest.

        Raises:
            UsageError: there is neither a blank nor a region, or see `edit`.
        """
        change = WordsAlone() if region is None else Region.of(region)
        return list(self.change(picture, sentence, change, _seeds(seed, count), options, repaint))

    def change(
        self,
        picture: Picture,
        prompt: str,
        change: Change,
        seeds: Sequence[int],
        options: PaintOptions = STANDARD,
        repaint: bool = False,
    ) -> Iterator[Edited]:
        """What the other methods do, one result after the other, for long lists of seeds."""
        return self._editor.edit(picture, prompt, change, seeds, options, repaint)

    def change_steps(
        self,
        picture: Picture,
        prompt: str,
        change: Change,
        seed: int = 0,
        options: PaintOptions = STANDARD,
        repaint: bool = False,
    ) -> Iterator[Frame]:
        """The picture after every step of its change; the last frame is the picture that `change` gives."""
        return self._editor.frames(picture, prompt, change, seed, options, repaint)


def _seeds(seed: int, count: int) -> list[int]:
    return [seed + extra for extra in range(count)]
