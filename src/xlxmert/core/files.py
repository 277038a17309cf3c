"""Files that are either whole or not there: atomic writes, JSON, safetensors.

A write goes to a temporary sibling, is flushed to the disk and then renamed over the target, so a crash, a full disk or
Ctrl-C never harms what was there before.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from xlxmert.core.errors import XlxmertError

UMASK = os.umask(0)
"""The permissions that this process withholds from new files."""
os.umask(UMASK)


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``target``; rename it to ``target`` when the block ends without an error.

    Raises:
        XlxmertError: the disk is full or the folder cannot be written; ``target`` is as it was.
    """
    target = Path(target)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb+") as stream:
            os.fchmod(stream.fileno(), 0o666 & ~UMASK)  # some writers leave their files to the owner alone
            os.fsync(stream.fileno())
        part.replace(target)
    except (OSError, safetensors.SafetensorError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise XlxmertError(
            f"could not write {target}: {reason}; what was there before is unharmed: "
            "free some space or choose another folder"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # a parent may be a file
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to ``folder`` while the block runs; the lock dies with the process.

    Where the system knows no such locks, the block simply runs.

    Raises:
        XlxmertError: another process holds the folder, or it cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise XlxmertError(f"could not write to {folder}: {error.strerror}: choose another folder") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise XlxmertError(
                f"expected {folder} to be free, found another process writing to it: "
                "wait for it, stop it, or choose another folder"
            ) from error
        except OSError:  # a file system without locks
            pass
        yield


def write_bytes(target: Path, content: bytes) -> None:
    """Write ``content`` to ``target`` atomically."""
    with atomic_path(target) as part:
        part.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Write ``content`` to ``target`` atomically, as UTF-8."""
    write_bytes(target, content.encode())


def write_json(target: Path, content: Any, indent: int | None = 2) -> None:
    """Write ``content`` to ``target`` atomically, as JSON."""
    write_text(target, json.dumps(content, indent=indent, ensure_ascii=False) + "\n")


def read_json(source: Path) -> Any:
    """Read a JSON file.

    Raises:
        XlxmertError: the file is missing, unreadable or no JSON; the message names the file and the line.
    """
    try:
        return json.loads(Path(source).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise XlxmertError(f"expected a JSON file at {source}, found nothing: check the path") from error
    except json.JSONDecodeError as error:
        raise XlxmertError(
            f"expected JSON in {source}, but line {error.lineno} column {error.colno} is not ({error.msg}): "
            "the file may have been cut short; write or download it again"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise no_text(source, error) from error


def no_text(source: Path, error: OSError | ValueError) -> XlxmertError:
    """The error of a file that could not be read as text: what it is instead, and the next move."""
    if isinstance(error, UnicodeDecodeError):
        if error.object[:2] == b"\x1f\x8b":
            return XlxmertError(f"expected text in {source}, found a gzip file: unpack it first (gunzip)")
        return XlxmertError(
            f"expected text in UTF-8 in {source}, found other bytes ({error.reason} at {error.start}): take the file "
            "as it is published, or save it so"
        )
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return XlxmertError(f"could not read {source} ({reason}): check the path, and whether it is a file of yours")


def write_tensors(target: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file atomically; ``metadata`` holds short strings such as a fingerprint."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(target) as part:
        safetensors.torch.save_file(whole, part, dict(metadata or {}))


def read_tensors(source: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors and its metadata.

    Raises:
        XlxmertError: the file is missing, cut short or no safetensors file.
    """
    try:
        with safetensors.safe_open(source, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except FileNotFoundError as error:
        raise XlxmertError(f"expected weights at {source}, found nothing: check the path") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise XlxmertError(f"could not read {source} ({error}): cut short or not a safetensors file") from error
