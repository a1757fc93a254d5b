# The Playground in Chromium: its engine beside PyTorch in float64, the snippet it hands out, a
# kernel at its other end, every control by key, no work for nobody. How fast it trains is told by
# code/benchmarks.
import csv
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from browsing import WIDER_THAN_THE_SCREEN, says, scrolled, tab_to, violations, widget
from whydeep.widgets import playground_torch
from whydeep.widgets.bundler import bundle
from whydeep.widgets.kit import FOLDER
from whydeep.widgets.playground import DEFAULTS, Kernel, digits

pytestmark = pytest.mark.site

PAGE = "part/playground.html"
# Rounding in two orders of addition, over 200 steps that do not blow it up.
CLOSE = {"rtol": 1e-9, "atol": 1e-9}
SETTINGS = {
    "defaults": {},
    "relu": {"data": "moons", "activation": "relu", "loss": "squared", "lr": 0.02,
             "widths": [8, 3]},
    "sigmoid": {"data": "xor", "activation": "sigmoid", "momentum": 0.9, "weight_decay": 0.001},
    "linear": {"data": "blobs", "activation": "linear", "inputs": "products", "widths": []},
    "dropout": {"data": "spirals", "dropout": 0.3, "max_norm": 1.5, "label_noise": 0.25,
                "widths": [6, 5, 4]},
    "divided": {"data": "digits", "batch_size": 0, "lr": 0.5, "divide_at": 60, "examples": 100},
}  # fmt: skip


@pytest.fixture(scope="module")
def site(scratch):
    return scratch


@pytest.fixture
def tab(visit, site):
    return show(visit(), site)


def show(visit, site, hash_=""):
    return scrolled(visit.open((site / PAGE).as_uri() + hash_))


ENGINE = """\
import { keyOf, uniform } from "./chance.js";
import { dataOf } from "./data.js";
import { maps } from "./network.js";
import { run } from "./run.js";
import { backward } from "./training.js";
export default { keyOf, uniform, dataOf, maps, run, backward };
"""


