"""How weights start: the normal distribution of BERT, shared by every family."""

from torch import nn

INIT_STD = 0.02


def init_weights(module: nn.Module) -> None:
    """Draw linear and embedding weights from N(0, 0.02), zero the biases, reset the norms; for ``nn.Module.apply``.

    Source: BERT (Devlin et al., 2019), which LXMERT (section 3.3) and X-LXMERT start from.
    """
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INIT_STD)
    if isinstance(module, nn.Linear | nn.LayerNorm) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
