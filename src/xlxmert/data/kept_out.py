"""Pictures that no training may see: validation and test sets by their annotation files, under any of their names.

COCO's pictures have one number over all its sets and years, whatever their files are called; everybody else's names
stand for themselves. A name that may be either (``000000391895``, as COCO names files since 2017) is kept out as both.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from xlxmert.core.errors import XlxmertError
from xlxmert.data.coco import read_pictures
from xlxmert.data.gqa import read_gqa
from xlxmert.data.nlvr2 import read_nlvr2
from xlxmert.data.pretraining import read_pretraining
from xlxmert.data.records import Id
from xlxmert.data.vqa import read_vqa

_COCO = re.compile(r"COCO_[A-Za-z]+[0-9]*_(?P<number>[0-9]+)")
_PADDED = re.compile(r"0[0-9]{11}")


def names_of(picture_id: Id) -> frozenset[Id]:
    """What a picture may be called: COCO's number as a number, anything else as text."""
    if isinstance(picture_id, int):
        return frozenset([picture_id])
    if match := _COCO.fullmatch(picture_id):
        return frozenset([int(match["number"])])
    if _PADDED.fullmatch(picture_id):
        return frozenset([int(picture_id), str(int(picture_id))])
    return frozenset([picture_id])


@dataclass(frozen=True)
class KeptOut:
    """Names of pictures, each with the file that says so."""

    files: Mapping[Id, str]

    def __len__(self) -> int:
        """How many names."""
        return len(self.files)

    def why(self, *picture_ids: Id | None) -> str | None:
        """The file that keeps a picture out, under any of the ids it has; None where it may be seen."""
        names = (name for picture_id in picture_ids if picture_id is not None for name in names_of(picture_id))
        return next((self.files[name] for name in names if name in self.files), None)

    @classmethod
    def read(
        cls,
        told: Iterable[Path] = (),
        coco: Iterable[Path] = (),
        vqa: Iterable[Path] = (),
        gqa: Iterable[Path] = (),
        nlvr2: Iterable[Path] = (),
    ) -> "KeptOut":
        """The pictures of annotation files.

        Args:
            told: LXMERT's ``mscoco_minival.json``.
            coco: ``captions_*.json``, ``instances_*.json`` or ``image_info_test2014.json``.
            vqa: ``v2_OpenEnded_mscoco_test2015_questions.json`` and its like.
            gqa: ``testdev_all_questions.json`` and its like, files or folders.
            nlvr2: ``test1.json`` and its like.

        Raises:
            XlxmertError: a file is missing, cut short or of another format, or names no picture.
        """
        files: dict[Id, str] = {}

        def keep(path: Path, picture_ids: Iterable[Id]) -> None:
            found = dict.fromkeys(picture_ids)
            for name in (name for picture_id in found for name in names_of(picture_id)):
                files.setdefault(name, Path(path).name)
            if not found:
                raise XlxmertError(
                    f"expected pictures to keep out in {path}, found none: nothing would be kept out; check the file"
                )

        for path in told:
            keep(path, (each.picture_id for each in read_pretraining(path)))
        for path in coco:
            keep(path, (_number(each.id) for each in read_pictures(path)))
        for path in vqa:
            keep(path, (_number(each.picture_id) for each in read_vqa(path)))
        for path in gqa:
            keep(path, (each.picture_id for each in read_gqa(path)))
        for path in nlvr2:
            keep(path, (name for each in read_nlvr2(path) for name in (each.left_id, each.right_id)))
        return cls(files)


def _number(picture_id: Id) -> Id:
    """COCO's ids are numbers, also where a file has them as text."""
    return int(picture_id) if isinstance(picture_id, str) and picture_id.isdecimal() else picture_id
