"""Every corruption of features is recognised and named, and right features are left in peace."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import save_png, square, to_floats
from xlxmert.data.features import SeenPicture
from xlxmert.data.h5_features import write_h5_features
from xlxmert.data.world.golden import golden_pictures
from xlxmert.data.world.render import render
from xlxmert.data.world.scene import make_scene
from xlxmert.recipes.checks import Check
from xlxmert.recipes.codebook import remembered
from xlxmert.recipes.doctor import Expected, check_features, expected_of_vocabulary
from xlxmert.recipes.explain import PLACES
from xlxmert.vision.backbone import load_backbone
from xlxmert.vision.codebook import Codebook
from xlxmert.vision.reference import MISTAKES, Reference
from xlxmert.vision.regions import Depth, FeatureSpec
from xlxmert.vision.vocabulary import FeatureExtractor, VisualVocabulary

pytest.importorskip("h5py")
SIZE, WIDTH = 128, 24
SPEC = FeatureSpec(8, (Depth(8, 1),), colour_parts=2, kept=WIDTH, whiten=0.5)
Change = Callable[[torch.Tensor], torch.Tensor]


def scenes(split: str, count: int) -> list[np.ndarray]:
    return [square(Image.fromarray(render(make_scene(split, 1, index))), SIZE) for index in range(count)]


@pytest.fixture(scope="module")
def vocabulary() -> VisualVocabulary:
    """A real backbone's features of small pictures; its codes do not matter here."""
    torch.set_num_threads(1)
    pictures = scenes("train", 24)
    extractor = FeatureExtractor.fit(load_backbone(deepest=8), SPEC, pictures)
    rows = extractor.features(torch.from_numpy(np.stack(pictures))).flatten(0, 1)
    codebook = Codebook(rows[torch.randperm(len(rows))[:64]])
    plain = VisualVocabulary(extractor.backbone, SPEC, extractor.statistics, codebook)
    return remembered(plain, pictures, SIZE)


