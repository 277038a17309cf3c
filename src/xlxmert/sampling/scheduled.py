"""Many cells at a time: what the samplers share whose schedule says how many are settled in each step."""

from collections.abc import Sequence
from dataclasses import dataclass

from xlxmert.core.axes import Bool, Float, Int, Tensor
from xlxmert.core.errors import UsageError
from xlxmert.sampling.draws import check_draws, choose
from xlxmert.sampling.schedules import Schedule, hidden_counts, ramp
from xlxmert.sampling.steps import counts_of


@dataclass(frozen=True)
class Scheduled:
    """How many cells are settled in each step, and how their codes are drawn."""

    steps: int = 32
    """Forward passes (T); never more than there are unknown cells."""
    schedule: Schedule = "cosine"
    """How fast the hidden share falls."""
    token_temperature: float = 1.0
    """Spread of the drawn codes; 0 takes the most probable."""
    top_k: int = 0
    """Draw among this many best codes; 0 for all."""
    top_p: float = 1.0
    """Draw within this most probable share."""
    end_temperature: float | None = None
    """Spread in the last step, reached in even strides; not given, the spread stays what it is."""

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        if self.steps < 1:
            raise UsageError(f"expected at least 1 step, found {self.steps}: try 16")
        for temperature in (self.token_temperature, self._end):
            check_draws(temperature, self.top_k, self.top_p)

    @property
    def _end(self) -> float:
        return self.token_temperature if self.end_temperature is None else self.end_temperature

    def _plan(self, unknown: Bool[Tensor, "B N"]) -> list[list[int]]:
        """For each step, how many cells each sample still hides after it, counted from its own unknown ones."""
        counts = counts_of(unknown)
        plans = [hidden_counts(self.schedule, self.steps, count) for count in counts]
        return [[plan[index] for plan in plans] for index in range(min(self.steps, max(counts)))]

    def _draw(
        self, logits: Float[Tensor, "B N K"], seeds: Sequence[int], index: int
    ) -> tuple[Int[Tensor, "B N"], Float[Tensor, "B N"]]:
        """A code for every cell in step ``index``, counted from 0, and the network's log-probability of it."""
        temperature = ramp(self.token_temperature, self._end, index, self.steps)
        guess = choose(logits, seeds, index, temperature, self.top_k, self.top_p)
        return guess, logits.log_softmax(dim=-1).gather(-1, guess[..., None]).squeeze(-1)
