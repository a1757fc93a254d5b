"""The registered experiments: their records, their claims broken on purpose, their mathematics."""

import dataclasses
import hashlib
import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from itertools import combinations

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from pybtex.database import parse_file
from scipy.spatial import ConvexHull
from whydeep import datasets
from whydeep.book import evidence
from whydeep.book.checks import changes
from whydeep.chance import Chance
from whydeep.datasets import digits
from whydeep.evidence.certify import MOST, earlier, stale
from whydeep.evidence.claims import (
    FAVOUR,
    IN_PART,
    NOT_SHOWN,
    OPEN,
    REPRODUCED,
    SHOWN,
    UNDECIDED,
    Condition,
    judge,
)
from whydeep.evidence.compare import MOVED, compare
from whydeep.evidence.machine import KEYS, arithmetic
from whydeep.evidence.provenance import VERSIONED, data_of, distributions, reached, repository
from whydeep.evidence.reach import code_of, takes_device
from whydeep.evidence.results import (
    CHECKSUMS,
    MAIN,
    Record,
    checksums,
    read_record,
    record_path,
    with_variant,
    write_record,
)
from whydeep.experiments import experiments, find, recorded_scale
from whydeep.experiments.features import convex_in_which_block as convex
from whydeep.experiments.features._classifiers import logistic_regression_errors

ROOT = repository()
EXPERIMENTS = experiments()
CLAIMS = [(name, claim) for name, module in EXPERIMENTS.items() for claim in module.CLAIMS]
JUDGED = [(name, claim) for name, claim in CLAIMS if claim.kind != "account"]
# A sweep without claims has no thresholds, so it needs no calibration.
CALIBRATED = [name for name, module in EXPERIMENTS.items() if module.CLAIMS]
RECORDS = [(name, recorded_scale(module)) for name, module in EXPERIMENTS.items()]
RECORDS += [(name, "calibration") for name in CALIBRATED]
every_record = pytest.mark.parametrize(("name", "scale"), RECORDS)
every_experiment = pytest.mark.parametrize("name", EXPERIMENTS)
every_claim = pytest.mark.parametrize(("name", "claim"), CLAIMS, ids=[c.id for _, c in CLAIMS])
every_judged = pytest.mark.parametrize(("name", "claim"), JUDGED, ids=[c.id for _, c in JUDGED])
every_condition = pytest.mark.parametrize(
    ("name", "claim", "condition"),
    [(name, claim, condition) for name, claim in JUDGED for condition in claim.conditions],
    ids=[f"{claim.id}-{condition.name}" for _, claim in JUDGED for condition in claim.conditions],
)


def recorded(name):
    return read_record(name, recorded_scale(EXPERIMENTS[name]))


# --- what is registered ----------------------------------------------------------------------


@every_experiment
def test_an_experiment_has_the_parts_that_the_framework_relies_on(name):
    module = EXPERIMENTS[name]
    assert "quick" in module.SCALES
    for scale in module.SCALES.values():
        assert dataclasses.is_dataclass(scale)
        with pytest.raises(dataclasses.FrozenInstanceError):
            scale.seed = 1
    for changed in module.VARIANTS.values():
        # A variant that changes nothing takes no cause away.
        assert with_variant(module.SCALES["quick"], changed) != module.SCALES["quick"]
    assert MAIN not in module.VARIANTS
    assert "refute" in (module.__doc__ or "")
    assert (ROOT / "chapters" / f"{module.PAGE}.ipynb").is_file()


@every_claim
def test_a_claim_stands_in_the_catalogue_and_cites_works_of_the_bibliography(name, claim):
    entries = yaml.safe_load((ROOT / "data" / "catalogue.yaml").read_text("utf-8"))["entries"]
    keys = set(parse_file(str(ROOT / "references.bib"), "bibtex").entries)
    (entry,) = [entry for entry in entries if entry["id"] == claim.id]
    assert claim.cite in keys
    assert claim.cite in entry["cite"]
    # What it says stands here, and the catalogue takes it from here.
    assert "claim" not in entry
    spoken = (claim.says, claim.tested, claim.so, claim.caveat, claim.contested, claim.limits)
    rows = (cell for row in claim.paper_says for cell in row)
    texts = (*spoken, *claim.changes, *(c.because for c in claim.conditions), *rows)
    cited = re.findall(r"\{cite(?::[tp])?\}`([^`]+)`", " ".join(texts))
    assert {key.strip() for group in cited for key in group.split(",")} <= keys
    if claim.contested:  # by a work
        assert "{cite" in claim.contested


