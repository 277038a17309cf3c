"""Training the image generator: losses against their equations, batches, the two players, previews."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import OptimConfig
from xlxmert.models.generator import Discriminator, Generator, GeneratorConfig
from xlxmert.models.generator.presets import TINY, TINY_DISCRIMINATOR
from xlxmert.tasks.gan_losses import adversarial_loss, code_loss, hinge_loss, match_loss, pixel_loss
from xlxmert.tasks.render import RenderBatch, RenderConfig, RenderTask
from xlxmert.testing.parts import assert_parts_add_up
from xlxmert.train import TrainConfig, train

PICTURES = 10
WARM = RenderConfig(l1=1.0, perceptual=0.0, adversarial_from=-1)
PAPER_WEIGHTS = RenderConfig()
WORLD_LIKE = dataclasses.replace(
    TINY, modulated=1, skip="subpixel", upsample_late=True, head="running", head_kernel=1, spectral=False, noise=False
)


class Network(nn.Module):
    """A frozen network that a careless training mode would spoil."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        first = self.norm(self.conv(pictures))
        return [first, F.relu(first)]


def picture(index: int) -> np.ndarray:
    """A 32x32 picture in two flat colours of its own."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:] = np.random.default_rng(index).integers(0, 256, 3)
    pixels[:, 16:] = np.random.default_rng(100 + index).integers(0, 256, 3)
    return pixels


def make(
    config: RenderConfig = PAPER_WEIGHTS, network: nn.Module | None = None, shape: GeneratorConfig = TINY
) -> RenderTask:
    """A tiny task: ten pictures, twenty codes; every picture has two codes of its own."""
    torch.manual_seed(0)
    codes = np.repeat(np.arange(2 * PICTURES).reshape(PICTURES, 1, 2), 4, axis=2).repeat(8, axis=1)
    return RenderTask(
        Generator(shape),
        Discriminator(TINY_DISCRIMINATOR),
        picture,
        codes.reshape(PICTURES, 64).astype(np.uint16),
        torch.randn(20, 12),
        config,
        network,
        seed=3,
    )


def same(a: RenderBatch, b: RenderBatch) -> bool:
    """Whether two batches hold equal tensors."""
    names = [field.name for field in dataclasses.fields(a) if field.name != "share"]
    return a.share == b.share and all(torch.equal(getattr(a, name), getattr(b, name)) for name in names)


def test_hinge_loss_is_that_of_the_equation() -> None:
    fake, real = torch.tensor([-2.0, 0.5]), torch.tensor([3.0, 0.0])
    assert hinge_loss(fake, real).item() == pytest.approx((0 + 1.5) / 2 + (0 + 1) / 2)
    assert adversarial_loss(fake).item() == pytest.approx(0.75)


def test_match_loss_is_the_huber_distance_summed_over_maps() -> None:
    fake = [torch.tensor([[0.5, 3.0]]), torch.tensor([1.0])]
    real = [torch.zeros(1, 2), torch.zeros(1)]
    assert match_loss(fake, real).item() == pytest.approx((0.125 + 2.5) / 2 + 0.5)
    with pytest.raises(ValueError, match="longer"):
        match_loss(fake, [*real, torch.zeros(1)])


def test_code_loss_is_the_mean_negative_log_probability_of_the_cells() -> None:
    logits, codes = torch.randn(2, 4, 5), torch.randint(0, 5, (2, 4))
    expected = -logits.log_softmax(-1).gather(-1, codes[..., None]).mean()
    torch.testing.assert_close(code_loss(logits, codes), expected)


def test_pixel_loss_is_the_mean_absolute_difference() -> None:
    assert pixel_loss(torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), -0.25)).item() == 0.75


def test_a_batch_is_a_function_of_its_step() -> None:
    task, twin = make(), make()
    task.batch(0, 4)
    assert_parts_add_up(task, 0, 5, 2)
    assert same(task.batch(5, 4), twin.batch(5, 4))
    assert not same(task.batch(5, 4), task.batch(6, 4))


def test_every_epoch_shows_every_picture_once_with_its_own_codes() -> None:
    task = make()
    for epoch in (0, 1):
        batches = [task.batch(step, 5) for step in (2 * epoch, 2 * epoch + 1)]
        firsts = torch.cat([batch.codes[:, 0] for batch in batches])
        assert sorted(firsts.tolist()) == list(range(0, 2 * PICTURES, 2))
    batch = task.batch(7, 3)
    for pixels, codes in zip(batch.pictures, batch.codes, strict=True):
        assert np.array_equal(pixels.permute(1, 2, 0).numpy(), picture(int(codes[0]) // 2))
    assert batch.real().min() >= -1
    assert batch.real().max() <= 1


def test_the_warm_start_learns_the_pictures() -> None:
    torch.manual_seed(0)
    task = make(WARM, shape=WORLD_LIKE)
    (player,) = task.players()
    before, optimiser = task.score(range(PICTURES)), torch.optim.Adam(player.trains.parameters(), lr=1e-2)
    for step in range(80):
        optimiser.zero_grad()
        player.module(task.batch(step, 5))["loss"].backward()
        optimiser.step()
    after = task.score(range(PICTURES))
    assert after > 18
    assert after > before + 6


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    task = make(RenderConfig(l1=2.0), Network())
    generator, discriminator = task.players()
    scalars = generator.module(task.batch(0, 3))
    weights = {"l1": 2.0, "perceptual": 10.0, "adversarial": 1.0, "codes": 1.0, "match": 10.0}
    assert scalars.keys() == {"loss", *weights}
    expected = sum(weight * scalars[name].item() for name, weight in weights.items())
    assert scalars["loss"].item() == pytest.approx(expected, rel=1e-4)
    scalars = discriminator.module(task.batch(0, 3))
    assert scalars["loss"].item() == pytest.approx((scalars["hinge"] + scalars["codes"]).item(), rel=1e-5)


def test_the_discriminators_turn_leaves_the_generator_alone() -> None:
    task = make()
    _, discriminator = task.players()
    state = {name: tensor.clone() for name, tensor in task.generator.state_dict().items()}
    discriminator.module(task.batch(0, 2))["loss"].backward()
    assert all(p.grad is None for p in task.generator.parameters())
    assert all(torch.equal(tensor, state[name]) for name, tensor in task.generator.state_dict().items())
    assert task.generator.training
    assert all(p.grad is not None for p in discriminator.trains.parameters())


def test_the_discriminator_waits_for_its_step() -> None:
    task = make(RenderConfig(l1=1.0, adversarial_from=4))
    generator, discriminator = task.players()
    assert "adversarial" not in generator.module(task.batch(3, 2))
    idle = discriminator.module(task.batch(3, 2))
    assert idle.keys() == {"loss"}
    idle["loss"].backward()
    assert all(p.grad is None for p in discriminator.trains.parameters())
    assert "adversarial" in generator.module(task.batch(4, 2))
    assert discriminator.module(task.batch(4, 2))["hinge"] > 0


def test_the_frozen_network_stays_frozen_and_in_evaluation() -> None:
    network = Network()
    task = make(RenderConfig(l1=1.0, adversarial_from=-1), network)
    (player,) = task.players()
    player.module.train()
    before = network.norm.running_mean.clone()
    scalars = player.module(task.batch(0, 2))
    scalars["perceptual"].backward()
    assert torch.equal(network.norm.running_mean, before)
    assert not network.training
    assert all(p.grad is None for p in network.parameters())
    assert any(p.grad is not None and p.grad.abs().any() for p in task.generator.parameters())


def test_previews_show_true_pictures_above_painted_ones(tmp_path: Path) -> None:
    task = make(WARM)
    average = Generator(TINY).eval()
    task.preview(tmp_path, 12, {"generator": average})
    sheet = np.asarray(Image.open(tmp_path / "render-000012.png"))
    assert sheet.shape == (64, 8 * 32, 3)
    assert np.array_equal(sheet[:32, :32], picture(0))
    assert not average.training
    assert task.generator.training
    _, painted = task.reconstruct([0], average)
    assert np.abs(sheet[32:, :32] / 127.5 - 1 - painted[0].permute(1, 2, 0).numpy()).max() < 0.01


def test_a_run_trains_both_players_and_resumes(tmp_path: Path) -> None:
    optim = OptimConfig(lr=1e-3)
    config = RenderConfig(l1=1.0, adversarial_from=1, generator_optim=optim, discriminator_optim=optim)
    settings = TrainConfig(
        out=tmp_path, steps=3, batch_size=2, ema=0.9, precision="fp32", device="cpu", tensorboard=False, quiet=True,
        preview_every=3, save_every=2,
    )  # fmt: skip
    task = make(config)
    start = (
        {name: tensor.clone() for name, tensor in task.discriminator.state_dict().items()} if task.discriminator else {}
    )
    report = train(task, settings)
    assert report.finished
    assert np.isfinite(report.means["generator/loss"])
    assert task.discriminator is not None
    assert not torch.equal(task.discriminator.state_dict()["code_bias"], start["code_bias"])
    assert torch.equal(task.discriminator.state_dict()["centroids"], start["centroids"])
    assert (tmp_path / "preview" / "render-000003.png").is_file()
    assert {path.name for path in report.checkpoint.glob("*.safetensors")} >= {
        "generator.safetensors",
        "generator.ema.safetensors",
    }


def test_mismatched_parts_are_refused() -> None:
    generator, codes, centroids = Generator(TINY), np.zeros((2, 64), np.uint16), torch.zeros(20, 12)
    with pytest.raises(XlxmertError, match=r"codes must be of shape \(pictures, 64\) \(found \(2, 63\)\)"):
        RenderTask(generator, None, picture, codes[:, 1:], centroids, WARM)
    with pytest.raises(XlxmertError, match="codes must be below 20 \\(found 20\\)"):
        RenderTask(generator, None, picture, codes + np.uint16(20), centroids, WARM)
    with pytest.raises(XlxmertError, match="found centroids of width 11"):
        RenderTask(generator, None, picture, codes, centroids[:, 1:], WARM)
    with pytest.raises(XlxmertError, match="needs a discriminator"):
        RenderTask(generator, None, picture, codes, centroids, RenderConfig())
    with pytest.raises(XlxmertError, match="picture 0 must be uint8"):
        RenderTask(generator, None, lambda index: picture(index)[1:], codes, centroids, WARM).reconstruct([0])
    with pytest.raises(XlxmertError, match="nothing to minimise"):
        task = RenderTask(generator, None, picture, codes, centroids, RenderConfig(adversarial_from=-1))
        task.players()[0].module(task.batch(0, 1))
    with pytest.raises(XlxmertError, match="l1 must be zero or more"):
        RenderConfig(l1=-1.0)
