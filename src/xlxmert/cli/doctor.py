"""``xlxmert doctor``: whether this installation works, and whether features are those that a checkpoint expects."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xlxmert.cli.common import print_json, print_table
from xlxmert.core.errors import UsageError
from xlxmert.recipes.checks import Check
from xlxmert.recipes.doctor import (
    Expected,
    check_features,
    expected_of_checkpoint,
    expected_of_store,
    expected_of_vocabulary,
    write_golden,
)
from xlxmert.recipes.health import check_installation


@dataclass(frozen=True)
class Options:
    """Say whether this installation works, and whether features match those that a checkpoint was trained on.

    xlxmert doctor --checkpoint runs/transformer/checkpoint --features features.h5 --images pictures
    """

    checkpoint: str | None = None
    """The checkpoint that features are for: a folder or a name on the Hugging Face hub; by default the bundled one."""
    codebook: Path | None = None
    """Instead of a checkpoint: the visual vocabulary that `xlxmert codebook` wrote."""
    store: Path | None = None
    """Instead of a checkpoint: the store, with features, that something was trained on."""
    features: Path | None = None
    """The features to look at: X-LXMERT's .h5, LXMERT's .tsv, or a store with features."""
    images: Path | None = None
    """With --features: the folder of their pictures, so that some are computed again and compared number by number."""
    size: int = 256
    """With --images, where the checkpoint does not tell it: side in pixels to which pictures are brought."""
    pictures_to: Path | None = None
    """Write the known pictures to this folder and do nothing else: run them through your own extractor, and pass what
    it gives as --features."""
    json: bool = False
    """Report as JSON."""


def run(options: Options) -> int:
    """Check and report; the exit code is 1 if something differs."""
    if options.pictures_to is not None:
        for path in write_golden(options.pictures_to):
            print(path)
        return 0
    given = [name for name in ("checkpoint", "codebook", "store") if getattr(options, name) is not None]
    if len(given) > 1:
        raise UsageError(f"expected one of --checkpoint, --codebook and --store, found --{' and --'.join(given)}")
    if options.images is not None and options.features is None:
        raise UsageError("expected --features beside --images, found none: name the file that holds their features")
    checks = [] if options.features else check_installation()
    expected, told = _expected(options)
    checks += told
    if options.features is not None:
        if expected is None:
            raise UsageError(
                "expected something that tells what features should be like, found a checkpoint without: "
                f"{told[0].move}"
            )
        checks += check_features(options.features, expected, options.images, options.size)
    _print(checks, options.json)
    return int(any(check.verdict == "differs" for check in checks))


def _expected(options: Options) -> tuple[Expected | None, list[Check]]:
    """What features are held against."""
    if options.store is not None:
        return expected_of_store(options.store), []
    if options.codebook is not None:
        return expected_of_vocabulary(options.codebook)
    return expected_of_checkpoint(options.checkpoint)


def _print(checks: Sequence[Check], as_json: bool) -> None:
    if as_json:
        verdict = "differs" if any(check.verdict == "differs" for check in checks) else "ok"
        return print_json({"verdict": verdict, "checks": [dataclasses.asdict(check) for check in checks]})
    print_table(("check", "", "found"), [(check.what, check.verdict, check.found) for check in checks])
    for check in checks:
        if check.verdict == "differs":
            print(f"{check.what}: {check.cause or 'differs'}" + (f": {check.move}" if check.move else ""))
    for check in checks:
        if check.verdict == "note" and check.move:
            print(f"{check.what}: {check.move}")
    return None
