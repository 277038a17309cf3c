"""How a picture is painted: sampler, guidance, and how many drafts the best is chosen from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from xlxmert.core.errors import UsageError
from xlxmert.sampling import Guidance, MaskGIT, ReMDM, Sampler

SAMPLER = MaskGIT(steps=28, token_temperature=0.5)
"""How the codes of a picture are chosen unless the caller says otherwise."""
LARGEST_BEST_OF = 64
JOINT = 30.0
"""A good weight of the likelihood beside the matching head, chosen on 60 captions of val."""


@dataclass(frozen=True)
class PaintOptions:
    """All choices of painting but prompt and seed.

    Raises:
        UsageError: a choice is out of range.
    """

    sampler: Sampler = SAMPLER
    """How codes are chosen; see ``xlxmert.sampling``."""
    guidance: Guidance | None = None
    """How much stronger than learned the words speak; None: what suits the checkpoint."""
    negative: str = ""
    """What the picture should not show; needs guidance."""
    best_of: int = 1
    """Drafts of each picture; the one that fits its prompt best by the model's own matching head is kept."""
    likelihood: float = 0.0
    """Weight of the prompt's mean log-likelihood per word beside the matching head's log-odds, to judge drafts by."""

    def __post_init__(self) -> None:
        """Refuse choices out of range."""
        if not 1 <= self.best_of <= LARGEST_BEST_OF:
            raise UsageError(f"expected to keep the best of 1 to {LARGEST_BEST_OF}, found {self.best_of}: try 4")
        if not self.likelihood >= 0:
            raise UsageError(f"expected a weight of the likelihood of at least 0, found {self.likelihood}: 0 is none")
        if self.negative and self.guidance is not None and not self.guidance.strength:
            raise UsageError("expected guidance beside a negative prompt, found none: try a guidance of 1")

    def with_changes(
        self,
        sampler: Sampler | None = None,
        guidance: float | Guidance | None = None,
        negative: str | None = None,
        best_of: int | None = None,
        likelihood: float | None = None,
    ) -> "PaintOptions":
        """These options but for what is given; a number as ``guidance`` is a constant strength."""
        if isinstance(guidance, int | float):
            guidance = Guidance(guidance)
        changes = {
            "sampler": sampler,
            "guidance": guidance,
            "negative": negative,
            "best_of": best_of,
            "likelihood": likelihood,
        }
        return replace(self, **{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]


STANDARD = PaintOptions()
"""How pictures are painted unless the caller says otherwise."""
Quality = Literal["draft", "standard", "high", "best"]
QUALITIES: Mapping[Quality, PaintOptions] = {
    "draft": PaintOptions(MaskGIT(steps=8, token_temperature=0.5)),
    "standard": STANDARD,
    "high": PaintOptions(MaskGIT(steps=16, token_temperature=0.5), best_of=4, likelihood=JOINT),
    "best": PaintOptions(ReMDM(steps=32, token_temperature=0.5), best_of=4, likelihood=JOINT),
}
"""Time for quality, along the frontier that `xlxmert.recipes.painting_study` measured."""
