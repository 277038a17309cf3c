"""The processes that a launcher (torchrun, accelerate launch) started together: which is this, and who speaks for all.

They are known by what every launcher puts into the environment, so nothing here needs PyTorch before it is asked for.
"""

import os
from datetime import timedelta
from typing import Any

from xlxmert.core.errors import UsageError, XlxmertError

PATIENCE = 5.0
"""Seconds to wait for an answer about who speaks."""
LONG = 7 * 24 * 3600.0
"""Seconds to wait for the others."""


def rank() -> int:
    """The number of this process among those of the launch, from 0."""
    return _number("RANK", 0)


def processes() -> int:
    """How many processes were launched together; 1 without a launcher."""
    return _number("WORLD_SIZE", 1)


def is_main() -> bool:
    """Whether this is the process that writes and reports for all."""
    return rank() == 0


def is_first_to_complain() -> bool:
    """Whether none of the launched processes has complained before this one; asking counts as complaining.

    What goes wrong in one process ends all of them, and what is wrong with a request is wrong in all: a person shall
    read one line. The launcher's store counts; where it cannot be reached, everybody speaks.
    """
    if processes() == 1:
        return True
    try:
        return int(_store(PATIENCE).add(_key("complaints"), 1)) == 1
    except (KeyError, ValueError, RuntimeError):
        return True


def meet(place: str) -> None:
    """Wait until all launched processes have come to this place, which each of them passes once.

    Raises:
        XlxmertError: the launcher's store cannot be reached.
    """
    if processes() == 1:
        return
    try:
        store = _store(LONG)
        if store.add(_key(place), 1) == processes():
            store.set(_key(f"{place}, all"), "1")
        store.wait([_key(f"{place}, all")], timedelta(seconds=LONG))
    except (KeyError, ValueError, RuntimeError) as error:
        raise XlxmertError(f"the launcher's store cannot be reached ({error}): start with torchrun") from error


def _store(seconds: float) -> Any:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # not in its __all__

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(host, port, is_master=False, timeout=timedelta(seconds=seconds), wait_for_workers=False)


def _key(name: str) -> str:
    return f"xlxmert {name} {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


def _number(name: str, otherwise: int) -> int:
    text = os.environ.get(name, "")
    if text and not text.isdecimal():
        raise UsageError(f"expected a whole number in the environment's {name}, found '{text}': start with torchrun")
    return int(text) if text else otherwise
