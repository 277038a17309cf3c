"""What is said of the pictures of one's own folder: caption files found beside them, or the names that they carry."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.data.pictures import SUFFIXES as PICTURES
from xlxmert.data.pictures import Named, PictureFolder, list_files
from xlxmert.data.plain_captions import SUFFIXES, read_any_captions
from xlxmert.data.records import CaptionRecord

Names = Literal["none", "files", "folders"]
"""Whether pictures are told by their own names or by their folders' names, if at all."""
USUAL = ("captions", "metadata")
"""How the names of caption files begin."""
PLACES = ("", "annotations", "captions")
"""The folders within the folder of pictures in which they are looked for."""
Told = dict[Path, list[str]]
"""Picture files and their captions, in the order of the files' names."""


def told_pictures(images: Path, files: Sequence[Path] = (), names: Names = "none") -> Told:
    """The captions of the pictures under a folder; a picture without any is left out.

    1. ``names="files"``: a picture is told by its file's name, ``a_red_car-12.jpg`` as "a red car"; ``"folders"``: by
       its folder's.
    2. Otherwise ``files`` are read, in any format of `read_any_captions`.
    3. Without files those are looked for that are called captions or metadata (``captions_train2014.json``,
       ``metadata.csv``), in the folder itself or in ``annotations`` or ``captions`` within it.
    4. Without these, a text file beside a picture and of the same name tells it, a caption in each line.

    Args:
        images: the folder; folders within are searched too.
        files: caption files.
        names: whether names are captions.

    Raises:
        UsageError: both files and names are given.
        XlxmertError: there are no captions, or a file is damaged or names a picture that is not there.
    """
    if names not in get_args(Names) or (files and names != "none"):
        raise UsageError(f"expected caption files or names (none, files, folders), found both or names '{names}'")
    if names != "none":
        return _worded((path, [_words_of(path, names, images)]) for path in PictureFolder(images).files)
    found = list(files) or usual_files(images)
    told = _read(images, found) if found else _beside(images)
    if not told:
        where = ", ".join(str(path) for path in found) or f"{images} and beside its pictures"
        raise XlxmertError(
            f"expected captions in {where}, found none: write captions.jsonl with lines such as "
            '{"image": "a.jpg", "caption": "a red car"}, pass --captions, or let names tell (--names files or folders)'
        )
    return told


def usual_files(images: Path) -> list[Path]:
    """The caption files that lie where they usually do."""
    found: list[Path] = []
    for place in (images / name for name in PLACES):
        files = list_files(place) if place.is_dir() else []
        found += [
            file for file in files if file.stem.lower().startswith(USUAL) and _suffix(file) in (*SUFFIXES, ".json")
        ]
    return found


def _read(images: Path, files: Iterable[Path]) -> Told:
    """The captions of files that name their pictures."""
    read = [(path, *read_any_captions(path)) for path in files]
    told: Told = {}
    for path, pictures, captions in read:
        folder = PictureFolder(images, pictures)
        told = _joined(told, folder, path, pictures, captions)
    return _worded(sorted(told.items()))


def _joined(
    told: Told, folder: PictureFolder, source: Path, pictures: Sequence[Named], captions: Sequence[CaptionRecord]
) -> Told:
    """What was told so far, with one more file."""
    try:
        paths = {picture.id: folder.path(picture.id) for picture in pictures}
    except XlxmertError as error:
        raise XlxmertError(f"{error} (asked for by {source})") from error
    for caption in captions:
        told.setdefault(paths[caption.picture_id], []).append(caption.text)
    return told


def _beside(images: Path) -> Told:
    """The captions of text files beside pictures."""
    files = list_files(images, nested=True)
    texts = {file.with_suffix(""): file for file in files if _suffix(file) == ".txt"}
    pairs = ((file, texts.get(file.with_suffix(""))) for file in files if _suffix(file) in PICTURES)
    return _worded((file, [each.text for each in read_any_captions(text)[1]]) for file, text in pairs if text)


def _worded(told: Iterable[tuple[Path, Sequence[str]]]) -> Told:
    """Without empty captions, and without the pictures that have no other."""
    kept = ((path, [text for text in texts if text.strip()]) for path, texts in told)
    return {path: texts for path, texts in kept if texts}


def _words_of(path: Path, names: Names, images: Path) -> str:
    """What a name says, without numbers that only tell it from others."""
    name = path.stem if names == "files" else "" if path.parent == images else path.parent.name
    return " ".join(re.sub(r"[\W_]+", " ", re.sub(r"[\W_]*\(?\d+\)?$", "", name)).split())


def _suffix(path: Path) -> str:
    return path.suffix.lower()