def engine():
    """The engine as one module, bundled as the widget is."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(FOLDER / "playground" / "engine", folder, dirs_exist_ok=True)
        entry = Path(folder) / "all.js"
        entry.write_text(ENGINE, "utf-8")
        return bundle(entry)


@pytest.fixture(scope="module")
def bare(browser):
    """An empty page that has the engine, and can load another."""
    page = browser.new_page()
    page.evaluate(
        """async source => {
          window.load = async text => {
            const url = URL.createObjectURL(new Blob([text], {type: 'text/javascript'}));
            return (await import(url)).default;
          };
          window.E = await load(source);
        }""",
        engine(),
    )
    yield page
    page.close()


def torch_nets(settings):
    """The networks of ``settings`` in PyTorch, one a seed."""
    data = settings["data"]
    if data == "digits":
        rows = np.array(digits())
        train, test = (
            (part[:, :2], part[:, 2]) for part in (rows[::2][: settings["examples"]], rows[1::2])
        )
    else:
        train, test = (
            playground_torch.draw(playground_torch.MAKERS[data], settings, use, count)
            for use, count in (("train", settings["examples"]), ("test", 250))
        )
    return [
        playground_torch.Training(settings, train, test, settings["seed"] + n)
        for n in range(settings["seeds"])
    ]


def press(tab, name, n=0):
    widget(tab, n).get_by_role("button", name=name, exact=True).press("Enter")


def number(tab, name, n=0):
    """A number among the facts shown."""
    label = tab.locator("dt", has_text=re.compile(rf"^{name}(, A / B)?$"))
    row = widget(tab, n).locator(".wd-stats > div").filter(has=label)
    return float(row.locator("dd").inner_text().replace(",", ""))


def comes_to(tab, name, wanted, n=0):
    """Wait until a number among the facts, which follow a change by a frame, is the wanted one."""
    for _ in range(200):
        if number(tab, name, n) == wanted:
            return
        tab.wait_for_timeout(50)
    assert number(tab, name, n) == wanted


def tells(tab, text, n=0):
    """Wait, longer than for a picture, until training has come as far as ``text``."""
    words = widget(tab, n).locator("[role=status]:not(.wd-quiet)")
    words.filter(has_text=text).wait_for(timeout=60_000)


def rests(tab, n=0):
    """Wait until widget ``n`` has stopped by itself."""
    widget(tab, n).get_by_role("button", name="Run", exact=True).wait_for(timeout=60_000)


def curves(tab, n=0):
    """The downloaded curves: (run, step) -> losses of all seeds, training and test."""
    with tab.expect_download() as caught:
        press(tab, "Download the curves (CSV)", n)
    with open(caught.value.path(), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for row in rows:
        pair = (float(row["training loss"]), float(row["test loss"]))
        found.setdefault((row["run"], int(row["step"])), []).append(pair)
    return found


# --- the engine beside PyTorch ---------------------------------------------------------------


def test_both_draw_the_same_numbers(bare):
    for seed, use in ((0, "train"), (7, "order"), (999_999, "dropout")):
        found = bare.evaluate(
            "([seed, use]) => [...Array(500).keys()].map(i => E.uniform(E.keyOf(seed, use), i))",
            [seed, use],
        )
        assert found == playground_torch.uniforms(seed, use, 0, 500).tolist()


@pytest.mark.parametrize("name", SETTINGS)
def test_values_and_gradients_agree_with_pytorch(name, bare):
    settings = DEFAULTS | {"seeds": 1, "seed": 11} | SETTINGS[name] | {"dropout": 0}
    found = bare.evaluate(
        """([settings, given]) => {
          const {train, test} = E.dataOf(settings, given);
          const net = E.run(settings, given).nets[0];
          const rows = [...train.y.keys()], gradient = new Float64Array(net.weights.length);
          const loss = E.backward(net, rows, gradient);
          const maps = E.maps(settings, net.weights, test.x);
          return {
            x: [...train.x], y: [...train.y], loss, gradient: [...gradient],
            weights: [...net.weights], outputs: [...maps.slice(-test.y.length)],
          };
        }""",
        [settings, [list(row) for row in digits()]],
    )
    (net,) = torch_nets(settings)
    x, y = net.train
    for parameter in net.parameters:
        parameter.requires_grad_(True)
    outputs = net(net.test[0])
    loss = playground_torch.LOSSES[settings["loss"]](net(x), y)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, net.parameters)])
    weights = torch.cat([p.flatten() for p in net.parameters])
    exact = {"rtol": 1e-12, "atol": 1e-13}  # logarithms and cosines of two libraries
    np.testing.assert_allclose(np.reshape(found["x"], (-1, 2)), x[:, :2], **exact)
    np.testing.assert_array_equal(found["y"], y)
    np.testing.assert_allclose(found["weights"], weights.detach(), **exact)
    np.testing.assert_allclose(found["outputs"], outputs.detach(), **exact)
    np.testing.assert_allclose(found["loss"], loss.detach(), **exact)
    np.testing.assert_allclose(found["gradient"], gradient, rtol=1e-10, atol=1e-13)
    assert np.abs(found["gradient"]).max() > 1e-3


@pytest.mark.parametrize("name", SETTINGS)
def test_two_hundred_steps_agree_with_pytorch(name, bare):
    settings = DEFAULTS | {"seeds": 2, "seed": 5} | SETTINGS[name]
    found = bare.evaluate(
        """([settings, given]) => {
          const run = E.run(settings, given), losses = [];
          for (let t = 0; t <= 200; t += 1) {
            const {train, test} = run.look();
            losses.push([train, test]);
            run.step();
          }
          return {losses, weights: run.nets.map(net => [...net.weights])};
        }""",
        [settings, [list(row) for row in digits()]],
    )
    nets = torch_nets(settings)
    expected = []
    for _ in range(201):
        expected.append([[n.loss(*n.train) for n in nets], [n.loss(*n.test) for n in nets]])
        for net in nets:
            net.step()
    np.testing.assert_allclose(found["losses"], expected, **CLOSE)
    weights = [torch.cat([p.flatten() for p in net.parameters]) for net in nets]
    np.testing.assert_allclose(found["weights"], torch.stack(weights), **CLOSE)
    # What agrees has moved: the test is not about two networks that stand still.
    assert abs(expected[-1][0][0] - expected[0][0][0]) > 0.01


def test_a_wrong_derivative_would_be_caught(bare):
    # The same comparison with tanh' = 1 - v instead of 1 - v^2 in the engine's text.
    source = engine()
    assert source.count("slope = 1 - value * value") == 1
    broken = source.replace("slope = 1 - value * value", "slope = 1 - value")
    settings = DEFAULTS | {"seeds": 1}
    (net,) = torch_nets(settings)
    net.step()
    found = bare.evaluate(
        """async ([source, settings]) => {
          const run = (await load(source)).run(settings, []);
          run.step();
          return run.look().train[0];
        }""",
        [broken, settings],
    )
    assert abs(found - net.loss(*net.train)) > 1e-4


# --- what the page hands out -----------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 2])
def test_the_snippet_runs_and_gives_the_same_curve_live_changes_included(n, tab):
    box = widget(tab, n)
    box.get_by_label("speed").select_option("0")
    box.get_by_label("stop at step").select_option("300")
    for _ in range(12):
        press(tab, "Step", n)
    says(tab, "Step 12.", n)
    box.get_by_label("learning rate").select_option("0.03")
    press(tab, "Run", n)
    tells(tab, "Stopped at the step asked for. Step 300.", n)
    box.get_by_text("Copy as PyTorch", exact=True).click()
    code = box.locator(".wd-code")
    code.filter(has_text="STEPS = 300").wait_for()
    text = code.inner_text()
    assert '12: {"lr": 0.03}' in text
    names = {}
    exec(compile(text, "snippet", "exec"), names)
    kept = curves(tab, n)
    assert len(kept) > 50
    for (_, step), losses in kept.items():
        np.testing.assert_allclose(names["curve"][step], np.mean(losses, axis=0), **CLOSE)
    unused = {"rings", "spirals", "xor"} | ({"blobs"} if n == 2 else set())
    assert not unused & set(names)


def test_with_a_kernel_the_same_controls_drive_pytorch(tab):
    kernel = Kernel()
    heard = []

    def answer(message):
        heard.append(message["type"])
        return kernel.answer(message)

    tab.expose_function("kernel", answer)
    tab.evaluate("""async () => {
      const {state, sources} = JSON.parse(document.querySelector(
        'script[type="application/vnd.jupyter.widget-state+json"]').textContent);
      const {esm, state: values} = state.w1;
      const url = URL.createObjectURL(new Blob([sources[esm]], {type: 'text/javascript'}));
      const all = {...values, settings: {...values.settings, stop_at: 120, speed: 0}};
      const listeners = {};
      const model = {
        get: n => all[n], save_changes() {}, off() {},
        on: (n, f) => { (listeners[n] ??= []).push(f); },
        set: (n, v) => { all[n] = v; listeners[`change:${n}`]?.forEach(f => f()); },
        send: async m => {
          const answer = await kernel(m);
          listeners['msg:custom'].forEach(f => f(answer));
        },
      };
      const el = document.createElement('div');
      el.className = 'widget-frame';
      document.querySelector('.widget-frame').replaceWith(el);
      (await import(url)).default.render({model, el});
    }""")
    box = widget(tab)
    engine = box.get_by_label("trained by")
    engine.wait_for()
    assert engine.inner_text().startswith(f"PyTorch {torch.__version__}, your kernel")
    found = []
    for which in ("kernel", "page"):
        engine.select_option(which)
        heard.clear()
        press(tab, "Run")
        tells(tab, "Stopped at the step asked for. Step 120.")
        found.append(curves(tab))
        assert ("advance" in heard) == (which == "kernel")
    assert found[0].keys() == found[1].keys()
    for at, losses in found[0].items():
        np.testing.assert_allclose(losses, found[1][at], **CLOSE)
    tab.wait_for_timeout(500)
    assert "#" not in tab.url


# --- using it --------------------------------------------------------------------------------


def test_it_runs_pauses_steps_and_starts_again_with_the_same_seed(tab):
    assert widget(tab).locator(".wd-badge").inner_text() == "trained in this page"
    press(tab, "Step")
    says(tab, "Step 1. Training loss")
    first = curves(tab)
    press(tab, "Run")
    tab.wait_for_function(
        "+document.querySelector('.wd-stats dd').textContent.replace(',', '') > 30"
    )
    press(tab, "Pause")
    tab.wait_for_timeout(300)
    paused = number(tab, "step")
    tab.wait_for_timeout(400)
    assert number(tab, "step") == paused
    press(tab, "Restart")
    says(tab, "Step 0.")
    press(tab, "Step")
    says(tab, "Step 1. Training loss")
    assert curves(tab) == first
    press(tab, "New seed")
    says(tab, "Step 0.")
    assert widget(tab).get_by_label("first seed").input_value() == "2"
    press(tab, "Step")
    says(tab, "Step 1. Training loss")
    assert curves(tab) != first


def test_it_stops_by_itself_at_rest_when_fitted_and_when_it_diverges(visit, site):
    fits = "#play.speed=0&play.lr=0.3"
    tab = show(visit(), site, fits)
    press(tab, "Run")
    tells(tab, "Stopped: the training loss")
    assert number(tab, "step") >= 100
    other = show(visit(), site, "#play.speed=0&play.lr=1000&play.loss=squared")
    press(other, "Run")
    tells(other, "Stopped: the loss has grown beyond all bounds (diverged)")
    rests(other)


def test_the_reader_scrubs_back_through_training_by_key(tab):
    for _ in range(12):
        press(tab, "Step")
    says(tab, "Step 12.")
    tab_to(tab, "[data-widget=w1] .wd-slider input[type=range]")
    tab.keyboard.press("Home")
    says(tab, "Step 0.")
    tab.keyboard.press("ArrowRight")
    says(tab, "Step 1.")
    field = widget(tab).get_by_label("step shown, as a number")
    field.fill("7")
    field.press("Enter")
    says(tab, "Step 7.")
    assert number(tab, "step") == 7
    press(tab, "Step")
    says(tab, "Step 13.")


def test_every_control_obeys_the_keys(tab):
    tab.set_default_timeout(5000)
    box = widget(tab)
    labels = box.locator(".wd-fields .wd-field label").filter(has_not_text="twin").all()
    assert len(labels) == 18
    for label in labels:
        # Each is marked, and the mark is explained: ● live, ↻ restarts.
        assert label.inner_text()[-1] in "●↻"
        field = box.locator(f"#{label.get_attribute('for')}")
        before = field.input_value()
        for key in ("ArrowUp", "ArrowDown"):  # downwards from the first of a list
            if field.input_value() == before:
                field.press(key)
        field.press("Tab")
        assert field.input_value() != before, label.inner_text()
    tab.wait_for_function("location.hash.split('&').length >= 18")
    press(tab, "Back to the start")
    says(tab, "Step 0.")
    tab.wait_for_url(re.compile(r"html$"))


def test_units_are_walked_through_and_layers_grow_by_key(tab):
    tab_to(tab, "[data-widget=w1] [role=gridcell]")
    says(tab, "The output is chosen")
    for key, words in [
        ("ArrowUp", "Layer 1, unit 1 is chosen"),
        ("End", "Layer 1, unit 3 is chosen"),
        ("ArrowUp", "Input x₂ is chosen"),
        ("ArrowLeft", "Input x₁ is chosen"),
        ("ArrowLeft", "The output is chosen"),
        ("ArrowRight", "Layer 1, unit 1 is chosen"),
        ("Home", "Layer 1, unit 1 is chosen"),
        ("ArrowUp", "Input x₁ is chosen"),
    ]:
        tab.keyboard.press(key)
        says(tab, words)
    # Input x1 of two clouds at -1.1 and 1.1, spread 0.15: its correlation with the label is
    # 1.1 / sqrt(1.1^2 + 0.15^2) = 0.99.
    says(tab, "correlation 0.99 with the label")
    box = widget(tab)
    comes_to(tab, "parameters", 3 * 3 + 4)
    press(tab, "one more unit in layer 1")
    assert box.get_by_role("gridcell").count() == 2 + 4 + 1
    press(tab, "Add a layer")
    assert box.get_by_role("row").count() == 4
    says(tab, "Input x₁ is chosen")
    comes_to(tab, "parameters", 4 * 3 + 4 * 5 + 5)
    assert number(tab, "multiply-adds") == 8 + 16 + 4
    press(tab, "Remove a layer")
    tab.wait_for_url("**#play.widths=4")


def test_twins_differ_in_one_setting_and_step_together(tab):
    gate = widget(tab, 1)
    assert not gate.get_by_role("button", name="Run", exact=True).is_visible()
    gate.get_by_role("radio", name="A", exact=True).press("Space")
    gate.get_by_role("button", name="Show the measurement").press("Enter")
    gate.get_by_text("You predicted: A. Measured: A, as you said.").wait_for()
    tells(tab, "Stopped at the step asked for. Step 400. A, learning rate 0.1: training loss", n=1)
    kept = curves(tab, 1)
    steps = {run: [s for r, s in kept if r == run] for run in "AB"}
    assert steps["A"] == steps["B"]
    # The same first weights and data; then what the answer says.
    assert kept["A", 0] == kept["B", 0]
    assert np.mean(kept["A", 400]) < np.mean(kept["B", 400])
    gate.get_by_label("the twin differs in").select_option("activation")
    says(tab, "A, non-linearity ReLU: training loss", n=1)
    gate.get_by_label("in the twin (B)").select_option("linear")
    says(tab, "B, non-linearity none (linear)", n=1)
    gate.get_by_label("the twin differs in").select_option("")
    says(tab, "Step 0. Training loss", n=1)


def test_the_address_gives_the_same_widget(tab, visit, site):
    box = widget(tab)
    box.get_by_label("data").select_option("moons")
    box.get_by_label("the twin differs in").select_option("dropout")
    tab.wait_for_url("**#play.data=moons&play.twin=dropout%3A0.1")
    press(tab, "Step")
    says(tab, "Step 1.")
    other = show(visit(), site, "#play.data=moons&play.twin=dropout%3A0.1")
    says(other, "A, dropout none")
    press(other, "Step")
    says(other, "Step 1.")
    assert curves(other) == curves(tab)
    nonsense = visit()
    says(show(nonsense, site, "#play.lr=x&play.widths=99&play.data=pasted&play.twin=seeds:1"),
         "Step 0. Training loss")  # fmt: skip
    assert nonsense.seen == []


def test_pasted_points_train_and_errors_have_one_line(tab):
    box = widget(tab)
    box.get_by_text("Paste data of your own").click()
    area = box.get_by_label("A line for each point")
    for text, error in [
        ("1,2", "Line 1 has 2 values, expected three: x1, x2, label."),
        ("1,2,a\nx,2,b", 'Line 2 begins with "x, 2", expected two numbers.'),
        ("1,2,a\n2,1,b\n3,3,c", 'Line 3 has a third label, "c", expected two: a, b.'),
        ("1,2,a\n2,1,b", "There are 2 points, expected 8 to 2,000."),
        ("\n".join(f"{n},{n},a" for n in range(9)), 'All points have the label "a", expected two'),
        ("\n".join(f"{n},5,{n % 2}" for n in range(9)), "All points have x2 = 5, expected"),
    ]:
        area.fill(text)
        press(tab, "Use these points")
        assert box.get_by_role("alert").inner_text().startswith(error)
    area.fill("\n".join(f"{n},{n % 5},{'yes' if n > 9 else 'no'}" for n in range(20)))
    press(tab, "Use these points")
    assert box.locator(".wd-error").text_content() == ""
    assert box.get_by_label("data", exact=False).first.input_value() == "pasted"
    box.get_by_label("speed").select_option("0")
    press(tab, "Run")
    tells(tab, "test error 0%")


# --- for everyone, and for nobody ------------------------------------------------------------


def test_nobody_looking_no_work(tab):
    steps = "() => +document.querySelector('.wd-stats dd').textContent.replaceAll(',', '')"
    widget(tab).get_by_label("stop at step").select_option("30000")
    press(tab, "Run")
    tab.wait_for_function(f"({steps})() > 10")
    for away, back in [
        ("scrollTo({top: 1e6, behavior: 'instant'})", "scrollTo({top: 0, behavior: 'instant'})"),
        (
            "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange'))",
            "delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))",
        ),
    ]:
        tab.evaluate(away)
        tab.wait_for_timeout(500)
        before = tab.evaluate(steps)
        tab.wait_for_timeout(700)
        assert tab.evaluate(steps) == before
        tab.evaluate(back)
        tab.wait_for_function(f"({steps})() > {before}")


def test_readers_who_ask_for_less_motion_see_it_move_seldom(visit, site):
    for wish in ("no-preference", "reduce"):
        quiet = visit()
        quiet.page.emulate_media(reduced_motion=wish)
        quiet.page.add_init_script("""
          const real = CanvasRenderingContext2D.prototype.putImageData;
          window.painted = new Set();
          CanvasRenderingContext2D.prototype.putImageData = function (...all) {
            window.painted.add(Math.round(performance.now() / 20));
            return real.apply(this, all);
          };""")
        tab = show(quiet, site)
        widget(tab).get_by_label("speed").select_option("50")
        press(tab, "Run")
        if wish == "reduce":
            tab.wait_for_timeout(500)
            tab.evaluate("painted.clear()")
            tab.wait_for_timeout(4000)
            assert tab.evaluate("painted.size") <= 4
        else:
            # On a busy machine as well, if not at once: more than twelve within four seconds.
            tab.wait_for_function(
                "[...painted].some((at, i, all) => at - all[i - 12] < 200)", timeout=60_000
            )
        # And nothing begins to move because a question was answered.
        widget(tab, 1).get_by_role("button", name="Skip the question").click()
        moves = widget(tab, 1).get_by_role("button", name="Run", exact=True).count() == 0
        assert moves == (wish == "no-preference") or number(tab, "step", 1) > 0


def test_where_a_page_may_have_no_worker_it_trains_between_frames(visit, site):
    refused = "window.Worker = class { constructor() { throw new Error('refused'); } };"
    later = """window.Worker = class {
      constructor() { setTimeout(() => this.onerror(new Event('error')), 50); }
      postMessage() {}
      terminate() {}
    };"""
    for policy in (refused, later):
        tab = visit()
        tab.page.add_init_script(policy)
        page = show(tab, site, "#play.stop_at=300")
        press(page, "Run")
        tells(page, "Stopped at the step asked for. Step 300.")
        assert tab.seen == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 1100), ("light", 320)])
def test_axe_finds_nothing_and_nothing_is_wider(scheme, width, visit, site):
    seen = visit(scheme=scheme, width=width)
    tab = show(seen, site)
    assert violations(tab, within=".widget-frame") == []
    widget(tab, 1).get_by_role("button", name="Skip the question").click()
    for n in range(3):
        for summary in widget(tab, n).locator("summary").all():
            if summary.locator("..").get_attribute("open") is None:
                summary.click()
    tells(tab, "Stopped at the step asked for", n=1)
    assert violations(tab, within=".widget-frame") == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width, tab.evaluate(
        WIDER_THAN_THE_SCREEN
    )
    assert seen.seen == []


def test_the_page_answers_while_it_trains(tab):
    # A network for which each step takes its time, as fast as it goes, and with no end in sight.
    for name, value in (("data", "rings"), ("speed", "0"), ("stop at step", "30000")):
        widget(tab).get_by_label(name, exact=False).first.select_option(value)
    for _ in range(5):
        press(tab, "Add a layer")
    assert widget(tab).get_by_role("row").count() == 8
    press(tab, "Run")
    steps = "() => +document.querySelector('.wd-stats dd').textContent.replaceAll(',', '')"
    tab.wait_for_function(f"({steps})() > 10")
    assert tab.workers  # they train: the page itself is free for its reader
    before = tab.evaluate(steps)
    tab_to(tab, "[data-widget=w1] [role=gridcell]")
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowUp")
    says(tab, "Layer 6, unit 1 is chosen")
    # A quick machine may have come to the end by now; what counts is that both went on.
    tab.wait_for_function(f"({steps})() > {before}")
