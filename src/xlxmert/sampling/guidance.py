"""Guidance: what the words change in a network's answer, made stronger."""

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.sampling.steps import Network


def guided(told: Network, untold: Network, strength: float) -> Network:
    """A network that samplers can use like any other, of logits ``told + strength * (told - untold)``.

    Classifier-free guidance (Ho and Salimans 2022) for masked tokens: the cells' codes are those that the words make
    likelier, not those that are common anyway. 0 changes nothing; each look costs two passes instead of one.

    Args:
        told: the network with the prompts.
        untold: the same network without words.
        strength: 0 or more.

    Raises:
        UsageError: the strength is negative.
    """
    if not strength >= 0:
        raise UsageError(f"expected a guidance of at least 0, found {strength}: 0 is none, 1 is strong")
    if not strength:
        return told

    def network(codes: Int[Tensor, "B N"], hidden: Bool[Tensor, "B N"]) -> Float[Tensor, "B N K"]:
        with_words = told(codes, hidden)
        return with_words + strength * (with_words - untold(codes, hidden))

    return network
