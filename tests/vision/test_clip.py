"""CLIP as a scorer, by a stand-in for open_clip: cosines, captions read once, and every way it can be missing."""

import sys
import types

import numpy as np
import pytest
import torch

from xlxmert.core.errors import XlxmertError
from xlxmert.vision.clip import open_clip


class Model(torch.nn.Module):
    """Embeds a picture as its mean colour, and a caption as the colour that it names."""

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mean(dim=(2, 3))

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.eye(3)[tokens]


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[object]]:
    """What the stand-in was asked for."""
    asked: dict[str, list[object]] = {"models": [], "texts": []}

    def create(name: str, pretrained: str | None) -> tuple[object, ...]:
        asked["models"].append((name, pretrained))
        if name == "ViT-none":
            raise RuntimeError("Model config for ViT-none not found")
        return Model(), None, lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255

    def tokenizer(texts: list[str]) -> torch.Tensor:
        asked["texts"] += texts
        return torch.tensor([("red", "green", "blue").index(text) for text in texts])

    module = types.ModuleType("open_clip")
    module.create_model_and_transforms = create  # type: ignore[attr-defined]
    module.get_tokenizer = lambda name: tokenizer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "open_clip", module)
    return asked


def test_scores_are_cosines_and_each_caption_is_read_once(package: dict[str, list[object]]) -> None:
    clip = open_clip()
    red, purple = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)
    red[..., 0], purple[..., 0], purple[..., 2] = 255, 255, 255
    rows = clip([red, purple], [["red", "green"], ["blue", "red", "green"]])
    assert rows[0].tolist() == [1, 0]
    assert rows[1].tolist() == pytest.approx([0.5**0.5, 0.5**0.5, 0])
    clip([red], [["green"]])
    assert sorted(map(str, package["texts"])) == ["blue", "green", "red"]
    assert package["models"] == [("ViT-B-32", "openai")] and "ViT-B-32/openai" in clip.name


def test_names_that_cannot_be_had_are_one_line(package: dict[str, list[object]]) -> None:
    with pytest.raises(XlxmertError, match=r"could not open the CLIP ViT-none/x \(Model config"):
        open_clip("ViT-none/x")


def test_the_package_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(XlxmertError, match="pip install open_clip_torch, or pass another --scorer"):
        open_clip()