@every_claim
def test_a_claim_says_what_it_is_called_what_is_run_and_what_came_out(name, claim):
    assert 8 <= len(claim.title) <= 70
    assert claim.id not in claim.title
    for sentence in (claim.says, claim.tested, claim.so, claim.caveat):
        assert not sentence or sentence.rstrip().endswith((".", "?")), sentence
    if claim.kind == "account":
        return
    assert claim.tested
    assert claim.so
    for text in (claim.so, claim.caveat):
        assert evidence.plain(text)  # every number in it is one of a record
    assert claim.kind == "exact" or "{num}" in claim.so  # its numbers come from the record


@every_judged
def test_every_bound_of_an_effect_has_its_reason_and_no_quantity_two_bounds(name, claim):
    if claim.kind == "effect":
        for condition in claim.decides:
            assert condition.because or condition.source is not None, condition.name
    measures = [tuple(changes.measured_by(c.measure)) for c in claim.conditions]
    assert len(set(measures)) == len(measures)


def test_no_claim_is_registered_twice():
    ids = [claim.id for _, claim in CLAIMS]
    assert len(ids) == len(set(ids))
    assert all(find(claim.id)[0] == name == find(name)[0] for name, claim in CLAIMS)


@every_judged
def test_a_control_of_a_registered_claim_exists_and_is_checked_itself(name, claim):
    for control in claim.controls:
        assert control.variant in EXPERIMENTS[name].VARIANTS
        assert control.valid
        # Failing at what makes it valid would not be failing at what it is attacked for.
        assert not {check.name for check in control.valid} & set(control.attacks)


@every_judged
def test_a_claim_that_is_so_in_part_registers_which_conditions_it_misses(name, claim):
    assert bool(claim.missed) == (claim.expected == IN_PART)
    assert not claim.missed or set(claim.missed) < {c.name for c in claim.decides}


# --- the records -----------------------------------------------------------------------------
#
# Each check takes a record, or the folder of records, and gives a line for each fault, so that the
# forgeries below go through the checks that the book's own records go through.


# Older ones, all calibrations among them, do not know which processor and libraries made them.
NAMED_SINCE = "2026-12-01"


def as_json(value):
    """As a record has it: a tuple is a list, and a key a text."""
    return json.loads(json.dumps(value))


def faults_of_provenance(name: str, record: Record) -> list[str]:
    """What a record says of its making that cannot be so, or that it should say and does not."""
    module, about = EXPERIMENTS[name], record.provenance
    scale = module.SCALES[about.get("scale", record.scale)]
    listed = {file.name: file.checksum for file in datasets.catalogue()}
    new = about.get("recorded", "") >= NAMED_SINCE
    known = not earlier(record)
    # Only the scale `gpu` is for a GPU; and a run that reads no device runs on the CPU.
    on_gpu = record.scale == "gpu" and takes_device(module.__name__)
    devices = r"(cuda(:\d+)?|mps) \(.+\)" if on_gpu else r"cpu \(.+\)"
    found = {
        "code is no hash": not re.fullmatch("[0-9a-f]{12}", about.get("code", "")),
        "code is not that of its parts": known
        and about.get("code") != code_of(about.get("parts", {})),
        f"stale: {', '.join(stale(module, record)[:3])} changed": stale(module, record),
        "settings are not those of its scale": known
        and about.get("settings") != as_json(asdict(scale)),
        "variants are not those registered": known
        and about.get("variants") != as_json(module.VARIANTS),
        f"device {about.get('device')!r} did not run it": not re.fullmatch(
            devices, about.get("device", "")
        ),
        "it does not say all of its arithmetic": new and not all(about.get(key) for key in KEYS),
        "it does not say all versions": not all(
            about.get(each) for each in ("python", *VERSIONED, *(distributions_of(module) * new))
        ),
        "its data are not those that it reads": known
        and not (
            data_of(module.__name__).items() <= about.get("data", {}).items() <= listed.items()
        ),
        "no date": not re.fullmatch(r"\d{4}-\d\d-\d\d", about.get("recorded", "")),
        "no commit": known and not re.fullmatch(r"[0-9a-f]{12}\+?", about.get("commit", "")),
        "too many certificates": len(about.get("certified", ())) > MOST,
    }
    return [f"{name} ({record.scale}): {what}" for what, wrong in found.items() if wrong]


