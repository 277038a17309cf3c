"""Tiny picture networks of ``transformers`` in folders, as one saves them: backbones for tests without a download."""

from pathlib import Path
from typing import Any

import torch

from xlxmert.core.files import write_json

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TEXT = SIZES | {"vocab_size": 99, "max_position_embeddings": 20, "bos_token_id": 1, "eos_token_id": 2}
STAGES = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}


def tiny_network(kind: str) -> Any:
    """A network with random weights, the same each time: ``vit``, ``dinov2``, ``registers``, ``clip``, ``clip-vision``,
    ``siglip``, ``swin``, ``convnext`` or ``resnet``; with ``-classes`` behind ``vit`` or ``resnet`` a classifier."""
    import transformers as t

    torch.manual_seed(7)
    patches = {size: SIZES | {"patch_size": size, "image_size": 4 * size} for size in (14, 16, 32)}
    resnet = t.ResNetConfig(embedding_size=8, layer_type="basic", **STAGES)
    swin = {"image_size": 64, "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 2], "window_size": 4}
    makers = {
        "vit": lambda: t.ViTModel(t.ViTConfig(**patches[16])),
        "vit-classes": lambda: t.ViTForImageClassification(t.ViTConfig(**patches[16])),
        "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(**patches[14])),
        "registers": lambda: t.Dinov2WithRegistersModel(
            t.Dinov2WithRegistersConfig(num_register_tokens=3, **patches[14])
        ),
        "clip": lambda: t.CLIPModel(t.CLIPConfig(text_config=TEXT, vision_config=patches[16], projection_dim=16)),
        "clip-vision": lambda: t.CLIPVisionModel(t.CLIPVisionConfig(**patches[32])),
        "siglip": lambda: t.SiglipModel(t.SiglipConfig(text_config=TEXT, vision_config=patches[16])),
        "swin": lambda: t.SwinModel(t.SwinConfig(**swin)),
        "convnext": lambda: t.ConvNextModel(t.ConvNextConfig(**STAGES)),
        "resnet": lambda: t.ResNetModel(resnet),
        "resnet-classes": lambda: t.ResNetForImageClassification(resnet),
        "bert": lambda: t.BertModel(t.BertConfig(**TEXT)),
    }
    return makers[kind]().eval()


def save_network(folder: Path, kind: str, **processor: Any) -> Any:
    """Save a tiny network with its image processor's settings; gives the network."""
    network = tiny_network(kind)
    network.save_pretrained(folder)
    usual = {"do_rescale": True, "rescale_factor": 1 / 255, "image_mean": MEAN, "image_std": DEVIATION}
    write_json(folder / "preprocessor_config.json", {"do_normalize": True, **usual, **processor})
    return network
