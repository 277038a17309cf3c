"""Networks of ``transformers`` behind the backbone's contract: strides, pixels, files, and what is refused."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_tensors
from xlxmert.testing.networks import DEVIATION, MEAN, save_network
from xlxmert.vision.backbones import open_backbone
from xlxmert.vision.regions import Depth, FeatureSpec
from xlxmert.vision.transformers_backbone import Pixels, TransformersBackbone, load_transformers
from xlxmert.vision.vocabulary import FeatureExtractor, VisualVocabulary, fit_vocabulary

pytest.importorskip("transformers")
STAGED = {4, 8, 16, 32}
KINDS = {
    "vit": {16}, "vit-classes": {16}, "dinov2": {16}, "registers": {16}, "clip": {16}, "clip-vision": {32},
    "siglip": {16}, "swin": STAGED, "convnext": STAGED, "resnet": STAGED, "resnet-classes": STAGED,
}  # fmt: skip
PIXELS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def normal(pixels: torch.Tensor) -> torch.Tensor:
    """As an image processor makes it of values from 0 to 255."""
    return ((pixels + 1) / 2 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]


@pytest.mark.parametrize("kind", KINDS)
def test_maps_have_the_strides_that_are_told(tmp_path: Path, kind: str) -> None:
    save_network(tmp_path / kind, kind)
    backbone = open_backbone(f"hf:{tmp_path / kind}")
    assert set(backbone.strides) == KINDS[kind] == set(backbone.channels) and backbone.name == f"hf:{kind}"
    maps = backbone(PIXELS)
    for stride, values in zip(backbone.strides, maps, strict=True):
        assert values.shape == (2, backbone.channels[stride], 64 // stride, 64 // stride)
        assert bool(values.isfinite().all()) and not torch.allclose(values[0], values[1])
    if len(maps) > 1:
        assert len(backbone(PIXELS, 8)) == 2 and torch.equal(backbone(PIXELS, 8)[1], maps[1])
    assert backbone(PIXELS, 0) == [] and not any(weight.requires_grad for weight in backbone.parameters())


def test_patches_are_those_of_the_network_without_what_stands_before_them(tmp_path: Path) -> None:
    network = save_network(tmp_path / "registers", "registers")
    (values,) = open_backbone(f"hf:{tmp_path / 'registers'}")(PIXELS)
    scaled = torch.nn.functional.interpolate(PIXELS, (56, 56), mode="bilinear", antialias=True)
    with torch.no_grad():
        tokens = network(pixel_values=normal(scaled)).last_hidden_state
    assert tokens.shape == (2, 1 + 3 + 16, 16)
    torch.testing.assert_close(values, tokens[:, 4:].reshape(2, 4, 4, 16).permute(0, 3, 1, 2))


def test_stages_are_those_of_the_network(tmp_path: Path) -> None:
    network = save_network(tmp_path / "resnet", "resnet-classes")
    maps = open_backbone(f"hf:{tmp_path / 'resnet'}")(PIXELS)
    with torch.no_grad():
        told = network.resnet(normal(PIXELS), output_hidden_states=True).hidden_states[1:]
    for one, other in zip(maps, told, strict=True):
        torch.testing.assert_close(one, other)


def test_a_part_of_a_picture_stays_where_it_is(tmp_path: Path) -> None:
    save_network(tmp_path / "dinov2", "dinov2")
    changed = PIXELS.clone()
    changed[:, :, 16:32, 48:] = -changed[:, :, 16:32, 48:]  # row 1, column 3
    backbone = open_backbone(f"hf:{tmp_path / 'dinov2'}")
    moved = (backbone(changed)[0] - backbone(PIXELS)[0]).norm(dim=1).mean(0)
    assert divmod(int(moved.argmax()), 4) == (1, 3)


def test_pixels_follow_the_image_processor() -> None:
    pixels, settings = PIXELS, {"image_mean": MEAN, "image_std": DEVIATION}
    torch.testing.assert_close(Pixels.of(settings, "x")(pixels), normal(pixels))
    torch.testing.assert_close(Pixels.of({"do_normalize": False}, "x")(pixels), (pixels + 1) / 2)
    plain = Pixels.of({"do_normalize": False, "do_rescale": False, "do_flip_channel_order": True}, "x")
    torch.testing.assert_close(plain(pixels), (pixels.flip(1) + 1) * 127.5)
    with pytest.raises(XlxmertError, match=r"image_mean and image_std of three colours .* of x, found None"):
        Pixels.of({}, "x")


def test_a_vocabulary_carries_a_backbone_from_a_folder(tmp_path: Path) -> None:
    save_network(tmp_path / "vit", "vit")
    backbone = open_backbone(f"hf:{tmp_path / 'vit'}")
    pictures = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    extractor = FeatureExtractor.fit(backbone, FeatureSpec(4, (Depth(16),), colour_parts=1), list(pictures))
    vocabulary = fit_vocabulary(extractor, list(pictures), 9, iterations=2)
    vocabulary.save(tmp_path / "vocabulary.safetensors")
    shutil.rmtree(tmp_path / "vit")
    loaded = VisualVocabulary.load(tmp_path / "vocabulary.safetensors")
    stack = torch.from_numpy(pictures)
    assert torch.equal(loaded.features(stack), vocabulary.features(stack)) and loaded.backbone.name == "hf:vit"
    loaded.save(tmp_path / "again.safetensors")
    (first, told), (second, again) = (
        read_tensors(tmp_path / f"{name}.safetensors") for name in ("vocabulary", "again")
    )
    assert told == again and all(torch.equal(first[name], second[name]) for name in first.keys() | second.keys())


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"a": torch.zeros(1)}, folder / "pytorch_model.bin")


def _remote(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(f"open({str(folder / 'was-run')!r}, 'w')")


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:500])


def _other(folder: Path) -> None:
    keep = folder / "config.json", (folder / "config.json").read_text()
    save_network(folder, "resnet")
    keep[0].write_text(keep[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_pickle, "weights as safetensors in .*pickles are not read"),
        (_remote, "none that can be read"),
        (_cut, "none that can be read"),
        (_other, "expected the weights of ViTModel in .*missing: "),
        (lambda folder: (folder / "config.json").unlink(), "expected a JSON file at .*config.json, found nothing"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config of a network"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "save the image processor there too"),
    ],
)
def test_folders_that_are_refused(tmp_path: Path, change: Callable[[Path], None], message: str) -> None:
    save_network(tmp_path / "vit", "vit")
    change(tmp_path / "vit")
    with pytest.raises(XlxmertError, match=message):
        load_transformers(f"hf:{tmp_path / 'vit'}")
    assert not (tmp_path / "vit" / "was-run").exists()


def test_what_is_no_backbone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_network(tmp_path / "bert", "bert")
    with pytest.raises(UsageError, match="stages or square patches, found bert"):
        load_transformers(f"hf:{tmp_path / 'bert'}")
    for name in ("hf:./nowhere", "hf:/nowhere/at/all", "hf:"):
        with pytest.raises(UsageError, match="found neither"):
            load_transformers(name)
    save_network(tmp_path / "swin", "swin")
    with pytest.raises(XlxmertError, match=r"multiples of 32 for hf:swin, found 40x64: pass another --size"):
        load_transformers(f"hf:{tmp_path / 'swin'}")(torch.zeros(1, 3, 40, 64))


def test_without_a_network_one_line_names_the_next_move(tmp_path: Path) -> None:
    import subprocess
    import sys

    program = "from xlxmert.vision.backbones import open_backbone; open_backbone('hf:facebook/dinov2-small')"
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=offline, check=False)
    last = ended.stderr.strip().splitlines()[-1]
    assert "expected the backbone hf:facebook/dinov2-small on the Hugging Face hub" in last
    assert last.endswith("check the name, go online once, or pass hf:FOLDER with its files")


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    save_network(tmp_path / "vit", "vit")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(XlxmertError, match=r"pip install 'xlxmert\[backbones\]'"):
        load_transformers(f"hf:{tmp_path / 'vit'}")


def test_loading_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_network(tmp_path / "vit", "vit-classes")
    capfd.readouterr()
    assert isinstance(load_transformers(f"hf:{tmp_path / 'vit'}"), TransformersBackbone)
    assert "".join(capfd.readouterr()) == ""
