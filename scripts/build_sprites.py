"""Rebuild the world's sprites from Microsoft's Fluent Emoji 3D set (MIT).

    npm pack @lobehub/fluent-emoji-3d@1.1.0 && tar xzf lobehub-fluent-emoji-3d-1.1.0.tgz
    python scripts/build_sprites.py package/assets

Each sprite is cropped to its content, made square, scaled to 128 pixels and stored as webp with alpha in
``src/xlxmert/data/world/sprites``.
"""

import sys
from pathlib import Path

from PIL import Image

from xlxmert.data.world.lexicon import NOUNS

SIDE = 128


def file_stem(emoji: str) -> str:
    """The set's file name of an emoji: code points in hexadecimal, without the variation selector."""
    return "-".join(f"{ord(sign):x}" for sign in emoji if ord(sign) != 0xFE0F)


def square(picture: Image.Image) -> Image.Image:
    """Crop to the opaque part and centre it on a transparent square."""
    picture = picture.crop(picture.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox())
    side = max(picture.size)
    canvas = Image.new("RGBA", (side, side))
    canvas.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return canvas.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def main(assets: Path) -> None:
    """Write every sprite of the lexicon, or say which emoji the set lacks."""
    files = {path.stem.replace("-fe0f", ""): path for path in assets.glob("*.webp")}
    lacking = [f"{noun.sprite} ({noun.emoji})" for noun in NOUNS if file_stem(noun.emoji) not in files]
    if lacking:
        sys.exit(f"expected these emoji in {assets}, found none: {', '.join(lacking)}")
    target = Path(__file__).parents[1] / "src/xlxmert/data/world/sprites"
    target.mkdir(exist_ok=True)
    for old in target.glob("*.webp"):
        old.unlink()
    for noun in NOUNS:
        sprite = square(Image.open(files[file_stem(noun.emoji)]).convert("RGBA"))
        sprite.save(target / f"{noun.sprite}.webp", quality=85, method=6)
    size = sum(path.stat().st_size for path in target.glob("*.webp"))
    print(f"{len(NOUNS)} sprites, {size / 1024:.0f} KiB, in {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
