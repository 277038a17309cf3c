"""Sampler options: each reaches its sampler, and what a sampler has not is refused."""

import dataclasses
from pathlib import Path
from typing import get_args

import pytest

from xlxmert.cli.choices import PaintChoices
from xlxmert.cli.samplers import OFFERED, SamplerName, SamplerOptions
from xlxmert.core.errors import UsageError
from xlxmert.sampling import (
    EasyFirst,
    EntropyBound,
    Guidance,
    Halton,
    MaskGIT,
    MaskPredict,
    Moment,
    RandomOrder,
    Raster,
    ReMDM,
    Revised,
)
from xlxmert.studio.options import QUALITIES, SAMPLER, STANDARD


def _built(name: SamplerName = "maskgit", **options: object) -> object:
    return SamplerOptions(sampler=name, **options).build()  # type: ignore[arg-type]


def test_sampler_options_reach_their_samplers() -> None:
    assert _built() == SAMPLER
    tuned = _built(steps=8, temperature=0.5, choice_temperature=2.0)
    assert tuned == MaskGIT(8, choice_temperature=2.0, token_temperature=0.5)
    assert _built(steps=8) == dataclasses.replace(SAMPLER, steps=8)
    assert _built("mask-predict", steps=6) == MaskPredict(6)
    assert _built("raster", temperature=0.7, top_k=9) == Raster(0.7, top_k=9)
    assert _built("easy-first") == EasyFirst()
    assert _built("random", steps=140, top_p=0.9) == RandomOrder(sweeps=140 / 64, top_p=0.9)
    assert _built("halton", steps=20, schedule="cosine", end_temperature=0.1) == Halton(
        20, "cosine", token_temperature=0.5, end_temperature=0.1
    )
    assert _built("entropy", gamma=2.5, steps=30, temperature=0.0) == EntropyBound(2.5, 30, token_temperature=0.0)
    assert _built("remdm", temperature=0.8, top_k=50) == ReMDM(token_temperature=0.8, top_k=50)
    assert _built("moment", choice_temperature=1.0) == Moment(28, token_temperature=0.5, choice_temperature=1.0)


def test_any_sampler_can_be_revised_and_the_draws_follow_the_options() -> None:
    assert _built("mask-predict", revise=1) == Revised(MaskPredict(), rounds=1)
    found = _built("halton", revise=2, temperature=0.8, top_k=7)
    assert isinstance(found, Revised)
    assert found.first == Halton(token_temperature=0.8, top_k=7) and found.rounds == 2
    assert found.again == MaskGIT(8, choice_temperature=0.0, token_temperature=0.8, top_k=7)


@pytest.mark.parametrize("name", get_args(SamplerName))
def test_what_a_sampler_has_not_is_refused_with_what_it_has(name: SamplerName) -> None:
    values = {
        "steps": 70, "temperature": 0.4, "end_temperature": 0.2, "choice_temperature": 1.0, "schedule": "linear",
        "gamma": 3.0, "top_k": 5, "top_p": 0.5,
    }  # fmt: skip
    _, takes = OFFERED[name]
    assert takes
    for option, value in values.items():
        if option in takes:
            assert _built(name, **{option: value}) != _built(name)
        else:
            flag = "--" + option.replace("_", "-")
            with pytest.raises(UsageError, match=rf"^expected --.* for the sampler {name}, found {flag}: leave it out"):
                _built(name, **{option: value})


def test_values_out_of_range_are_refused() -> None:
    for options in ({"revise": -1}, {"steps": 0}, {"top_p": 0.0}, {"top_k": -1}, {"temperature": -0.5}):
        with pytest.raises(UsageError, match="expected"):
            _built(**options)
    with pytest.raises(UsageError, match="at least 1 sweep"):
        _built("random", steps=0)


@pytest.mark.parametrize("name", ["halton", "entropy", "remdm", "moment"])
def test_the_command_line_paints_with_the_new_samplers(run, checkpoint: Path, tmp_path: Path, name: str) -> None:
    words = ("paint", "a dog", "--sampler", name, "--steps", 4, "--top-k", 5, "--revise", 1, "--checkpoint", checkpoint)
    code, out, err = run(*words, "--out", tmp_path / "dog.png")
    assert (code, out, err) == (0, f"{tmp_path / 'dog.png'}\n", "")
    assert run(*words, "--gamma", -1, "--out", tmp_path)[0] == 2


def test_the_options_keep_their_names_on_the_command_line(run) -> None:
    code, out, _ = run("paint", "--help")
    assert code == 0
    for flag in ("--sampler", "--schedule", "--top-k", "--top-p", "--revise", "--gamma", "--choice-temperature"):
        assert flag in out
    assert "--sampling" not in out


def test_a_quality_brings_its_choices_and_single_options_change_them() -> None:
    best = PaintChoices(quality="best").options()
    assert best == QUALITIES["best"] and best.best_of == 4 and isinstance(best.sampler, ReMDM)
    changed = PaintChoices(quality="best", best_of=2, sampling=SamplerOptions(steps=5)).options()
    assert (changed.best_of, changed.likelihood) == (2, best.likelihood)
    assert changed.sampler == SamplerOptions(sampler="maskgit", steps=5).build()
    revised = PaintChoices(quality="high", sampling=SamplerOptions(revise=1)).options().sampler
    assert isinstance(revised, Revised) and revised.first == QUALITIES["high"].sampler
    assert PaintChoices().options() == STANDARD.with_changes(negative="")


def test_guidance_s_shape_reaches_the_painting_and_needs_a_strength() -> None:
    shaped = PaintChoices(guidance=1.0, guidance_ramp=True, guidance_interval=(0.2, 0.9)).options()
    assert shaped.guidance == Guidance(1.0, True, 0.2, 0.9)
    with pytest.raises(UsageError, match="expected --guidance beside"):
        PaintChoices(guidance_ramp=True).options()
