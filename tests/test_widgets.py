# Widgets, the Python side: what is sent is what was given, to 8 or 16 bits; what does not fit is
# named; and what a page keeps of the state that Jupyter saves.
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from ipywidgets.widgets.widget import _remove_buffers
from whydeep.book import widgets as page
from whydeep.chance import Chance
from whydeep.errors import WhydeepError
from whydeep.evidence.results import Result, read_record
from whydeep.experiments.features import examples_sweep, raw_pixels
from whydeep.experiments.features._four_maps import MAPS, FourMaps
from whydeep.widgets import Axis, ImageExplorer, Pool, Prediction, Referee, SweepExplorer
from whydeep.widgets.kit import dequantise, quantise

COMMON = {
    "key": "test",
    "title": "A title",
    "about": "What to try.",
    "series": ["raw", "hog"],
    "variants": {"main": "as they are", "permuted": "shuffled"},
    "seeds": [0, 1, 2],
    "sweep": Axis("examples", log=True),
    "sweep_values": [100, 300, 1000, 3000],
    "y": Axis("test error", "%"),
}
VALUES = np.random.default_rng(0).uniform(0, 40, (2, 2, 3, 4))


def decoded(widget):
    y = widget.spec["y"]
    return dequantise(widget.data, y["low"], y["high"], log=y["log"])


# --- 8 and 16 bits ---------------------------------------------------------------------------

finite = arrays_of.arrays(np.float64, (3, 7), elements=st.floats(-1e6, 1e6))


@given(finite)
def test_no_value_moves_by_more_than_half_a_step_of_65534_over_the_range(values):
    codes, low, high = quantise(values, log=False)
    assert (low, high) == (values.min(), values.max())
    # Half a step, and what float64 rounds on the way there and back.
    bound = (high - low) / (2 * 65534) + 1e-15 * np.abs(values).max()
    assert np.abs(dequantise(codes, low, high, log=False) - values.ravel()).max() <= bound


@given(arrays_of.arrays(np.float64, 20, elements=st.floats(1e-12, 1e12)))
def test_on_a_logarithmic_axis_the_bound_is_on_the_ratio(values):
    codes, low, high = quantise(values, log=True)
    moved = np.abs(np.log10(dequantise(codes, low, high, log=True) / values))
    assert moved.max() <= (high - low) / (2 * 65534) + 1e-13


def test_the_codes_are_little_endian_and_the_ends_of_the_range_are_exact():
    codes, low, high = quantise(np.array([2.0, 4.0, 3.0]), log=False)
    assert codes == bytes([0, 0, 0xFE, 0xFF, 0xFF, 0x7F])  # 0, 65534, 32767
    assert dequantise(codes, low, high, log=False).tolist() == [2.0, 4.0, 3.0]


@given(finite)
def test_in_8_bits_no_value_moves_by_more_than_half_a_step_of_254(values):
    codes, low, high = quantise(values, log=False, bits=8)
    assert len(codes) == values.size
    bound = (high - low) / (2 * 254) + 1e-15 * np.abs(values).max()
    assert np.abs(dequantise(codes, low, high, log=False, bits=8) - values.ravel()).max() <= bound


def test_in_8_bits_what_is_missing_has_the_highest_code():
    codes, low, high = quantise(np.array([2.0, np.nan, 4.0]), log=False, bits=8)
    assert codes == bytes([0, 255, 254])
    np.testing.assert_array_equal(dequantise(codes, low, high, log=False, bits=8), [2, np.nan, 4])


def test_a_run_that_diverged_is_missing_and_does_not_stretch_the_range():
    codes, low, high = quantise(np.array([1.0, np.inf, np.nan, 3.0]), log=False)
    assert (low, high) == (1.0, 3.0)
    np.testing.assert_array_equal(dequantise(codes, low, high, log=False), [1, np.nan, np.nan, 3])


def test_equal_values_come_back_exactly():
    codes, low, high = quantise(np.full(5, 0.3), log=False)
    assert dequantise(codes, low, high, log=False).tolist() == [0.3] * 5


# --- SweepExplorer ---------------------------------------------------------------------------


def test_values_make_the_round_trip_through_the_traits():
    widget = SweepExplorer(VALUES, **COMMON)
    assert len(widget.data) == 2 * VALUES.size
    half = (VALUES.max() - VALUES.min()) / (2 * 65534)
    assert np.abs(decoded(widget).reshape(VALUES.shape) - VALUES).max() <= half + 1e-12


