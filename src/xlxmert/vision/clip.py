"""CLIP as an independent judge of whether captions fit pictures, through the package open_clip where that is."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from xlxmert.core.axes import Float, UInt8
from xlxmert.core.errors import XlxmertError

DEFAULT = "ViT-B-32/openai"
"""Model and weights, as open_clip names them."""
TOGETHER = 64
"""Captions that are read together."""


@dataclass(frozen=True)
class Clip:
    """Cosines between pictures and captions, in [-1, 1]; the captions are read as they are, without a prefix."""

    model: Any
    preprocess: Any
    tokenizer: Any
    device: torch.device
    weights: str = DEFAULT
    _known: dict[str, torch.Tensor] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"open_clip {self.weights}, cosine"

    @torch.inference_mode()
    def __call__(
        self, pictures: Sequence[UInt8[np.ndarray, "S S 3"]], captions: Sequence[Sequence[str]]
    ) -> list[Float[np.ndarray, " C"]]:
        """For each picture the cosines with its captions."""
        pixels = torch.stack([self.preprocess(Image.fromarray(picture)) for picture in pictures]).to(self.device)
        looked = _unit(self.model.encode_image(pixels)).cpu()  # (B, F)
        pairs = zip(looked, captions, strict=True)
        return [(self._read(texts) @ picture).double().numpy() for picture, texts in pairs]

    def _read(self, texts: Sequence[str]) -> Float[torch.Tensor, "C F"]:
        """Captions as unit vectors; each is read once."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(new), TOGETHER):
            some = new[start : start + TOGETHER]
            vectors = _unit(self.model.encode_text(self.tokenizer(some).to(self.device))).cpu()
            self._known.update(zip(some, vectors, strict=True))
        return torch.stack([self._known[text] for text in texts])


def open_clip(weights: str = DEFAULT, device: torch.device | str = "cpu") -> Clip:
    """A CLIP by open_clip's names of its model and weights, such as ``ViT-B-32/openai``.

    Raises:
        XlxmertError: the package is not installed or does not import here, or the weights cannot be had.
    """
    try:
        module = importlib.import_module("open_clip")
    except ModuleNotFoundError as error:
        raise XlxmertError(
            f"expected the package open_clip_torch to score with CLIP, found no {error.name}: "
            "pip install open_clip_torch, or pass another --scorer"
        ) from error
    except Exception as error:  # torchvision beside another torch raises RuntimeError
        raise XlxmertError(f"open_clip is here but does not import ({_line(error)}): mend it first") from error
    model_name, _, trained = weights.partition("/")
    try:
        model, _, preprocess = module.create_model_and_transforms(model_name, pretrained=trained or None)
        tokenizer = module.get_tokenizer(model_name)
    except Exception as error:  # unknown names and failed downloads raise many types
        raise XlxmertError(
            f"could not open the CLIP {weights} ({_line(error)}): check the name MODEL/WEIGHTS, and go online once"
        ) from error
    return Clip(model.to(device).eval(), preprocess, tokenizer, torch.device(device), weights)


def _unit(vectors: Float[torch.Tensor, "B F"]) -> Float[torch.Tensor, "B F"]:
    unit: torch.Tensor = vectors.float() / vectors.float().norm(dim=-1, keepdim=True)
    return unit


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