def distributions_of(module) -> list[str]:
    return distributions(reached(module.__name__).outside)


def faults_of_seeds(name: str, record: Record) -> list[str]:
    """Seeds that are missing or not wanted, and seeds that are copies of each other."""
    module = EXPERIMENTS[name]
    wanted = list(range(1000, 1020)) if record.scale == "calibration" else [0, 1, 2, 3, 4]
    faults = []
    if set(record.runs) != {MAIN, *module.VARIANTS}:
        faults.append("its variants are not those registered")
    for variant, by_seed in record.runs.items():
        if sorted(by_seed) != wanted:
            faults.append(f"{variant} has not the seeds {wanted[0]}-{wanted[-1]}")
    # What is exact may be the same whatever the seed draws; an effect varies.
    if any(claim.kind == "effect" for claim in module.CLAIMS):
        for one, other in combinations(record.runs[MAIN], 2):
            a, b = (record.runs[MAIN][seed] for seed in (one, other))
            if all(np.array_equal(a[each], b[each]) for each in a):
                faults.append(f"seeds {one} and {other} are the same in all quantities")
    return [f"{name} ({record.scale}): {what}" for what in faults]


def faults_of_units(name: str, record: Record, others: Mapping[str, str]) -> list[str]:
    """Quantities without a unit, or with another one than the calibration's (or the record's)."""
    units = {}
    for by_seed in record.runs.values():
        for result in by_seed.values():
            units |= result.units
    wrong = [
        each for each, unit in units.items() if not unit or others.get(_base(each), unit) != unit
    ]
    return [f"{name} ({record.scale}): the unit of {each}" for each in wrong]


def units_of(name: str, scale: str) -> dict[str, str]:
    """By names of quantities: a calibration keeps places, ``error[raw]``, a record whole arrays."""
    units = read_record(name, scale).runs[MAIN][1000 if scale == "calibration" else 0].units
    return {_base(each): unit for each, unit in units.items()}


def _base(quantity: str) -> str:
    return quantity.partition("[")[0]


def faults_of_checksums() -> list[str]:
    """Files beside SHA256SUMS that it does not list, that are missing, or that are others."""
    folder = repository() / "data" / "results"
    there = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != CHECKSUMS
    }
    listed = checksums()
    return [
        f"{path}: its checksum is not the listed one"
        for path in sorted({*there, *listed})
        if there.get(path) != listed.get(path)
    ]


@every_record
def test_a_record_says_what_made_it_and_stands_for_the_code_as_it_is(name, scale):
    assert faults_of_provenance(name, read_record(name, scale)) == []


@every_record
def test_a_record_has_its_seeds_of_every_variant_and_none_is_a_copy(name, scale):
    # Those of the calibration, on which thresholds were set, are others than those reported.
    assert faults_of_seeds(name, read_record(name, scale)) == []


@pytest.mark.parametrize("name", CALIBRATED)
def test_a_record_and_its_calibration_state_the_same_units(name):
    calibrated, scale = read_record(name, "calibration"), recorded_scale(EXPERIMENTS[name])
    assert faults_of_units(name, calibrated, units_of(name, scale)) == []
    assert faults_of_units(name, recorded(name), units_of(name, "calibration")) == []


def test_the_checksums_list_exactly_the_records_and_calibrations_there_are():
    assert faults_of_checksums() == []
    assert set(checksums()) == {f"{name}/{scale}.json" for name, scale in RECORDS}


@every_record
def test_every_recorded_value_is_finite_and_has_a_unit(name, scale):
    record = read_record(name, scale)
    for variant, by_seed in record.runs.items():
        names = {tuple(result) for result in by_seed.values()}
        assert len(names) == 1, f"{variant}: seeds differ in what they recorded"
        for seed, result in by_seed.items():
            for quantity, value in result.items():
                where = f"{variant}, seed {seed}, {quantity}"
                assert np.isfinite(value.astype(float)).all(), where
                assert result.units[quantity].strip(), where


@every_record
def test_records_are_small_and_their_lines_can_be_compared(name, scale):
    path = record_path(name, scale)
    assert path.stat().st_size < 1_000_000
    text = path.read_text("utf-8")
    assert text.endswith("}\n")
    assert len(text.splitlines()) > 50


