"""The optimisers of a player and their learning rates: AdamW that spares biases and norms, Muon, and the schedule."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from xlxmert.core.errors import XlxmertError
from xlxmert.core.task import OptimConfig
from xlxmert.train.config import TrainConfig
from xlxmert.train.sharding import like, whole

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase, nn.RMSNorm)


def learning_rate_share(config: TrainConfig, step: int) -> float:
    """The share, in [0, 1], of the peak learning rate at a step counted from 0: a pure function of both."""
    warmup = config.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, config.steps - warmup))
    match config.decay:
        case "constant":
            return 1.0
        case "linear":
            share = 1.0 - progress
        case "cosine":
            share = (1.0 + math.cos(math.pi * progress)) / 2
        case "inverse_sqrt":
            return max(config.final_share, math.sqrt(max(1, warmup) / max(1, step + 1)))
    return config.final_share + (1.0 - config.final_share) * share


def trained_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of ``module`` that want a gradient, by name."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def undecayed(module: nn.Module) -> set[str]:
    """Names of the parameters that weight decay spares: biases, norms and whatever has fewer than two axes."""
    norms = {
        f"{prefix}.{name}".lstrip(".")
        for prefix, child in module.named_modules()
        if isinstance(child, NORMS)
        for name, _ in child.named_parameters(recurse=False)
    }
    return norms | {
        name for name, parameter in module.named_parameters() if parameter.ndim < 2 or name.rpartition(".")[2] == "bias"
    }


def inner_matrices(module: nn.Module) -> set[str]:
    """Names of the weights of the linear maps inside repeated layers (`torch.nn.ModuleList`): what Muon is made for."""
    lists = [prefix for prefix, child in module.named_modules() if isinstance(child, nn.ModuleList)]
    return {
        f"{prefix}.weight"
        for prefix, child in module.named_modules()
        if isinstance(child, nn.Linear) and any(prefix.startswith(f"{name}.") for name in lists)
    }


def make_optimizers(module: nn.Module, config: OptimConfig) -> list[torch.optim.Optimizer]:
    """AdamW (Loshchilov and Hutter 2019) over the trained parameters of ``module``, fused where the device allows.

    With ``muon_lr``, Muon trains the inner matrices: it makes the singular values of each step alike, so that rare
    directions are learned as fast as common ones.

    Raises:
        XlxmertError: this torch has no Muon.
    """
    parameters, spared = trained_parameters(module), undecayed(module)
    inner = inner_matrices(module) & set(parameters) if config.muon_lr else set()
    optimizers: list[torch.optim.Optimizer] = []
    if inner:
        if not hasattr(torch.optim, "Muon"):
            raise XlxmertError(
                f"muon_lr needs torch 2.9 or newer (found {torch.__version__}): update torch, or set muon_lr to 0"
            )
        matrices = [p for name, p in parameters.items() if name in inner]
        optimizers.append(torch.optim.Muon(matrices, lr=config.muon_lr, weight_decay=config.weight_decay))
    groups = [
        {
            "params": [p for name, p in parameters.items() if name not in spared | inner],
            "weight_decay": config.weight_decay,
        },
        {"params": [p for name, p in parameters.items() if name in spared], "weight_decay": 0.0},
    ]
    optimizers.append(
        torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=config.lr,
            betas=config.betas,
            eps=config.eps,
            fused=all(p.device.type in ("cpu", "cuda") for p in parameters.values()) or None,
        )
    )
    return optimizers


def set_learning_rates(optimizers: Sequence[torch.optim.Optimizer], share: float) -> None:
    """Give every optimiser this share of its peak rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = optimizer.defaults["lr"] * share


def clip_gradients(gradients: list[Tensor], limit: float) -> Tensor:
    """The norm of all gradients together; scales them in place to ``limit`` where it is larger (0: never)."""
    norm = nn.utils.get_total_norm(gradients)
    known = whole(norm)
    if limit > 0 and (norm.device.type != "cpu" or known > limit):
        torch._foreach_mul_(gradients, torch.clamp(limit / (norm + 1e-6), max=1.0))
    return known


def optimizer_tensors(optimizers: Sequence[torch.optim.Optimizer], module: nn.Module) -> dict[str, Tensor]:
    """The optimisers' state as tensors named ``<parameter>:<moment>``."""
    return {
        f"{name}:{key}": whole(value)
        for name, parameter in trained_parameters(module).items()
        for optimizer in optimizers
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizers(
    optimizers: Sequence[torch.optim.Optimizer], module: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Put back what ``optimizer_tensors`` gave, with each moment laid out in memory as its parameter is.

    Raises:
        XlxmertError: a tensor belongs to no parameter, or has another shape.
    """
    parameters = trained_parameters(module)
    owners = {p: optimizer for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    for key, tensor in tensors.items():
        name, _, moment = key.rpartition(":")
        parameter = parameters.get(name)
        if parameter is None or tensor.shape not in (parameter.shape, torch.Size()):
            found = "no such parameter" if parameter is None else f"a parameter of shape {tuple(parameter.shape)}"
            raise XlxmertError(f"expected a parameter for the optimiser's {key} {tuple(tensor.shape)}, found {found}")
        optimizer = owners[parameter]
        if tensor.ndim == 0 and moment == "step":
            state = tensor.to(parameter.device if optimizer.defaults.get("fused") else "cpu")
        else:
            state = like(tensor, parameter)
        optimizer.state[parameter][moment] = state
