"""Picture files from strangers: every mode Pillow knows, broken files by name, bombs refused undecoded."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.images import contact_sheet, load_picture, save_png, square, to_bytes, to_floats

RED, GREEN = (250, 10, 10), (10, 240, 10)


def halves(size=(64, 48)) -> Image.Image:
    """Red on the left, green on the right."""
    image = Image.new("RGB", size, RED)
    image.paste(GREEN, (size[0] // 2, 0, size[0], size[1]))
    return image


def corner_colours(picture):
    return picture[20, 20].tolist(), picture[20, -20].tolist()


@pytest.mark.parametrize(
    "mode, suffix, options",
    [
        ("RGB", "png", {}),
        ("RGB", "jpg", {"quality": 98}),
        ("RGB", "webp", {"lossless": True}),
        ("CMYK", "jpg", {"quality": 98}),
        ("P", "gif", {}),
        ("P", "png", {}),
        ("RGBA", "png", {}),
        ("RGB", "bmp", {}),
        ("CMYK", "tif", {}),
        ("RGB", "ppm", {}),
    ],
)
def test_modes_and_formats_keep_their_colours(tmp_path, mode, suffix, options):
    path = tmp_path / f"picture.{suffix}"
    halves().convert(mode).save(path, **options)
    picture = load_picture(path)
    assert picture.shape == (256, 256, 3) and picture.dtype == np.uint8
    for found, expected in zip(corner_colours(picture), (RED, GREEN), strict=True):
        assert np.abs(np.subtract(found, expected)).max() < 24


@pytest.mark.parametrize(
    "kind, full", [(np.uint16, 65535), (np.int32, 65535), (np.float32, 1.0), (np.float32, 255.0), (np.uint8, 255)]
)
def test_grey_pictures_of_any_depth_span_black_to_white(tmp_path, kind, full):
    ramp = np.tile(np.linspace(0, full, 64).astype(kind), (64, 1))
    Image.fromarray(ramp).save(tmp_path / "grey.tif")
    picture = load_picture(tmp_path / "grey.tif", size=64)
    assert np.abs(picture[32, :, 1].astype(int) - np.linspace(0, 255, 64)).max() < 2


def test_one_bit_and_transparent_pictures_stand_on_white(tmp_path):
    for mode, clear in (("RGBA", (0, 0, 0, 0)), ("LA", (0, 0)), ("1", 1)):
        Image.new(mode, (8, 8), clear).save(tmp_path / "clear.png")
        assert (load_picture(tmp_path / "clear.png", size=16) == 255).all(), mode
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0] * 256)
    palette.save(tmp_path / "clear.gif", transparency=0)
    assert (load_picture(tmp_path / "clear.gif", size=16) == 255).all()


def test_half_transparent_pixels_are_mixed_with_white(tmp_path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 128)).save(tmp_path / "veil.png")
    assert np.abs(load_picture(tmp_path / "veil.png", size=16).astype(int) - 127).max() <= 1


def test_a_photograph_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    halves().save(tmp_path / "turned.jpg", exif=exif, quality=98)
    left, right = corner_colours(load_picture(tmp_path / "turned.jpg"))
    assert left[1] > 200 and right[0] > 200


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, GREEN)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    assert load_picture(tmp_path / "film.gif")[0, 0, 0] > 200


def test_squash_keeps_everything_and_crop_keeps_the_centre(tmp_path):
    image = halves((300, 100))
    image.paste((0, 0, 255), (0, 0, 90, 100))
    image.save(tmp_path / "wide.png")
    assert load_picture(tmp_path / "wide.png")[128, 2].tolist() == [0, 0, 255]
    assert load_picture(tmp_path / "wide.png", crop=True)[128, 5].tolist() == list(RED)


def test_a_huge_photograph_is_read_at_a_fraction_of_its_size(tmp_path):
    halves((4000, 3000)).save(tmp_path / "huge.jpg")
    left, right = corner_colours(load_picture(tmp_path / "huge.jpg"))
    assert left[0] > 200 and right[1] > 200


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tif", "bmp"])
def test_files_cut_short_are_errors_that_name_the_file(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    for length in (0, 5, 30, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(XlxmertError, match=path.name):
            load_picture(path)


def test_files_that_are_no_pictures_are_errors_that_name_the_file(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "script.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    for name, reason in (
        ("text.png", "could not read"),
        ("script.eps", "could not read"),
        ("none.png", "found nothing"),
        ("", "folder"),
    ):
        with pytest.raises(XlxmertError, match=reason) as caught:
            load_picture(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises a large picture and that holds no pixels at all."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_001, 12_000, 30_000, 60_000])
def test_decompression_bombs_are_refused_by_name(tmp_path, side, recwarn):
    (tmp_path / "bomb.png").write_bytes(bomb(side, side))
    with pytest.raises(
        XlxmertError, match=r"at most 100 megapixels, found \d+(x\d+ pixels| megapixels) in .*bomb\.png"
    ):
        load_picture(tmp_path / "bomb.png")
    assert not recwarn.list


def test_the_limit_is_the_callers(tmp_path):
    halves((200, 100)).save(tmp_path / "small.png")
    with pytest.raises(XlxmertError, match=r"at most 0\.01 megapixels, found 200x100"):
        load_picture(tmp_path / "small.png", megapixels=0.01)


def test_png_files_keep_every_pixel(tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    save_png(tmp_path / "folder" / "noise.png", noise)
    assert (np.asarray(Image.open(tmp_path / "folder" / "noise.png")) == noise).all()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["noise.png"]
    assert (square(Image.fromarray(noise[:20, :20]), size=20) == noise[:20, :20]).all()


def test_bytes_and_floats_are_inverse():
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    floats = to_floats(every)
    assert floats.shape == (1, 3, 16, 16) and float(floats.min()) == -1 and float(floats.max()) == 1
    assert torch.equal(to_bytes(floats), every)
    assert to_bytes(torch.full((1, 3, 1, 1), 1.7)).max() == 255


def test_a_contact_sheet_holds_tiles_captions_and_titles():
    tiles = [np.full((40, 60, 3), 90, np.uint8), np.full((256, 256, 3), 40, np.uint8)]
    plain = contact_sheet([tiles, tiles[:1]], tile=80)
    assert plain.shape[1] == 2 * 80 + 3 * 8 and (plain == 40).any() and (plain == 90).any()
    words = "a very long caption about a red bus in the snow and an extraordinarilylongunbrokenwordindeedyes"
    told = contact_sheet([tiles, tiles[:1]], [[words, "b"], ["Åse ☃"]], ["first", "second"], tile=80)
    assert told.shape[1] == plain.shape[1] and told.shape[0] > plain.shape[0] + 4 * 10
    assert (told[:, -4:] == 255).all(), "texts stay inside the sheet"


def test_a_contact_sheet_refuses_nothing_and_mismatched_texts():
    tile = np.zeros((8, 8, 3), np.uint8)
    for rows, captions, titles in (
        ([], None, None),
        ([[]], None, None),
        ([[tile]], [["a", "b"]], None),
        ([[tile]], None, []),
    ):
        with pytest.raises(UsageError, match="expected"):
            contact_sheet(rows, captions, titles)


def test_broken_exif_does_not_stop_a_picture(tmp_path):
    buffer = io.BytesIO()
    halves().save(buffer, "jpeg", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01\x12")
    (tmp_path / "exif.jpg").write_bytes(buffer.getvalue())
    assert load_picture(tmp_path / "exif.jpg").shape == (256, 256, 3)