# --- forged records ----------------------------------------------------------------------------
#
# Each was once invisible. The forger edits the file; a careful one also renews its checksum, which
# leaves what the checks of a record find, or (a number, told apart by nothing) what a rerun does.

FORGED = "features/raw-pixels"


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A checkout with copies of one record and its calibration, in which one can forge."""
    listed = ""
    for scale in ("calibration", "full"):
        path = record_path(FORGED, scale)
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        listed += f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {FORGED}/{scale}.json\n"
    (tmp_path / "data" / "results" / CHECKSUMS).write_text(listed)
    monkeypatch.setenv("WHYDEEP_DATA", str(ROOT / "data"))
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))


HOG = 2  # its place among the four maps


def number(raw, variant="main", seed="0", by=-0.0135):
    raw["runs"][variant][seed]["error"][HOG] += by


def best_seed_five_times(raw):
    runs = raw["runs"][MAIN]
    best = min(runs.values(), key=lambda run: run["error"][HOG])
    raw["runs"][MAIN] = dict.fromkeys(runs, best)


def other_control(raw):
    number(raw, next(variant for variant in raw["runs"] if variant != MAIN), "2")


def number_of_a_calibration(raw):
    raw["runs"]["main"]["1003"]["error_raw"] -= 0.0135


RERUN = "a rerun"
FORGERIES = {
    "R1 a number": ("full", number, RERUN),
    "R2 a number of a control": ("full", other_control, RERUN),
    "R9 a number of the calibration": ("calibration", number_of_a_calibration, RERUN),
    "R10 a device": (
        "full",
        lambda raw: raw["provenance"].update(device="cuda (NVIDIA H100)"),
        "device 'cuda (NVIDIA H100)' did not run it",
    ),
    "R10 a date": ("full", lambda raw: raw.update(recorded="2025-01-01"), None),
    "R11 a code": (
        "full",
        lambda raw: raw["provenance"].update(code="0123456789ab"),
        "code is not that of its parts",
    ),
    "R11 code and parts": (
        "full",
        lambda raw: raw["provenance"].update(
            code=code_of({"run": "0" * 8}), parts={"run": "0" * 8}
        ),
        "stale: ",
    ),
    "R12 a unit": (
        "full",
        lambda raw: raw["units"].update(raw_over_hog="percent"),
        "the unit of raw_over_hog",
    ),
    "R13 the best seed five times": (
        "full",
        best_seed_five_times,
        "seeds 0 and 1 are the same in all quantities",
    ),
    "data": (
        "full",
        lambda raw: raw["provenance"].update(data={"fashion-mnist": "0" * 12}),
        "its data are not those that it reads",
    ),
    "settings": (
        "full",
        lambda raw: raw["provenance"]["settings"].update(seeds=0),
        "settings are not those of its scale",
    ),
    "variants": (
        "full",
        lambda raw: raw["provenance"].update(variants={}),
        "variants are not those registered",
    ),
    "an arithmetic left out": (
        "full",
        lambda raw: raw["provenance"].update(processor=""),
        "it does not say all of its arithmetic",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_record_is_found(copied, forgery):
    scale, forge, found_by = FORGERIES[forgery]
    honest, before = read_record(FORGED, scale), faults(scale)
    path = record_path(FORGED, scale)
    raw = json.loads(path.read_text())
    forge(raw)
    path.write_text(json.dumps(raw))
    assert faults_of_checksums() == [f"{FORGED}/{scale}.json: its checksum is not the listed one"]
    forged = read_record(FORGED, scale)
    write_record(forged)  # and its checksum is renewed
    after = faults(scale)
    if found_by == RERUN:
        assert after == before
        here = dict(arithmetic())
        rerun, record = (replace(each, provenance=here) for each in (honest, forged))
        assert compare(record, rerun).word == MOVED
    elif found_by:
        assert any(found_by in fault for fault in {*after} - {*before}), after


def faults_but_for_checksums(scale: str) -> list[str]:
    record = read_record(FORGED, scale)
    other = "full" if scale == "calibration" else "calibration"
    return [
        *faults_of_provenance(FORGED, record),
        *faults_of_seeds(FORGED, record),
        *faults_of_units(FORGED, record, units_of(FORGED, other)),
    ]


def faults(scale: str) -> list[str]:
    return [*faults_of_checksums(), *faults_but_for_checksums(scale)]


def test_a_record_that_nobody_lists_and_one_that_is_gone_are_found(copied):
    extra = record_path(FORGED, "quick")
    extra.write_text("{}")
    assert faults_of_checksums() == [f"{FORGED}/quick.json: its checksum is not the listed one"]
    extra.unlink()
    record_path(FORGED, "full").unlink()
    assert faults_of_checksums() == [f"{FORGED}/full.json: its checksum is not the listed one"]


# --- verdicts ----------------------------------------------------------------------------------


def verdict_of(name, claim, runs=None, **changed):
    record = recorded(name)
    return judge(claim, (runs or record.runs) | changed, share=record.share())


@every_judged
def test_the_verdict_from_the_recorded_arrays_is_the_registered_one(name, claim):
    verdict = verdict_of(name, claim)
    assert verdict.as_registered, str(verdict)


# --- a mutated claim turns red ---------------------------------------------------------------


def moved(condition: Condition, values, *, meets: bool) -> Condition:
    """The condition with a bound that all ``values`` miss, or with one that all meet."""
    reach = 1 + max(map(abs, values)) + abs(condition.bound)
    upwards = (condition.sense == ">=") != meets
    bound = reach if upwards else -reach
    none = None if condition.none is None else bound
    return dataclasses.replace(
        condition, bound=bound, words="{bound}", none=none, source=None, log=False
    )


@every_condition
def test_a_bound_moved_to_the_other_side_of_the_measured_values_changes_the_state(
    name, claim, condition
):
    verdict = verdict_of(name, claim)
    (measured,) = [m for m in verdict.measured if m.condition.name == condition.name]
    if not measured.finite:
        assert measured.state == OPEN
        return
    other = moved(condition, measured.values, meets=not measured.holds)
    fields = {
        part: tuple(other if c.name == condition.name else c for c in getattr(claim, part))
        for part in ("decides", "mechanism")
    }
    broken = verdict_of(name, dataclasses.replace(claim, **fields))
    (after,) = [m for m in broken.measured if m.condition.name == condition.name]
    assert (after.state == FAVOUR) != measured.holds
    if measured in verdict.deciding and claim.expected != UNDECIDED:
        assert not broken.as_registered


@every_judged
def test_controls_that_give_the_main_results_turn_the_claim_red(name, claim):
    verdict, runs = verdict_of(name, claim), recorded(name).runs
    held = {m.condition.name for m in verdict.deciding if m.holds}
    for control in claim.controls:
        if (set(control.misses) & held and verdict.word != UNDECIDED) or (
            verdict.word == NOT_SHOWN and control.finds
        ):
            assert not verdict_of(name, claim, **{control.variant: runs[MAIN]}).as_registered


@every_judged
def test_main_results_that_are_those_of_a_control_turn_the_claim_red(name, claim):
    verdict, runs = verdict_of(name, claim), recorded(name).runs
    held = {m.condition.name for m in verdict.deciding if m.holds}
    for control in claim.controls:
        if not set(control.misses) & held or verdict.word == UNDECIDED:
            continue
        attacked = tuple(c for c in claim.decides if c.name in control.misses)
        alone = dataclasses.replace(control, misses=tuple(c.name for c in attacked), finds=())
        only = dataclasses.replace(
            claim, decides=attacked, mechanism=(), controls=(alone,), expected=UNDECIDED, missed=()
        )
        word = verdict_of(name, only, **{MAIN: runs[control.variant]}).word
        assert word not in (SHOWN, REPRODUCED)


def lost_at(condition, result):
    """The condition, whose value for one result is lost."""
    measure = condition.measure
    return dataclasses.replace(
        condition, measure=lambda r: math.nan if r is result else measure(r), unit="lost"
    )


@every_judged
def test_a_value_lost_to_nan_turns_the_claim_red(name, claim):
    runs = recorded(name).runs
    for variant in (MAIN, *(control.variant for control in claim.controls)):
        lose = partial(lost_at, result=runs[variant][4])
        broken = verdict_of(
            name, dataclasses.replace(claim, decides=tuple(map(lose, claim.decides))), runs=runs
        )
        if variant == MAIN:
            assert (broken.word, broken.why) == (UNDECIDED, "a measured value is not finite")
        elif claim.kind == "effect" and broken.controls:
            (outcome,) = [o for o in broken.controls if o.control.variant == variant]
            decides = {c.name for c in claim.decides}
            assert not decides & set(outcome.control.attacks) or not outcome.worked


@every_judged
def test_figures_of_recorded_runs_come_with_caption_label_and_alternative_text(name, claim):
    figure = EXPERIMENTS[name].figure(recorded(name).runs)
    assert figure.label.startswith("fig-")
    assert figure.caption.endswith(".")
    assert len(figure.alt) > 40


# --- convex in which block? ------------------------------------------------------------------

GRID = np.linspace(-4, 4, 33)
curves = arrays_of.arrays(np.float64, 33, elements=st.floats(-100, 100))


def hull_by_scipy(t, f):
    """The lower convex hull of points (t, f), from scipy's facets that face downwards."""
    # A point far above everything makes a hull even where the points lie on one line.
    points = np.vstack([np.column_stack([t, f]), [t.mean(), f.max() + 1000]])
    hull = ConvexHull(points)
    below = sorted({i for facet, normal in zip(hull.simplices, hull.equations, strict=True)
                    if normal[1] < 0 for i in facet})  # fmt: skip
    return np.interp(t, *points[below].T)


