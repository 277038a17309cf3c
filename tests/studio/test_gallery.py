"""The gallery and painted files: whole, self-contained, and never over a stranger's file."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xlxmert.core.errors import UsageError
from xlxmert.studio import Answer, Caption, Painting
from xlxmert.studio.files import file_names, save_gif, save_painting, slug
from xlxmert.studio.gallery import Asked, Entry, write_gallery
from xlxmert.testing.tiny import tiny_pictures

PICTURES = tiny_pictures(8)
ENTRIES = [
    Entry(PICTURES[0], "two <red> cars & a dog", "Painted", "seed 3"),
    Entry(
        PICTURES[1],
        "test picture",
        "Seen",
        captions=(Caption("a dog", -0.5),),
        asked=(
            Asked("what is it ?", (Answer("dog", 0.875), Answer("cat", 0.125)), "dog"),
            Asked("how many ?", (Answer("two", 0.6),), "three"),
        ),
    ),
    *(Entry(picture, str(index), "Seen") for index, picture in enumerate(PICTURES[2:])),
]


class _Tags(HTMLParser):
    """Collects tags and checks that they are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path) -> None:
    page = write_gallery(tmp_path / "new", ENTRIES, "A <demo>", {"paint": {"facts": 0.91234}, "steps": 16})
    text = page.read_text(encoding="utf-8")
    tags = _Tags()
    tags.feed(text)
    assert not tags.open
    images = [attributes for tag, attributes in tags.seen if tag == "img"]
    assert len(images) == len(ENTRIES) and all(str(image["src"]).startswith("data:image/") for image in images)
    assert not re.search(r"https?://|<script|<link|url\(", text)
    assert "two &lt;red&gt; cars &amp; a dog" in text and "<red>" not in text


def test_the_page_tells_captions_answers_truths_and_scores(tmp_path: Path) -> None:
    text = write_gallery(tmp_path, ENTRIES, scores={"paint": {"facts": 0.91234}}).read_text(encoding="utf-8")
    assert "a dog <span class=score>-0.50" in text
    assert "dog ✓" in text and "value=0.8750" in text and "88%" in text and "(true: three)" in text
    assert "paint · facts" in text and "0.912" in text


def test_the_contact_sheet_holds_every_picture(tmp_path: Path) -> None:
    write_gallery(tmp_path, ENTRIES)
    with Image.open(tmp_path / "gallery.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape[1] > 6 * 160 and pixels.shape[0] > 3 * 160  # one row of painted ones, two of seen ones


def test_a_gallery_replaces_itself_and_no_page_of_a_stranger(tmp_path: Path) -> None:
    write_gallery(tmp_path / "mine", ENTRIES)
    write_gallery(tmp_path / "mine", ENTRIES[:2])
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<html>my home page</html>")
    with pytest.raises(UsageError, match="found another"):
        write_gallery(tmp_path / "site", ENTRIES)
    assert "home page" in (tmp_path / "site" / "index.html").read_text()
    with pytest.raises(UsageError, match="at least one picture"):
        write_gallery(tmp_path, [])


def test_a_painting_s_file_holds_its_prompt_and_seed(tmp_path: Path) -> None:
    painting = Painting(PICTURES[0], np.zeros(64, np.int64), 7, "ein Hund, schön")
    save_painting(tmp_path / "a.png", painting)
    with Image.open(tmp_path / "a.png") as image:
        assert (image.info["Description"], image.info["Seed"]) == ("ein Hund, schön", "7")
        assert np.array_equal(np.asarray(image), PICTURES[0])


def test_a_stranger_s_file_is_only_replaced_when_asked(tmp_path: Path) -> None:
    painting = Painting(PICTURES[0], np.zeros(64, np.int64), 7, "a dog")
    Image.fromarray(PICTURES[1]).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="--overwrite"):
        save_painting(tmp_path / "a.png", painting)
    save_painting(tmp_path / "a.png", painting, overwrite=True)
    save_painting(tmp_path / "a.png", painting)
    with pytest.raises(UsageError, match="found a folder"):
        save_painting(tmp_path, painting)


def test_a_gif_plays_every_frame_and_is_known_as_ours(tmp_path: Path) -> None:
    for _ in range(2):
        save_gif(tmp_path / "a.gif", list(PICTURES[:5]))
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 5 and image.size == (32, 32)
    with pytest.raises(UsageError, match="at least one frame"):
        save_gif(tmp_path / "b.gif", [])


def test_file_names_are_tame_and_different() -> None:
    assert slug("Two RED cars, on the beach!") == "two-red-cars-on-the-beach"
    assert slug("../../etc/passwd") == "etc-passwd" and slug("🚗") == "picture" and len(slug("dog " * 99)) <= 60
    names = file_names([("a dog", 0), ("a dog!", 0), ("a dog?", 0), ("a dog", 1)])
    assert names == ["a-dog-0", "a-dog-0-2", "a-dog-0-3", "a-dog-1"]
