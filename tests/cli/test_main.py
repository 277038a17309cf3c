"""The door of the command line: every failure is one line and the right exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

import xlxmert
import xlxmert.cli
from xlxmert.cli import main as door
from xlxmert.cli import paint
from xlxmert.core.errors import UsageError, XlxmertError

HELPERS = {"__init__", "main", "common"}


def test_every_verb_of_the_overview_has_help_with_defaults(run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for verb in ("paint", "caption", "answer", "match", "demo"):
        assert f"  {verb} " in out
        code, text, _ = run(verb, "--help")
        assert code == 0 and "--checkpoint" in text and "default:" in text


def test_every_verb_is_a_module_and_every_module_a_verb() -> None:
    files = {path.stem for path in Path(xlxmert.cli.__file__).parent.glob("*.py") if not path.stem.startswith("_")}
    assert set(door.verbs()) == {name for name in files if name in door.VERBS}
    assert {"paint", "caption", "answer", "match", "demo"} <= set(door.verbs())


def test_an_unknown_verb_is_answered_with_the_nearest(run) -> None:
    code, out, err = run("paimt", "a dog")
    assert (code, out) == (2, "") and err == "error: expected a verb, found 'paimt': did you mean paint?\n"
    assert run("zzz")[0] == 2
    assert run()[0] == 2


def test_an_unknown_option_exits_with_2(run) -> None:
    code, _, err = run("paint", "a dog", "--colour", "red")
    assert code == 2 and "--colour" in err


def test_the_version_is_printed(run) -> None:
    assert run("--version") == (0, f"xlxmert {xlxmert.__version__}\n", "")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (XlxmertError("expected a,\nfound b"), 1, "error: expected a, found b"),
        (UsageError("expected a"), 2, "error: expected a"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
        (ZeroDivisionError("by\nzero"), 1, "error: something unexpected happened (ZeroDivisionError: by zero)"),
    ],
)
def test_whatever_goes_wrong_becomes_one_line(run, monkeypatch, error: BaseException, code: int, line: str) -> None:
    def fail(options: paint.Options) -> int:
        raise error

    monkeypatch.setattr(paint, "run", fail)
    found, out, err = run("paint", "a dog")
    assert (found, out) == (code, "") and err.startswith(line) and err.count("\n") == 1


def test_debug_shows_where(monkeypatch) -> None:
    def fail(options: paint.Options) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(paint, "run", fail)
    with pytest.raises(ZeroDivisionError):
        door.main(["paint", "a dog", "--debug"])


def test_the_overview_and_the_package_import_no_torch() -> None:
    source = "import sys; from xlxmert.cli.main import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], capture_output=True, check=False).returncode == 0


def test_painting_imports_nothing_that_it_does_not_need(checkpoint: Path, tmp_path: Path) -> None:
    source = (
        "import sys; from xlxmert.cli.main import main; code = main(sys.argv[1:]); "
        "bad = {'accelerate', 'faiss', 'tensorboard', 'huggingface_hub', 'transformers', 'torch._dynamo', 'sympy'}; "
        "sys.exit(code or str(sorted(bad & set(sys.modules)) or '') or None)"
    )
    words = ["paint", "a dog", "--checkpoint", str(checkpoint), "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", source, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a-dog-0.png").is_file()


def test_the_studio_is_offered_by_the_package() -> None:
    from xlxmert.studio import Studio

    assert xlxmert.Studio is Studio
    with pytest.raises(AttributeError):
        _ = xlxmert.Atelier