def test_the_state_is_json_beside_one_binary_buffer():
    widget = SweepExplorer(VALUES, **COMMON)
    state, paths, buffers = _remove_buffers(widget.get_state())
    assert paths == [["data"]]
    assert bytes(buffers[0]) == widget.data
    spec = json.loads(json.dumps(state["spec"]))
    assert spec["sweep"] == {
        "label": "examples",
        "unit": "",
        "log": True,
        "values": [100, 300, 1000, 3000],
    }
    assert spec["variants"][1] == {"name": "permuted", "label": "shuffled"}
    assert state["_esm"].count("export default") == 1


def test_recorded_runs_become_variants_series_and_seeds_in_order():
    def result(base):
        return Result(a=([base, base + 1], "share"), b=([base + 2, base + 3], "share"),
                      n=([10, 20], "examples"))  # fmt: skip

    # Seeds out of order, as a dictionary may hold them.
    runs = {v: {1: result(i + 0.5), 0: result(i)} for i, v in enumerate(("main", "permuted"))}
    options = {k: v for k, v in COMMON.items() if k not in ("series", "seeds", "sweep_values")}
    widget = SweepExplorer.from_runs(
        runs, series={"a": "raw", "b": "hog"}, sweep_values="n", factor=10.0, **options
    )
    assert widget.spec["seeds"] == [0, 1]
    assert widget.spec["sweep"]["values"] == [10, 20]
    # Main, series a, seeds 0 and 1: (0, 1) and (0.5, 1.5), times 10; the range is 0 to 45.
    np.testing.assert_allclose(decoded(widget)[:4], [0, 10, 5, 15], atol=45 / 65534)


