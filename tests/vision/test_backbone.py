"""The backbone: the original network's numbers, loud loading, gradients to the pixels, no state that moves."""

import pytest
import torch

from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.files import read_tensors, write_tensors
from xlxmert.vision.backbone import Backbone, _weights, load_backbone

ORIGINAL = {2: (9.2528, -12.0349), 4: (13.9051, 3.7113), 8: (12.3365, -0.9716), 16: (7.1795, -2.8932)}
"""Standard deviation and value [0, 3, 1, 2] of each map of `waves`, computed with efficientnet_lite_pytorch 0.1.0."""


@pytest.fixture(scope="module")
def backbone():
    torch.set_num_threads(1)
    return load_backbone()


@pytest.fixture(scope="module")
def waves():
    line = torch.arange(64.0)
    return torch.stack([torch.sin(line[:, None] / 7 + line[None] / 5 + colour) for colour in range(3)])[None]


def test_maps_equal_the_original_networks_up_to_half_precision(backbone, waves):
    for (stride, (deviation, value)), found in zip(ORIGINAL.items(), backbone(waves), strict=True):
        assert found.shape == (1, backbone.channels[stride], 64 // stride, 64 // stride)
        assert float(found.std()) == pytest.approx(deviation, rel=1e-3)
        assert float(found[0, 3, 1, 2]) == pytest.approx(value, abs=0.01 * deviation)


@pytest.mark.parametrize("deepest, count", [(0, 0), (2, 1), (8, 3), (16, 4)])
def test_a_shallower_run_gives_the_first_maps(backbone, waves, deepest, count):
    maps = backbone(waves, deepest)
    assert len(maps) == count
    assert all(torch.equal(a, b) for a, b in zip(maps, backbone(waves)[:count], strict=True))


@pytest.mark.parametrize("height, width", [(32, 32), (33, 47), (64, 96)])
def test_sizes_are_rounded_up(height, width):
    maps = Backbone(32)(torch.zeros(1, 3, height, width))
    assert [tuple(values.shape[-2:]) for values in maps] == [
        (-(-height // s), -(-width // s)) for s in (2, 4, 8, 16, 32)
    ]


def test_pixels_get_gradients_and_weights_do_not(backbone, waves):
    pixels = waves.clone().requires_grad_()
    sum(values.square().mean() for values in backbone(pixels)).backward()
    assert pixels.grad is not None and float(pixels.grad.abs().min()) >= 0 and float(pixels.grad.abs().sum()) > 0
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in backbone.parameters())


def test_the_gradient_is_the_slope(backbone, waves):
    pixels, direction = waves.clone().requires_grad_(), torch.cos(3 * waves)
    backbone(pixels)[1].mean().backward()
    with torch.no_grad():
        up, down = (backbone(waves + step * direction)[1].double().mean() for step in (1e-3, -1e-3))
    assert float((up - down) / 2e-3) == pytest.approx(float((pixels.grad * direction).sum()), rel=0.02)


def test_a_picture_alone_is_as_in_a_batch(backbone, waves):
    batch = torch.cat([waves, -waves, waves.flip(-1)])
    for alone, together in zip(backbone(waves), backbone(batch), strict=True):
        assert torch.allclose(alone, together[:1], atol=1e-3)


def test_autocast_is_close(backbone, waves):
    with torch.autocast("cpu", torch.bfloat16):
        halves = backbone(waves)
    for exact, half in zip(backbone(waves), halves, strict=True):
        assert float((exact - half.float()).std() / exact.std()) < 0.05


def test_loading_names_every_wrong_tensor(tmp_path):
    tensors, _ = read_tensors(_weights("efficientnet-lite0"))
    tensors["stem.weight"] = tensors["stem.weight"][:1]
    tensors["stages.0.0.surprise"] = tensors.pop("stages.0.0.filter.bias")
    write_tensors(tmp_path / "wrong.safetensors", tensors)
    with pytest.raises(XlxmertError) as caught:
        load_backbone(str(tmp_path / "wrong.safetensors"))
    assert all(name in str(caught.value) for name in ("stem.weight", "stages.0.0.surprise", "stages.0.0.filter.bias"))


def test_a_stride_that_is_not_shipped_is_an_error():
    with pytest.raises(XlxmertError, match=r"stages\.5"):
        load_backbone(deepest=32)


def test_unknown_names_and_strides_are_usage_errors(backbone, waves):
    with pytest.raises(UsageError, match="efficientnet-lite0"):
        load_backbone("resnet-9000")
    with pytest.raises(UsageError, match="12"):
        Backbone(12)
    with pytest.raises(UsageError, match="at most 16"):
        backbone(waves, 32)