@pytest.fixture(autouse=True)
def few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at large pictures takes most of the time."""
    monkeypatch.setattr("xlxmert.recipes.explain.OTHER_SIZES", (256,))


@pytest.fixture(scope="module")
def expected(vocabulary: VisualVocabulary, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    path = tmp_path_factory.mktemp("doctor") / "vocabulary.safetensors"
    vocabulary.save(path)
    found, (check,) = expected_of_vocabulary(path)
    assert check.verdict == "ok" and check.what == "backbone", check
    return found


def same(pixels: torch.Tensor) -> torch.Tensor:
    return pixels


def golden(vocabulary: VisualVocabulary, change: Change = same, size: int = SIZE, crop: bool = False) -> torch.Tensor:
    """Features of the known pictures after a mistake with their pixels."""
    stack = np.stack([square(Image.fromarray(picture), size, crop) for picture in golden_pictures().values()])
    return vocabulary.look(change(to_floats(torch.from_numpy(stack))).contiguous())


def written(path: Path, features: torch.Tensor, names: list[str] | None = None) -> Path:
    names = list(golden_pictures()) if names is None else names
    pictures = [SeenPicture(name, row.numpy()) for name, row in zip(names, features, strict=True)]
    write_h5_features(path, ((picture, 384, 256) for picture in pictures))
    return path


def verdict(checks: list[Check], what: str) -> Check:
    (found,) = [check for check in checks if check.what == what]
    return found


def test_right_features_are_right_in_any_precision(tmp_path: Path, expected: Expected) -> None:
    assert expected.vocabulary is not None
    features = golden(expected.vocabulary)
    changes: dict[str, Change] = {
        "single precision": same,
        "half precision": lambda x: x.half().float(),
        "bfloat16": lambda x: x.bfloat16().float(),
    }
    for name, change in changes.items():
        checks = check_features(written(tmp_path / f"{name}.h5", change(features)), expected)
        assert all(check.verdict != "differs" for check in checks), checks
        assert name in verdict(checks, "numbers").found and verdict(checks, "features").verdict == "ok"


@pytest.mark.parametrize("cause", MISTAKES)
def test_mistakes_with_pixels_are_named(tmp_path: Path, expected: Expected, cause: str) -> None:
    assert expected.vocabulary is not None
    features = golden(expected.vocabulary, MISTAKES[cause])
    check = verdict(check_features(written(tmp_path / "a.h5", features), expected), "features")
    assert check.verdict == "differs" and check.cause == cause and "again" in check.move


@pytest.mark.parametrize(
    ("changes", "cause"),
    [({"crop": True}, "pictures were cropped to their centre"), ({"size": 256}, "pictures were brought to 256 pixels")],
)
def test_another_size_or_crop_is_named(tmp_path: Path, expected: Expected, changes: dict[str, int], cause: str) -> None:
    assert expected.vocabulary is not None
    features = golden(expected.vocabulary, same, **changes)
    assert verdict(check_features(written(tmp_path / "a.h5", features), expected), "features").cause == cause


@pytest.mark.parametrize("cause", list(PLACES)[1:])
def test_another_order_of_cells_is_named(tmp_path: Path, expected: Expected, cause: str) -> None:
    assert expected.vocabulary is not None
    features = PLACES[cause](golden(expected.vocabulary))
    assert verdict(check_features(written(tmp_path / "a.h5", features), expected), "features").cause == cause


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda x: x / 255, "all numbers were multiplied by 0.00392"),
        (lambda x: x * 12, "all numbers were multiplied by 12"),
        (lambda x: x / x.norm(dim=-1, keepdim=True), "each feature was brought to length 1"),
        (lambda x: x + torch.linspace(-3, 3, WIDTH), "a constant was added to or subtracted from each channel"),
        (lambda x: (x - 1) * torch.linspace(0.2, 4, WIDTH), "each channel was scaled and shifted by itself"),
    ],
)
def test_changed_numbers_are_named(tmp_path: Path, expected: Expected, change: Change, cause: str) -> None:
    assert expected.vocabulary is not None
    features = change(golden(expected.vocabulary))
    check = verdict(check_features(written(tmp_path / "a.h5", features), expected), "features")
    assert check.verdict == "differs" and check.cause.startswith(cause), check


def test_two_mistakes_at_once_are_both_named(tmp_path: Path, expected: Expected) -> None:
    assert expected.vocabulary is not None
    features = PLACES["rows and columns of the grid were swapped"](
        golden(expected.vocabulary, MISTAKES["red and blue were swapped"])
    )
    check = verdict(check_features(written(tmp_path / "a.h5", features), expected), "features")
    assert check.cause == "red and blue were swapped; rows and columns of the grid were swapped"


def test_other_features_are_not_explained_away(tmp_path: Path, expected: Expected) -> None:
    features = torch.randn(4, 64, WIDTH, generator=torch.Generator().manual_seed(0))
    check = verdict(check_features(written(tmp_path / "a.h5", features), expected), "features")
    assert check.verdict == "differs" and check.cause.startswith("no usual mistake explains it")


def test_pictures_of_ones_own_are_looked_at_again(tmp_path: Path, expected: Expected) -> None:
    assert expected.vocabulary is not None
    pictures = scenes("val", 3)
    for number, picture in enumerate(pictures):
        save_png(tmp_path / "mine" / f"{number}.png", picture)
    swapped = to_floats(torch.from_numpy(np.stack(pictures))).flip(1).contiguous()
    path = written(tmp_path / "a.h5", expected.vocabulary.look(swapped), ["0", "1", "2"])
    assert verdict(check_features(path, expected, tmp_path / "mine"), "features").cause == "red and blue were swapped"
    save_png(tmp_path / "others" / "x.png", pictures[0])
    with pytest.raises(XlxmertError, match=r"expected pictures of the file in .*others, found none of 0"):
        check_features(path, expected, tmp_path / "others")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (same, ""),
        (lambda x: x / 255, "all numbers were multiplied by 0.00"),
        (PLACES["rows and columns of the grid were swapped"], "rows and columns of the grid were swapped"),
        (PLACES["the grid was upside down"], "the grid was upside down"),
    ],
)
def test_without_pictures_the_spread_is_compared(
    tmp_path: Path, expected: Expected, change: Change, cause: str
) -> None:
    assert expected.vocabulary is not None
    features = change(expected.vocabulary.features(torch.from_numpy(np.stack(scenes("val", 24)))))
    check = verdict(
        check_features(written(tmp_path / "a.h5", features, [*map(str, range(24))]), expected), "statistics"
    )
    assert check.verdict == ("differs" if cause else "note") and check.cause.startswith(cause) and check.move


def test_the_means_of_mistakes_are_known(tmp_path: Path, expected: Expected) -> None:
    assert expected.vocabulary is not None
    cause = "pixels ran from 0 to 1 where 0 to 255 was meant"
    dark = MISTAKES[cause](to_floats(torch.from_numpy(np.stack(scenes("val", 24)))))
    path = written(tmp_path / "a.h5", expected.vocabulary.look(dark), [*map(str, range(24))])
    assert verdict(check_features(path, expected), "statistics").cause == cause


def test_another_width_or_grid_is_named(tmp_path: Path, expected: Expected) -> None:
    check = verdict(check_features(written(tmp_path / "a.h5", torch.zeros(4, 64, 7)), expected), "width")
    assert "64 x 7 numbers a picture, expected 64 x 24" in check.found and check.verdict == "differs"
    check = verdict(check_features(written(tmp_path / "b.h5", torch.zeros(4, 16, WIDTH)), expected), "cells")
    assert "16 x 24" in check.found and check.cause == "another grid"


BOXES = torch.tensor([[[0.1, 0.1, 0.9, 0.8], [0.5, 0.4, 0.95, 0.9]]]).repeat(4, 1, 1)


@pytest.mark.parametrize(
    ("boxes", "verdict_", "cause"),
    [
        (BOXES, "ok", ""),
        (BOXES / torch.tensor([384, 256, 384, 256]), "differs", "shares from 0 to 1 were written"),
        (torch.cat([BOXES[..., :2], BOXES[..., 2:] - BOXES[..., :2]], -1), "differs", "width and height were written"),
    ],
)
def test_boxes_in_other_units_are_named(tmp_path: Path, boxes: torch.Tensor, verdict_: str, cause: str) -> None:
    features = torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(0))
    reference = Expected("boxes", Reference.of(features))
    labels = np.zeros(2, np.int64)
    seen = [SeenPicture(str(n), features[n].numpy(), boxes[n].numpy(), labels) for n in range(4)]
    write_h5_features(tmp_path / "a.h5", ((each, 384, 256) for each in seen))
    checks = check_features(tmp_path / "a.h5", reference)
    check = next(check for check in checks if check.what == "boxes" or check.verdict == "differs")
    assert check.verdict == verdict_ and check.cause.startswith(cause), checks


def test_files_that_cannot_be_read_are_named(tmp_path: Path, expected: Expected) -> None:
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    (check,) = check_features(tmp_path / "cut.h5", expected)
    assert check.verdict == "differs" and "cannot be read to its end" in check.found
    with pytest.raises(UsageError, match="expected --features as a store, or a file of"):
        check_features(tmp_path / "a.npz", expected)


def test_an_old_vocabulary_says_so_and_still_compares_pictures(tmp_path: Path, vocabulary: VisualVocabulary) -> None:
    parts = vocabulary.backbone, vocabulary.spec, vocabulary.statistics, vocabulary.codebook
    VisualVocabulary(*parts).save(tmp_path / "old.safetensors")
    old, (check,) = expected_of_vocabulary(tmp_path / "old.safetensors")
    assert check.verdict == "note" and "made by an earlier version" in check.found and "xlxmert codebook" in check.move
    path = written(tmp_path / "a.h5", golden(vocabulary, MISTAKES["red and blue were swapped"]))
    found = verdict(check_features(path, old, size=SIZE), "features")
    assert found.cause == "red and blue were swapped"


def test_a_changed_backbone_is_told_by_its_memory(tmp_path: Path, vocabulary: VisualVocabulary) -> None:
    other = load_backbone(deepest=8)
    with torch.no_grad():
        other.stem.weight.copy_(other.stem.weight.flip(1))  # reads blue before red
    parts = vocabulary.spec, vocabulary.statistics, vocabulary.codebook
    changed = VisualVocabulary(other, *parts, reference=vocabulary.reference)
    _, (check,) = expected_of_vocabulary(tmp_path / "unused", changed)
    assert check.verdict == "differs" and check.what == "backbone"
