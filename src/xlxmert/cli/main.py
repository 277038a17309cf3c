"""The command line's door: finds the verb, runs it, and turns whatever goes wrong into one line."""

import contextlib
import difflib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence

import xlxmert
from xlxmert.core.errors import UsageError, XlxmertError
from xlxmert.core.processes import is_first_to_complain, is_main, processes
from xlxmert.core.threads import wait_actively

VERBS = {
    "train": "walk the whole road on a folder of pictures with captions",
    "world": "write the built-in world as data-set files",
    "codebook": "fit the visual vocabulary",
    "features": "read pictures with a published detector",
    "prepare": "turn pictures and annotations into codes and sentences",
    "pretrain": "train the transformer; resumable",
    "render": "train the image generator",
    "finetune": "fine-tune a checkpoint on questions, statements, retrieval or captions",
    "paint": "paint pictures from words",
    "edit": "change, extend or vary pictures; complete sentences beside them",
    "caption": "describe pictures",
    "augment": "write more captions for a training set",
    "answer": "answer questions about pictures",
    "verify": "say whether statements about two pictures hold",
    "match": "say how well sentences fit pictures",
    "retrieve": "find pictures for sentences, or sentences for pictures",
    "attend": "draw what attends to what",
    "evaluate": "measure a checkpoint",
    "rate": "let people rate pictures, and score their answers",
    "doctor": "say whether the installation works and features match a checkpoint",
    "convert": "read and write published checkpoints",
    "serve": "open the web studio",
    "demo": "paint, caption and answer with the bundled checkpoint; write a gallery",
}
"""Every verb in the road's order; ``xlxmert.cli.<verb>`` has a dataclass ``Options`` and ``run(options) -> int``."""

TRAINING = ("train", "pretrain", "render", "finetune", "demo")
"""Verbs that train, or may."""

SHARED = ("prepare", "pretrain", "render", "finetune")
"""Verbs that share their work when torchrun or accelerate starts them several times."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit code: 0 done, 1 failed, 2 asked wrongly, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        return _run(words)
    except XlxmertError as error:
        if debug:
            raise
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:  # the reader of our output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return _complain(f"something unexpected happened ({text}): run again with --debug to see where", 1)


def verbs() -> dict[str, str]:
    """The verbs of this installation and what they do."""
    return {verb: text for verb, text in VERBS.items() if importlib.util.find_spec(f"xlxmert.cli.{verb}")}


def _run(words: Sequence[str]) -> int:
    """Find the verb and hand it the rest."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview(), file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    if words[0] in ("-V", "--version", "version"):
        print(f"xlxmert {xlxmert.__version__}")
        return 0
    verb, known = words[0], verbs()
    if verb not in known:
        close = difflib.get_close_matches(verb, known, n=2, cutoff=0.6)
        meant = f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(known)}"
        raise UsageError(f"expected a verb, found '{verb}': {meant}")
    return _run_verb(verb, words[1:])


def _run_verb(verb: str, words: Sequence[str]) -> int:
    """Parse a verb's options and run it; nothing of the other verbs is imported."""
    import tyro

    _check_processes(verb)
    if verb in TRAINING and processes() == 1:
        wait_actively()
    module = importlib.import_module(f"xlxmert.cli.{verb}")
    try:
        with contextlib.nullcontext() if is_main() else _silence():  # one process prints help and complaints for all
            options = tyro.cli(
                module.Options, prog=f"xlxmert {verb}", args=words, config=(tyro.conf.FlagCreatePairsOff,)
            )
    except SystemExit as stop:  # the parser has printed its help or its complaint
        return stop.code if isinstance(stop.code, int) else 2
    return int(module.run(options))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Print nothing within it."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


def _overview() -> str:
    """The help of the whole command line."""
    lines = [f"  {verb:<10}{text}" for verb, text in verbs().items()]
    return "\n".join(
        [
            "usage: xlxmert VERB [options]     paint, caption and answer with one small transformer",
            "",
            *lines,
            "",
            "xlxmert VERB --help shows a verb's options; --version the version; --debug a full traceback.",
        ]
    )


def _complain(text: str, code: int) -> int:
    """One line on standard error, of whichever process has something to say first."""
    if is_first_to_complain():
        print(f"error: {' '.join(text.split())}", file=sys.stderr, flush=True)
    return code


def _check_processes(verb: str) -> None:
    """Refuse to do several times what one process does."""
    if processes() > 1 and verb not in SHARED:
        raise UsageError(
            f"expected one process for xlxmert {verb}, found {processes()}: start it without torchrun or accelerate; "
            f"{', '.join(SHARED)} share their work among processes"
        )
