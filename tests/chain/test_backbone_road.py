"""A network of ``transformers`` all the way: vocabulary, store, training, checkpoint, and a caption of a picture."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from xlxmert.cli.main import main
from xlxmert.convert.folder import Bundle
from xlxmert.core.files import write_json
from xlxmert.core.images import save_png
from xlxmert.testing.networks import save_network
from xlxmert.testing.tiny import SENTENCES, tiny_pictures

pytest.importorskip("transformers")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Six pictures with captions."""
    pictures = [{"id": n, "file_name": f"{n}.png", "width": 32, "height": 32} for n in range(6)]
    told = [{"id": n, "image_id": n, "caption": SENTENCES[n]} for n in range(6)]
    for number, picture in enumerate(tiny_pictures(6)):
        save_png(tmp_path / "images" / f"{number}.png", picture)
    write_json(tmp_path / "captions.json", {"images": pictures, "annotations": told})
    return tmp_path


@pytest.mark.parametrize("kind", ["dinov2", pytest.param("resnet", marks=pytest.mark.slow)])
def test_a_foreign_backbone_walks_the_whole_road(
    album: Path, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(album)
    save_network(album / kind, kind)
    common = ["--images", "images", "--device", "cpu", "--json"]
    fit = ["--backbone", f"hf:{kind}", "--codes", "20", "--iterations", "3", "--size", "128", "--kept", "24"]
    assert main(["codebook", *common, *fit, "--out", "vocabulary.safetensors"]) == 0
    assert json.loads(capsys.readouterr().out)["backbone"] == f"hf:{kind}"
    shutil.rmtree(album / kind)  # its weights are in the vocabulary
    prepare = ["--codebook", "vocabulary.safetensors", "--captions", "captions.json", "--size", "128", "--out", "store"]
    assert main(["prepare", *common, *prepare]) == 0
    loop = [
        "--loop.out",
        "run",
        "--loop.steps",
        "2",
        "--loop.batch-size",
        "4",
        "--loop.device",
        "cpu",
        "--loop.no-tensorboard",
        "--loop.quiet",
    ]
    assert (
        main(["pretrain", "--store", "store", "--codebook", "vocabulary.safetensors", "--preset", "tiny", *loop]) == 0
    )
    capsys.readouterr()
    assert main(["caption", "images/0.png", "--checkpoint", "run/checkpoint", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    vocabulary = Bundle.from_pretrained(album / "run" / "checkpoint").vocabulary
    assert vocabulary is not None and vocabulary.backbone.name == f"hf:{kind}"
    assert [depth.stride for depth in vocabulary.spec.depths] == ([4, 8] if kind == "resnet" else [16])


def test_depths_that_a_backbone_lacks_are_told(
    album: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(album)
    save_network(album / "dinov2", "dinov2")
    fit = ["codebook", "--images", "images", "--backbone", "hf:dinov2", "--codes", "20", "--out", "v.safetensors"]
    assert main([*fit, "--depths", "8:1"]) == 2
    assert "expected --depths of strides 16, which hf:dinov2 has, found 8" in capsys.readouterr().err
    assert main([*fit, "--size", "96"]) == 2
    assert "expected a --size in multiples of 128 for hf:dinov2, found 96" in capsys.readouterr().err
    assert main([*fit[:4], "hf:nowhere/at/all", *fit[5:]]) == 2
    assert "found neither" in capsys.readouterr().err
