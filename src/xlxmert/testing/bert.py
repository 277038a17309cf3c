"""A small random BERT on disk, in the layout of its published folder: for tests without a download."""

import json
from pathlib import Path
from typing import Any

import torch

from xlxmert.core.files import write_tensors

SIZES = {"vocab_size": 200, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
"""Sizes in its config."""
LAYERS = 3
"""Layers of the BERT."""


def bert_state(layers: int = LAYERS, width: int = 32, words: int = 200) -> dict[str, torch.Tensor]:
    """A random BERT with word scores, pooler and next-sentence scores, under the names of its published file."""
    generator = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (words, width),
        "bert.embeddings.position_embeddings.weight": (48, width),
        "bert.embeddings.token_type_embeddings.weight": (2, width),
        **_norm("bert.embeddings.LayerNorm", width),
        **_linear("bert.pooler.dense", width, width),
        "cls.predictions.bias": (words,),
        **_linear("cls.predictions.transform.dense", width, width),
        **_norm("cls.predictions.transform.LayerNorm", width),
        "cls.predictions.decoder.weight": (words, width),
        **_linear("cls.seq_relationship", 2, width),
    }
    for i in range(layers):
        layer = f"bert.encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _linear(f"{layer}.attention.{part}", width, width)
        shapes |= _norm(f"{layer}.attention.output.LayerNorm", width) | _norm(f"{layer}.output.LayerNorm", width)
        shapes |= _linear(f"{layer}.intermediate.dense", 2 * width, width)
        shapes |= _linear(f"{layer}.output.dense", width, 2 * width)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def _linear(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def bert_folder(path: Path, state: dict[str, torch.Tensor], **config: Any) -> Path:
    """A folder with these weights as safetensors."""
    write_tensors(path / "model.safetensors", state)
    (path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_act": "gelu", **SIZES, **config}))
    return path
