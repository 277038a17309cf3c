"""What a pre-training run costs before it is started: weights, operations per step, memory, hours. Computed only.

Operations follow `xlxmert.models.cost`; a step costs three forward passes (one forward, two for the gradients), and
with checkpointing the layers' once more. Bytes that the layers hold for the gradients are counted by autograd itself on
PyTorch's meta device, where tensors have shapes and no content.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from xlxmert.core.errors import UsageError
from xlxmert.models.base import Transformer
from xlxmert.models.config import ModelConfig
from xlxmert.models.cost import code_head_flops, encoder_flops, object_head_flops, pooled_flops, word_head_flops
from xlxmert.models.families import build
from xlxmert.tasks.pretrain import PretrainConfig
from xlxmert.train import TrainConfig
from xlxmert.train.layers import recompute
from xlxmert.train.optim import inner_matrices

H200 = 989.0
"""TFLOP/s of one NVIDIA H200 (and H100 SXM) in dense bf16 products, by its data sheet."""
UTILISATIONS = (0.35, 0.5)
"""Shares of the peak at which hours are told."""
GIB = 2**30


@dataclass(frozen=True)
class Data:
    """What the sentences and pictures of a run are like; the defaults are about the papers'."""

    words: int = 20
    """Tokens of a sentence as it is padded in a batch (LXMERT's code cuts at 20)."""
    cells: int = 64
    """Visual tokens of a picture."""
    questions: float = 0.5
    """Share of questions among the sentences that are not for codes."""


@dataclass(frozen=True)
class Cost:
    """The cost of a run."""

    parameters: int
    """Trained numbers."""
    forward: float
    """Operations of one example's forward pass, the mean over the objectives."""
    step: float
    """Operations of a step of all processes together."""
    steps: int
    weights: int
    """Bytes of weights, gradients, the optimiser's moments and the moving average."""
    activations: int
    """Bytes that one process holds for the gradients of one forward pass, in single precision (bf16: about half)."""

    @property
    def total(self) -> float:
        """Operations of the whole run."""
        return self.step * self.steps

    def hours(self, tflops: float) -> float:
        """How long the run takes at so many TFLOP/s of all processes together."""
        return self.total / (tflops * 1e12) / 3600

    def facts(self, tflops: float | None = None) -> dict[str, str]:
        """For a person; without ``tflops``, hours on one H200 at `UTILISATIONS`."""
        told = {
            "parameters": f"{self.parameters:,}",
            "forward": f"{self.forward / 1e9:.2f} GFLOP per example",
            "step": f"{self.step / 1e12:.3f} TFLOP",
            "run": f"{self.steps:,} steps, {self.total / 1e18:.4g} EFLOP",
            "weights": f"{self.weights / GIB:.2f} GiB with gradients, optimiser and moving average",
            "activations": f"{self.activations / GIB:.2f} GiB per process and forward pass in fp32",
        }
        if tflops is not None:
            return told | {"hours": f"{self.hours(tflops):.1f} at {tflops:g} TFLOP/s"}
        shares = (f"{self.hours(H200 * share):.1f} at {share:.0%}" for share in UTILISATIONS)
        return told | {"hours": f"{', '.join(shares)} of one H200 (computed, not measured)"}


def pretrain_cost(
    shape: ModelConfig, objectives: PretrainConfig, loop: TrainConfig, data: Data = Data(), processes: int = 1
) -> Cost:
    """The cost of a pre-training run.

    Args:
        shape: the model, with the data's sizes.
        objectives: what is asked.
        loop: batch, steps, checkpointing.
        data: lengths.
        processes: among which a batch is cut.
    """
    with torch.device("meta"):
        model = build(shape)
    trained = {name: weight.numel() for name, weight in model.named_parameters()}
    matrices = inner_matrices(model) if objectives.optim.muon_lr else set()
    moments = sum(count * (1 if name in matrices else 2) for name, count in trained.items())
    total = sum(trained.values())
    rows = -(-loop.batch_size // (processes * loop.accumulate))
    forward, layers = _forward(shape, objectives, data, loop.batch_size)
    passes = loop.batch_size * (3 * forward + (layers if loop.checkpointing else 0))
    return Cost(
        parameters=total,
        forward=forward,
        step=passes,
        steps=loop.steps,
        weights=4 * (total * (3 if loop.ema else 2) + moments),
        activations=rows * held_bytes(model, data, loop.checkpointing),
    )


def held_bytes(model: Transformer, data: Data, checkpointing: bool = False) -> int:
    """Bytes of one example that the encoders hold for its gradients; the model is on the meta device."""
    held: dict[int, Tensor] = {}
    weights = {weight.untyped_storage()._cdata for weight in (*model.parameters(), *model.buffers())}
    if checkpointing:
        recompute(model)

    def hold(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage()._cdata] = tensor
        return tensor

    words = torch.ones(1, data.words, dtype=torch.long, device="meta")
    features = torch.zeros(1, data.cells, model.config.feature_width, device="meta")
    codes = torch.zeros(1, data.cells, dtype=torch.long, device="meta")
    boxes = torch.zeros(1, data.cells, 4, device="meta")
    model.train()
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        model(words, codes if model.config.codes else features, boxes, word_mask=words > 0)
    return sum(kept.untyped_storage().nbytes() for storage, kept in held.items() if storage not in weights)


def _forward(shape: ModelConfig, objectives: PretrainConfig, data: Data, batch: int) -> tuple[float, float]:
    """Operations of an example, the mean over the objectives, and those of them that are in the layers."""
    words, cells = data.words, data.cells
    hidden = objectives.visual_rate if objectives.visual_mask == "bernoulli" else 0.5
    rate = objectives.word_rate if objectives.word_mask == "bernoulli" else (1 + objectives.word_rate) / 2
    asked = cells * hidden
    if objectives.most_cells:
        asked = min(asked, objectives.most_cells / batch)
    seen = code_head_flops(shape, 1) * asked if "codes" in objectives.targets else 0.0
    seen += object_head_flops(shape, 1) * asked if "features" in objectives.targets else 0.0
    written = word_head_flops(shape, 1) * rate * max(words - 2, 1)
    pooled = pooled_flops(shape, data.questions * (1 - objectives.mismatched / 2))
    if objectives.policy == "all":
        layers = float(encoder_flops(shape, words, cells))
        return layers + seen + written + pooled, layers
    chances = [chance / sum(objectives.modalities) for chance in objectives.modalities]
    sides = [float(encoder_flops(shape, words, cells, side)) for side in ("picture", "words", "words")]
    layers = sum(chance * side for chance, side in zip(chances, sides, strict=True))
    heads = sum(chance * head for chance, head in zip(chances, (seen, written, pooled), strict=True))
    return layers + heads, layers


def check_machine(tflops: float | None) -> None:
    """Complain about a speed that no machine has.

    Raises:
        UsageError: it is not above 0.
    """
    if tflops is not None and not tflops > 0:
        raise UsageError(f"expected --tflops above 0, found {tflops}: pass what your machine reaches, such as 350")
