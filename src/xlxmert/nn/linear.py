"""Linear maps in the fastest exact products of the machine: what attention and feed-forward nets are made of.

PyTorch multiplies float32 matrices on a CPU with MKL, which keeps AVX-512 to Intel's processors. The oneDNN in the same
builds uses it on all of them: on an AMD EPYC the products of a transformer take half the time, forward and backward,
and differ by rounding alone.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import FunctionCtx

from xlxmert.core.axes import Float, Tensor


class Linear(nn.Linear):
    """``torch.nn.Linear`` by way of `linear`; the weights and their names are the same."""

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any E"]:
        """Map every vector on its own."""
        return linear(x, self.weight, self.bias)


def linear(
    x: Float[Tensor, "*any D"], weight: Float[Tensor, "E D"], bias: Float[Tensor, " E"] | None = None
) -> Float[Tensor, "*any E"]:
    """``x @ weight.T + bias`` as `torch.nn.functional.linear` gives it, in oneDNN's products where they serve."""
    if not _serves(x, weight, bias):
        return F.linear(x, weight, bias)
    taught = x.requires_grad or weight.requires_grad or (bias is not None and bias.requires_grad)
    if taught and torch.is_grad_enabled():
        return _Product.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]
    return _product(x, weight, bias)


class _Product(torch.autograd.Function):
    """oneDNN's product with its gradients, which are products of the same kind."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors  # type: ignore[attr-defined]
        to_x, to_weight, to_bias = ctx.needs_input_grad  # type: ignore[attr-defined]
        gradient = gradients[0]  # (*any, E)
        rows = gradient.reshape(-1, gradient.shape[-1])  # (M, E)
        return (
            linear(gradient, weight.t()) if to_x else None,  # (*any, D)
            linear(rows.t(), x.reshape(-1, x.shape[-1]).t()) if to_weight else None,  # (E, D)
            rows.sum(0) if to_bias else None,  # (E)
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
    return product


def at_least_single(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """``x`` in single precision, or in its own where that is higher: what losses and softmaxes are computed in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _serves(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether oneDNN's product may stand in: it knows neither autocast, other types, nor a bias that is broadcast."""
    return (
        AVX512
        and x.dtype is weight.dtype is torch.float32
        and x.device.type == weight.device.type == "cpu"
        and x.shape[-1] == weight.shape[1]  # else PyTorch complains
        and x.numel() > 0 < weight.numel()
        and (bias is None or (bias.shape == weight.shape[:1] and bias.dtype is x.dtype and bias.is_contiguous()))
        and bool(torch.backends.mkldnn.enabled)
        and not torch.is_autocast_enabled("cpu")
    )


AVX512 = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and "AVX512" in torch.backends.cpu.get_cpu_capability()
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
"""Whether this machine gains: x86 with AVX-512, and a PyTorch whose oneDNN can be called.
``torch.backends.mkldnn.enabled = False`` keeps to PyTorch's own products."""