@given(curves)
@settings(max_examples=50)
def test_the_convex_envelope_is_the_lower_hull_that_scipy_finds(f):
    np.testing.assert_allclose(convex.envelope(GRID, f), hull_by_scipy(GRID, f), atol=1e-9)


@given(curves)
@settings(max_examples=50)
def test_the_convex_envelope_is_the_lowest_chord_over_each_point(f):
    # Brute force: the greatest convex minorant at t is the minimum over chords that span t.
    a, b, i = np.ix_(range(33), range(33), range(33))
    share = (GRID[i] - GRID[a]) / np.where(a == b, 1, GRID[b] - GRID[a])
    chords = np.where((a < i) & (i < b), (1 - share) * f[a] + share * f[b], f[i])
    np.testing.assert_allclose(convex.envelope(GRID, f), chords.min((0, 1)), atol=1e-9)


@pytest.mark.parametrize("f", [GRID**2, np.abs(GRID), np.exp(GRID), 3 * GRID, np.maximum(0, GRID)])
def test_a_convex_function_does_not_rise_above_its_envelope(f):
    assert 0 <= convex.above_envelope(GRID, f) <= 1e-12


def test_the_rise_above_the_envelope_is_that_of_worked_examples():
    # -t^2 on [-4, 4] has the constant envelope -16; a tent of height h over a line rises by h.
    assert convex.above_envelope(GRID, -(GRID**2)) == pytest.approx(16)
    tent = 5 + GRID + 0.25 * np.maximum(0, 1 - np.abs(GRID))
    assert convex.above_envelope(GRID, tent) == pytest.approx(0.25)
    # A kink between two midpoints: convexity fails although f(0) <= (f(-t) + f(t)) / 2 for all t.
    kink = np.minimum(np.abs(GRID), 1)
    assert convex.above_envelope(GRID, kink) > 0.5


