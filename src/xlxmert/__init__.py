"""xlxmert: one small transformer that paints pictures from words, captions them and answers questions about them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xlxmert.studio import Studio

__all__ = ["Studio", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the studio when it is first asked for, so that ``import xlxmert`` costs nothing."""
    if name == "Studio":
        from xlxmert.studio import Studio

        return Studio
    raise AttributeError(f"module 'xlxmert' has no attribute {name!r}")