def test_a_prediction_keeps_the_curves_closed_until_it_is_made():
    predict = Prediction("Which?", ("raw", "hog"), 1, "Since edges matter.")
    widget = SweepExplorer(VALUES, **COMMON, predict=predict)
    assert not widget.opened
    assert widget.spec["predict"] == dataclasses.asdict(predict) | {"options": ["raw", "hog"]}
    assert SweepExplorer(VALUES, **COMMON).opened


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"key": "Not a key"}, "key is 'Not a key', expected small letters"),
        ({"series": list("abcdefg")}, "7 series, expected 1 to 6"),
        ({"seeds": [0, 1]}, r"values have shape \(2, 2, 3, 4\), expected \(2, 2, 2, 4\)"),
        ({"sweep_values": [100, 300, 300, 3000]}, "'examples' are .*increasing"),
        ({"sweep_values": [0, 300, 1000, 3000]}, "logarithmic and begins at 0"),
        ({"x": Axis("step")}, "give both of a pair or neither"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(change, what):
    with pytest.raises(WhydeepError, match=what) as caught:
        SweepExplorer(VALUES, **COMMON | change)
    assert "\n" not in str(caught.value)


def test_a_question_without_its_answer_among_the_options_is_refused():
    with pytest.raises(WhydeepError, match="option 1, expected 0 to 0"):
        Prediction("Which?", ("raw",), 1, "")


def test_a_logarithmic_axis_refuses_zero_and_a_figure_without_values_is_none():
    with pytest.raises(WhydeepError, match="cannot show 0: expected values above zero"):
        SweepExplorer(0 * VALUES, **COMMON | {"y": Axis("loss", log=True)})
    with pytest.raises(WhydeepError, match="no value to show is finite"):
        SweepExplorer(np.nan * VALUES, **COMMON)


def test_an_unknown_variant_or_quantity_is_named():
    runs = {"main": {0: Result(a=([1.0, 2.0], "share"), n=([1, 2], "examples"))}}
    options = {k: v for k, v in COMMON.items() if k not in ("series", "seeds", "sweep_values")}
    with pytest.raises(WhydeepError, match="no runs of variant 'permuted': there are main"):
        SweepExplorer.from_runs(runs, series={"a": "raw"}, sweep_values="n", **options)
    options["variants"] = {"main": "as they are"}
    with pytest.raises(WhydeepError, match="no quantity 'b': there are a, n"):
        SweepExplorer.from_runs(runs, series={"b": "raw"}, sweep_values="n", **options)


def test_the_explorer_of_the_first_page_says_what_its_record_says():
    runs = read_record("features/examples-sweep", "full").runs
    widget = examples_sweep.explorer(runs)
    errors = 100 * np.array(
        [[[runs[v][k][f"error[{name}]"] for k in range(5)] for name in MAPS] for v in runs]
    )
    assert np.abs(decoded(widget).reshape(errors.shape) - errors).max() < 1e-3
    raw, _, hog, learned = errors[0].mean(axis=1)
    assert hog[0] == errors[0].mean(axis=1)[:, 0].min()
    assert widget.spec["predict"]["answer"] == list(MAPS).index("hog")
    # "the learned map ... comes nearer as their number grows"
    assert (np.diff(learned - hog) < 0).all()
    # "which curves stay ..., and which lose their lead?"
    shuffled = errors[1].mean(axis=1)
    assert np.abs(shuffled[0] - raw).max() < 0.1
    assert (shuffled[2, 1:] > hog[1:] + 3).all()


def test_a_step_of_the_sweep_is_the_experiment_of_the_four_maps_at_that_size():
    one_step = FourMaps(sgd=dataclasses.replace(FourMaps().sgd, steps=1))
    small = examples_sweep.Settings(largest=299, maps=one_step)
    swept = examples_sweep.run(small, Chance(0))
    alone = raw_pixels.run(dataclasses.replace(one_step, examples=100), Chance(0))
    assert swept["examples"].tolist() == [100]
    assert swept["error"][:, 0].tolist() == alone["error"].tolist()


def test_the_figure_of_the_sweep_comes_with_caption_label_and_alternative_text():
    figure = examples_sweep.figure(read_record("features/examples-sweep", "full").runs)
    assert figure.label == "fig-examples-sweep"
    assert "over 5 seeds" in figure.caption
    assert len(figure.alt) > 40
    assert [len(axes.lines) for axes in figure.figure.axes] == [4, 4]


# --- ImageExplorer ---------------------------------------------------------------------------

LEARNED = np.random.default_rng(1).normal(0, 0.1, (5, 3, 4, 4))
RANDOM = np.random.default_rng(2).normal(0, 2.0, (7, 3, 3, 5))
SCENE = np.random.default_rng(3).uniform(0, 1, (3, 9, 8))
BANKS = {"learned": LEARNED, "random": RANDOM}
IMAGES = {"key": "test", "title": "A title", "about": "What to try."}


def images_in(buffer, specs):
    """The arrays that ``buffer`` holds as ``specs`` describe them."""
    start, found = 0, {}
    for spec in specs:
        codes = buffer[start : start + spec["bytes"]]
        start += spec["bytes"]
        values = dequantise(codes, spec["low"], spec["high"], log=False, bits=spec["bits"])
        found[spec["label"]] = values.reshape(-1, spec["channels"], spec["height"], spec["width"])
    assert start == len(buffer)
    return found


@pytest.mark.parametrize(("bits", "steps"), [(16, 65534), (8, 254)])
def test_banks_of_different_sizes_make_the_round_trip_each_over_its_own_range(bits, steps):
    widget = ImageExplorer(BANKS, **IMAGES, bits=bits)
    found = images_in(widget.data, widget.spec["banks"])
    for label, bank in BANKS.items():
        assert found[label].shape == bank.shape
        half = (bank.max() - bank.min()) / (2 * steps)
        assert np.abs(found[label] - bank).max() <= half + 1e-12
    assert widget.scenes == b""


def test_pictures_are_kept_in_8_bits_beside_the_banks():
    widget = ImageExplorer(BANKS, **IMAGES, pictures={"leaf": SCENE, "sky": SCENE[:, :5, :6]})
    found = images_in(widget.scenes, widget.spec["pictures"])
    assert len(widget.scenes) == SCENE.size + 3 * 5 * 6
    assert np.abs(found["leaf"][0] - SCENE).max() <= 1 / (2 * 254)
    assert found["sky"].shape == (1, 3, 5, 6)


def test_grey_images_need_no_axis_of_channels_and_float32_is_taken():
    widget = ImageExplorer({"means": np.ones((2, 3, 4), dtype=np.float32)}, **IMAGES)
    described = {"channels": 1, "height": 3, "width": 4, "items": 2}
    assert widget.spec["banks"][0].items() >= described.items()


def test_zero_is_grey_in_every_bank_as_soon_as_one_has_a_negative_value():
    positive = np.abs(LEARNED)
    assert not ImageExplorer({"a": positive}, **IMAGES).spec["signed"]
    assert ImageExplorer({"a": positive, "b": LEARNED}, **IMAGES).spec["signed"]


def test_the_state_is_json_and_a_number_that_is_not_finite_is_left_out():
    predict = Prediction("Which?", ("learned", "random"), 0, "Since edges matter.")
    widget = ImageExplorer(
        BANKS,
        **IMAGES,
        item="filter",
        names={"learned": list("abcde")},
        numbers={"learned": {"angle (degrees)": [0, 45, np.nan, 90, 135]}},
        predict=predict,
    )
    state, paths, _ = _remove_buffers(widget.get_state())
    assert sorted(paths) == [["data"], ["scenes"]]
    spec = json.loads(json.dumps(state["spec"], allow_nan=False))
    assert spec["banks"][0]["names"] == list("abcde")
    assert spec["banks"][0]["numbers"] == [
        {"label": "angle (degrees)", "values": [0, 45, None, 90, 135]}
    ]
    assert spec["banks"][1]["numbers"] == []
    assert not widget.opened
    assert state["_esm"].count("export default") == 1


@pytest.mark.parametrize(
    ("banks", "change", "what"),
    [
        ({}, {}, "no banks"),
        ({"a": LEARNED[0, 0]}, {}, r"'a' has shape \(4, 4\), expected \(items, height, width\)"),
        ({"a": LEARNED[:, :2]}, {}, r"bank 'a' has shape \(5, 2, 4, 4\)"),
        ({"a": LEARNED[:0]}, {}, r"bank 'a' has shape \(0, 3, 4, 4\)"),
        ({"a": np.zeros((257, 2, 2))}, {}, "257 items, expected 1 to 256"),
        ({"a": np.full((1, 2, 2), np.nan)}, {}, "'a' has a value that is not finite"),
        ({"a": LEARNED, "b": LEARNED[:, 0]}, {}, "channels, expected the same for all"),
        (BANKS, {"key": "Not a key"}, "key is 'Not a key'"),
        (BANKS, {"names": {"ica": []}}, "no bank 'ica': there are learned, random"),
        (BANKS, {"names": {"learned": ["a"]}}, "'names' of bank 'learned': 1 given, expected 5"),
        (BANKS, {"numbers": {"random": {"angle": [1.0]}}}, "'angle' of bank 'random': 1 given"),
        (BANKS, {"pictures": {"leaf": SCENE * 255}}, "picture 'leaf' has values from .*0 to 1"),
        (BANKS, {"pictures": {"leaf": SCENE[0]}}, "picture 'leaf' has 1 channels and bank 'lea"),
        (BANKS, {"pictures": {"leaf": SCENE[:, :3]}}, r"'leaf' is \(3, 8\) pixels large, smaller"),
        (BANKS, {"strides": ()}, r"strides are \(\), expected different whole numbers from 1"),
        (BANKS, {"strides": (1, 0)}, r"strides are \(1, 0\), expected"),
        (BANKS, {"strides": (2, 2)}, r"strides are \(2, 2\), expected different"),
        (BANKS, {"matrix": True}, "a matrix is shown, but there are no pictures"),
        (BANKS, {"matrix": True, "pictures": {"leaf": SCENE}}, "'learned' has 3 channels, expect"),
        ({"a": LEARNED[:, 0]}, {"matrix": True, "pictures": {"wall": np.ones((13, 12))}},
         "picture 'wall' has 156 pixels, expected at most 144"),
        (BANKS, {"pools": {"two": Pool("maximum", 2, 2)}}, "feature maps are pooled, but there ar"),
        (BANKS, {"pools": {"sum": Pool("sum", 2, 2)}, "pictures": {"leaf": SCENE}},
         "'sum' takes the sum at stride 2, expected 'maximum' or 'average'"),
        # The filters of 3 by 5 leave 7 by 4 places of 9 by 8 pixels, those of 4 by 4 6 by 5.
        (BANKS, {"pools": {"big": Pool("average", 5, 1)}, "pictures": {"leaf": SCENE}},
         "'big' has windows of 5 x 5, expected 1 to 4"),
        (BANKS, {"pools": {"a": Pool("average", 2, 2)}, "pictures": {"leaf": SCENE}, "reach": 8},
         "reach is 8 pixels, expected 1 to 7"),
    ],
)  # fmt: skip
def test_images_that_do_not_fit_are_named_in_one_line(banks, change, what):
    with pytest.raises(WhydeepError, match=what) as caught:
        ImageExplorer(banks, **IMAGES | change)
    assert "\n" not in str(caught.value)


# --- what a page keeps -----------------------------------------------------------------------


def model(module="anywidget", **state):
    return {
        "model_name": "AnyModel",
        "model_module": module,
        "state": {"_esm": "code", "_css": "looks", "layout": "IPY_MODEL_0f", "_dom_classes": []}
        | state,
        "buffers": [{"path": ["data"], "encoding": "base64", "data": "AAA="}],
    }


SAVED = {
    "9c": model(a=1),
    "0f": {"model_name": "LayoutModel", "model_module": "@jupyter-widgets/base", "state": {}},
    "77": model(a=2, child="IPY_MODEL_5e"),
    "5e": model(a=3, _esm="other code"),
    "d1": model(a=4),
}


def test_modules_and_styles_stand_in_the_page_once_and_unused_state_does_not():
    kept, names = page.compact(SAVED, ["77", "9c"])
    assert names == {"77": "w1", "9c": "w2", "5e": "w3"}  # not shown: d1, and the layout
    assert sorted(kept["sources"].values()) == ["code", "looks", "other code"]
    first = kept["state"]["w1"]
    assert first["state"] == {"a": 2, "child": "IPY_MODEL_w3"}
    assert kept["sources"][first["esm"]] == "code"
    assert kept["state"]["w2"]["esm"] == first["esm"]
    assert first["buffers"] == [{"path": ["data"], "data": "AAA="}]


def test_the_ids_that_jupyter_draws_at_random_do_not_reach_the_page():
    other = {{"77": "aa", "9c": "bb", "5e": "cc"}.get(k, k): v for k, v in SAVED.items()}
    other["aa"] = model(a=2, child="IPY_MODEL_cc")
    assert page.compact(SAVED, ["77", "9c"])[0] == page.compact(other, ["aa", "bb"])[0]


def test_a_widget_that_a_static_page_cannot_show_is_refused():
    saved = {"1a": {"model_name": "IntSliderModel", "model_module": "@jupyter-widgets/controls"}}
    with pytest.raises(ValueError, match="a IntSliderModel is shown"):
        page.compact(saved, ["1a"])
    with pytest.raises(ValueError, match="state was not saved"):
        page.compact({}, ["1a"])


def test_no_string_can_end_the_script_element_that_holds_it():
    text = page.script_json({"a": "</script><!-- <b>"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!-- <b>"}


# --- Referee ---------------------------------------------------------------------------------


def test_the_referee_sends_the_settings_on_offer_and_where_it_starts():
    widget = Referee(
        key="r", title="T", about="A.", start={"effect": 2.0, "seeds": 10, "left": "half"}
    )
    spec = json.loads(json.dumps(widget.spec))
    assert spec["effects"]["values"][widget.effect] == 2.0
    assert spec["seeds"][widget.seeds] == 10
    assert spec["left"][widget.left] == {"label": "half", "share": 0.5}
    assert spec["spreads"]["values"][widget.spread] == 1.0
    # Student's table: 97.5 % points with 4, 9 and 19 degrees of freedom.
    np.testing.assert_allclose(spec["quantiles"], [2.776, 2.262, 2.093], atol=5e-4)
    assert widget.opened
    asked = Referee(key="r", title="T", about="A.", predict=Prediction("Q?", ("a", "b"), 1, "B."))
    assert not asked.opened
    assert asked.spec["predict"]["options"] == ["a", "b"]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"seeds": (5, 5)}, r"seeds are \(5, 5\), expected different, from 2 to 30"),
        ({"seeds": (1,)}, r"seeds are \(1,\)"),
        ({"seeds": (31,)}, r"seeds are \(31,\)"),
        ({"start": {"effect": 0.1}}, r"effect is 0.1, expected one of -2.0, "),
        ({"start": {"seeds": 7}}, r"seeds is 7, expected one of 5, 10, 20"),
        ({"start": {"size": 7}}, r"size is 7, expected one of effect, spread, seeds, left"),
    ],
)
def test_a_referee_that_cannot_be_set_so_is_refused(how, says):
    with pytest.raises(WhydeepError, match=says):
        Referee(key="r", title="T", about="A.", **how)