def networks(seed, t=3, n=7, d=5, width=4, k=3):
    rng = np.random.default_rng(seed)
    shapes = ((t, d, width), (t, width, width), (t, width, k))
    weights = tuple(torch.from_numpy(rng.standard_normal(shape)) for shape in shapes)
    labels = torch.from_numpy(rng.integers(0, k, n))
    return weights, torch.from_numpy(rng.standard_normal((n, d))), labels


@pytest.mark.parametrize("sigma", ["relu", "identity"])
def test_the_loss_is_that_of_torch_on_the_network_of_the_first_part(sigma):
    (w_1, w_2, v), x, labels = networks(0)
    given_ = convex.Settings(sigma_1=sigma)
    found = convex.losses((w_1, w_2, v), x, torch.nn.functional.one_hot(labels).double(), given_)
    for i in range(3):
        hidden = torch.relu(x @ w_1[i]) if sigma == "relu" else x @ w_1[i]
        logits = torch.relu(hidden @ w_2[i]) @ v[i]
        torch.testing.assert_close(found[i], torch.nn.functional.cross_entropy(logits, labels))


def test_the_squared_error_is_that_of_the_probabilities():
    weights, x, labels = networks(1)
    y = torch.nn.functional.one_hot(labels).double()
    found = convex.losses(weights, x, y, convex.Settings(loss="brier"))
    phi = torch.relu(torch.relu(x @ weights[0][0]) @ weights[1][0])
    p = torch.softmax(phi @ weights[2][0], dim=1)
    torch.testing.assert_close(found[0], ((p - y) ** 2).sum() / len(y))


