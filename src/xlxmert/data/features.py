"""What a detector saw in a picture, as the published feature files hold it: the record that their readers share."""

from collections.abc import Container
from dataclasses import dataclass

import numpy as np

from xlxmert.core.axes import Float, Int
from xlxmert.data.entries import Entry
from xlxmert.data.records import Id

_AGAIN = "extract this picture's features again, or download the file again"


@dataclass(frozen=True)
class SeenPicture:
    """Features of one picture's boxes or grid cells, and what the detector took them for."""

    picture_id: str
    """The stem of its file."""
    features: Float[np.ndarray, "N F"]
    """In single precision; grid cells row by row."""
    boxes: Float[np.ndarray, "N 4"] | None = None
    """x0 y0 x1 y1 in [0, 1]; None for the cells of a grid."""
    labels: Int[np.ndarray, " N"] | None = None
    """The likeliest thing in each box, from 0; there is none for the background."""
    label_scores: Float[np.ndarray, " N"] | None = None
    """Its chance in [0, 1]."""
    attributes: Int[np.ndarray, " N"] | None = None
    """The likeliest attribute of each box, from 0."""
    attribute_scores: Float[np.ndarray, " N"] | None = None
    """Its chance in [0, 1]."""


def check_features(entry: Entry, features: np.ndarray) -> None:
    """Complain about a feature that is no number.

    Raises:
        XlxmertError: one is NaN or infinite; the message tells which.
    """
    if not np.isfinite(features).all():
        row, column = (int(place) for place in np.argwhere(~np.isfinite(features))[0])
        raise entry.wrong("finite features", f"{features[row, column]} in number {column} of token {row}", _AGAIN)


def normalised(
    entry: Entry, pixels: np.ndarray, width: int, height: int, slack: float, flat: bool
) -> Float[np.ndarray, "N 4"]:
    """Boxes in pixels as x0 y0 x1 y1 in [0, 1].

    Args:
        entry: knows where the boxes are, for messages.
        pixels: (N, 4).
        width: of the picture.
        height: of the picture.
        slack: share of the picture's sides that a box may reach outside; what is outside is cut off.
        flat: accept boxes of no area.

    Raises:
        XlxmertError: a box is no number, lies outside, ends before it begins or has no area; the message tells which.
    """
    sides = np.array([width, height, width, height], np.float64)
    shares = pixels.astype(np.float64) / sides
    finite = np.isfinite(shares).all(1)
    with np.errstate(invalid="ignore"):
        outside = ((shares < -slack - 1e-5) | (shares > 1 + slack + 1e-5)).any(1)
        inside = shares.clip(0, 1)
        turned = (shares[:, 2:] < shares[:, :2]).any(1)
        empty = (inside[:, 2:] <= inside[:, :2]).any(1)
    wrongs = ((~finite, "that is no number"), (turned, "that ends before it begins"), (outside, "outside the picture"))
    for wrong, what in (*wrongs, *(() if flat else ((empty, "of no area"),))):
        if wrong.any():
            number = int(wrong.argmax())
            found = ", ".join(f"{side:g}" for side in pixels[number])
            raise entry.wrong(
                f"boxes x0 y0 x1 y1 within the {width} x {height} of the picture",
                f"box {number} ({found}) {what}",
                _AGAIN if what != "of no area" else f"{_AGAIN}, or accept flat boxes",
            )
    return inside.astype(np.float32)


def is_wanted(picture_id: str, wanted: Container[Id] | None) -> bool:
    """Whether a picture is among those that are asked for; None asks for all."""
    return wanted is None or picture_id in wanted
