"""Folders of paintings: interrupted ones go on, others' are left alone, half-filled ones are not taken for whole."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import write_json
from xlxmert.recipes.paintings import LIST, Order, has_list, paint_folder, read_folder, start_folder

ORDERS = [Order(7, "a dog", 0), Order("b/1", "a cat", 1), Order(9, "a bus", 2)]
MADE = {"checkpoint": "tiny", "size": 8, "words": "coco"}


class Painter:
    """Paints plain pictures, as bright as the seed, and remembers what it was asked."""

    def __init__(self, fails_after: int = 99) -> None:
        self.asked: list[tuple[str, int]] = []
        self.left = fails_after

    def __call__(self, prompts: Sequence[str], seeds: Sequence[int]) -> Iterator[np.ndarray]:
        for prompt, seed in zip(prompts, seeds, strict=True):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            self.asked.append((prompt, seed))
            yield np.full((8, 8, 3), 10 * seed, np.uint8)


def test_what_was_painted_is_read_again(tmp_path: Path) -> None:
    first = Painter(fails_after=2)
    with pytest.raises(KeyboardInterrupt):
        list(paint_folder(start_folder(tmp_path / "kept", ORDERS, MADE), first))
    with pytest.raises(XlxmertError, match=r"expected 3 paintings in .*, missing 1 \(9.png …\)"):
        read_folder(tmp_path / "kept")
    second = Painter()
    found = list(paint_folder(start_folder(tmp_path / "kept", ORDERS, MADE), second))
    assert first.asked == [("a dog", 0), ("a cat", 1)] and second.asked == [("a bus", 2)]
    assert [(place, int(pixels[0, 0, 0])) for place, pixels in found] == [(0, 0), (1, 10), (2, 20)]
    again = Painter()
    assert len(list(paint_folder(start_folder(tmp_path / "kept", ORDERS, MADE), again))) == 3 and not again.asked
    whole = read_folder(tmp_path / "kept")
    assert list(whole.orders) == ORDERS and whole.made == MADE and has_list(tmp_path / "kept")
    assert whole.path(ORDERS[1]).name == "b_1.png"


def test_other_paintings_are_left_alone(tmp_path: Path) -> None:
    start_folder(tmp_path, ORDERS, MADE)
    for orders, made in ((ORDERS[:2], MADE), (ORDERS, MADE | {"checkpoint": "other"})):
        with pytest.raises(UsageError, match="found others"):
            start_folder(tmp_path, orders, made)
    with pytest.raises(UsageError, match="different ids"):
        start_folder(tmp_path / "new", [Order("a/b", "a dog", 0), Order("a_b", "a dog", 1)], MADE)


def test_damaged_lists_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(XlxmertError, match="found nothing"):
        read_folder(tmp_path)
    for content in ({"made": {}}, [], {"made": {}, "paintings": [{"id": 1}]}, {"made": {}, "paintings": [3]}):
        write_json(tmp_path / LIST, content)
        with pytest.raises(XlxmertError, match="expected a list of paintings"):
            read_folder(tmp_path)
    write_json(tmp_path / LIST, {"made": {}, "paintings": []})
    with pytest.raises(XlxmertError, match="expected 0 paintings"):
        read_folder(tmp_path)