@pytest.mark.parametrize("block", convex.BLOCKS)
def test_a_line_moves_its_own_block_and_passes_through_the_same_start(block):
    x = digits().subset(20, seed=0).train_x.flatten(1).double()
    y = torch.eye(10, dtype=torch.float64)[digits().subset(20, seed=0).train_y]
    lines = {
        b: convex.along_line(b, x, y, convex.Settings(points=5), torch.Generator().manual_seed(3))
        for b in (block, "all")
    }
    t, f = lines[block]
    assert t.tolist() == [-4, -2, 0, 2, 4]
    assert f[2] == lines["all"][1][2]
    assert len(set(f.tolist())) == 5


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    small = convex.Settings(lines=2, points=41)
    first, again, other = (convex.run(small, Chance(seed)) for seed in (0, 0, 1))
    assert list(first) == list(again)
    for name in first:
        assert first[name].dtype == again[name].dtype
        assert first[name].tobytes() == again[name].tobytes()
    assert first["rise_W_1"] != other["rise_W_1"]


# --- raw pixels ------------------------------------------------------------------------------


def blobs(seed, n=60, d=6, k=3, distance=1.0):
    """k classes of normal points, ``distance`` standard deviations apart along k axes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    x = rng.standard_normal((n, d)) + distance * np.eye(k, d)[y]
    return torch.from_numpy(x).float(), torch.from_numpy(y)


def test_logistic_regression_makes_no_error_on_classes_far_apart():
    train, test = blobs(0, distance=100.0), blobs(1, distance=100.0)
    assert logistic_regression_errors(*train, *test, 1.0) == (0.0, 0.0)


def test_logistic_regression_cannot_notice_the_order_of_the_columns():
    (x, y), (x_test, y_test) = blobs(0), blobs(1)
    order = torch.from_numpy(np.random.default_rng(0).permutation(x.shape[1]))
    as_they_are = logistic_regression_errors(x, y, x_test, y_test, 1.0)
    shuffled = logistic_regression_errors(x[:, order], y, x_test[:, order], y_test, 1.0)
    assert as_they_are == shuffled
    assert 0 < as_they_are[1] < 2 / 3


def test_labels_that_mean_nothing_leave_the_error_at_chance():
    (x, _), (x_test, _) = blobs(0, n=3000, distance=0.0), blobs(1, n=3000, distance=0.0)
    y = torch.arange(3000) % 3
    _, error = logistic_regression_errors(x, y, x_test, y, 1.0)
    # Two thirds, give or take four standard deviations of a binomial share.
    assert error == pytest.approx(2 / 3, abs=4 * math.sqrt(2 / 9 / 3000))


def test_logistic_regression_reaches_the_minimum_that_newtons_method_finds():
    # The stationarity condition, from the loss as its docstring states it: X^T (P - Y) + c V = 0.
    x, y = blobs(2, n=90)
    penalty, one_hot = 5.0, torch.nn.functional.one_hot(y).double()
    z = ((x - x.mean(0)) / (x.std(0) + 1e-3)).double()
    z = torch.cat([z, torch.ones(len(z), 1)], 1)
    v = torch.zeros(z.shape[1], 3, dtype=torch.float64)
    decay = torch.full_like(v, penalty)
    decay[-1] = 0  # the intercept is not penalised

    def loss(flat):
        w = flat.view_as(v)
        log_p = torch.log_softmax(z @ w, 1)
        return -(one_hot * log_p).sum() + (decay * w**2).sum() / 2 + 1e-9 * (flat**2).sum()

    for _ in range(20):
        gradient = torch.autograd.functional.jacobian(loss, v.flatten())
        curvature = torch.autograd.functional.hessian(loss, v.flatten())
        v = v - torch.linalg.solve(curvature, gradient).view_as(v)
    expected = ((z @ v).argmax(1) != y).double().mean()
    error, same = logistic_regression_errors(x, y, x, y, penalty)
    assert error == same == pytest.approx(float(expected))


# --- the words by other means ----------------------------------------------------------------


def test_an_independent_script_finds_the_same_words_and_intervals():
    sys.path.insert(0, str(ROOT / "tests"))
    import recompute

    assert list(recompute.differences()) == []


def test_the_independent_script_would_notice(monkeypatch):
    import recompute

    monkeypatch.setattr(recompute, "t_quantile", lambda p, degrees: 1.96)
    found = list(recompute.differences())
    assert any("the package says [" in line for line in found)
