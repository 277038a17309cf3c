"""The layers of a network from outside: which they are, and how they are told to keep less for the gradients."""

from collections.abc import Iterator
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def layers_of(module: nn.Module) -> Iterator[nn.Module]:
    """The blocks (`xlxmert.nn.blocks`) that are repeated: members of a `torch.nn.ModuleList`, each once."""
    seen: set[int] = set()
    for part in module.modules():
        for layer in part if isinstance(part, nn.ModuleList) else ():
            if hasattr(layer, "entries") and id(layer) not in seen:
                seen.add(id(layer))
                yield layer


def recompute(module: nn.Module) -> None:
    """Let every layer keep only what enters it: the rest is computed once more when gradients are (Chen et al. 2016).

    Dropout draws the same numbers again. Weights, their names and the results stay the same; `keep` takes it back.
    """
    for layer in layers_of(module):
        for entry in layer.entries:  # type: ignore[union-attr]
            object.__setattr__(layer, entry, partial(checkpoint, getattr(layer, entry), use_reentrant=False))


def keep(module: nn.Module) -> None:
    """Undo `recompute`."""
    for layer in layers_of(module):
        for entry in layer.entries:  # type: ignore[union-attr]
            layer.__dict__.pop(entry, None)
