"""Bundling: one ES module of a widget's modules, in Python, so that a reader needs no Node.

What of ES modules is known here, each on lines of its own and at their beginning:

    import { a, b as c } from "./file.js";      names that another module exports
    import TEXT from "./file.py";               the text of a file that is no module
    export function f / async function / class / const x = …
    export default …;                           last in the entry, and there only
    new URL("./worker.js", import.meta.url)     the address of a Worker's script

Every module becomes a function of the modules that it imports, which gives what it exports: names
of one file are not those of another, and each is run once, after those that it needs. A Worker's
script is made, when it is asked for, of the texts of the same functions: nothing is shipped twice.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

IMPORT = re.compile(r'^import \{([^{}]*)\} from "(\.\.?/[^"]+\.js)";$', re.M)
TEXT = re.compile(r'^import (\w+) from "(\.\.?/[^"]+)(?<!\.js)";$', re.M)
EXPORT = re.compile(r"^export (?=(?:(?:async )?function\*?|class|const) ([\w$]+))", re.M)
DEFAULT = re.compile(r"^export default (?=[^;]*;\s*\Z)", re.M)
WORKER = re.compile(r'new URL\("(\.\.?/[^"]+\.js)", import\.meta\.url\)')
NAME = re.compile(r"([\w$]+)(?: as ([\w$]+))?")
# At the beginning of a line, or at its end where no string can hold what looks like one.
COMMENT = re.compile(r"^\s*(?://.*|/\*\*(?s:.*?)\*/)?|[ \t]+// [^\"`\n]*$", re.M)
# What the forms above have not taken away, and what would bind a name that nothing exports.
UNKNOWN = re.compile(
    r"^(?:import\b|export\b).*|^.*\bimport\.meta\b.*|^.*(?<![\w.$])import *\(.*", re.M
)


class BadModule(ValueError):
    """A module that cannot be bundled; the message names it."""


def bundle(entry: Path) -> str:
    """The one module that ``entry`` and what it imports make; the same text on every call.

    BadModule names a missing file, a circle, an import of what is not exported, or syntax that is
    not among the forms above.
    """
    modules = _Modules(entry.parent)
    last = modules.add(entry)
    if "default: $default" not in modules.exports[last]:
        raise BadModule(f"{entry.name} has no default export at its end, expected one")
    functions = "\n".join(modules.functions.values())
    return f"{functions}\n{modules.starts(last)}\nexport default {last}.default;\n"


def slim(code: str) -> str:
    """JavaScript without indentation and comments, for a page."""
    return re.sub(r"\n{2,}", "\n", COMMENT.sub("", code)).strip()


class _Modules:
    """The modules found so far, each after those it imports; by the names they get in the bundle.

    A module's name is that of its file and its place in line: ``chart_7``; its function, which is
    given what it ``needs`` and gives what it ``exports``, is ``$chart_7``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: dict[Path, str] = {}
        self.functions: dict[str, str] = {}
        self.needs: dict[str, list[str]] = {}
        self.exports: dict[str, list[str]] = {}
        self.open: list[Path] = []

    def add(self, path: Path) -> str:
        """Take in module ``path`` and what it imports; its name."""
        path = Path(os.path.normpath(path))
        if path in self.open:
            circle = " -> ".join(map(self._called, [*self.open[self.open.index(path) :], path]))
            raise BadModule(f"modules import each other in a circle: {circle}")
        if path not in self.names:
            code = slim(self._read(path))
            self.names[path] = re.sub(r"\W", "_", f"{path.stem}_{len(self.names) + 1}")
            self.open.append(path)
            self._take(path, code)
            self.open.pop()
        return self.names[path]

    def _take(self, path: Path, code: str) -> None:
        name, needs = self.names[path], {}

        def names_of(match: re.Match[str]) -> str:
            source = self.add(path.parent / match[2])
            needs.setdefault(source, []).extend(self._taken(path, match[2], source, match[1]))
            return ""

        def text_of(match: re.Match[str]) -> str:
            return f"const {match[1]} = {json.dumps(self._read(path.parent / match[2]))};"

        def worker_of(match: re.Match[str]) -> str:
            return self._script(self.add(path.parent / match[1]))

        code = TEXT.sub(text_of, IMPORT.sub(names_of, code))
        exports = EXPORT.findall(code)
        code = WORKER.sub(worker_of, EXPORT.sub("", code))
        if path == self.open[0]:
            code, found = DEFAULT.subn("const $default = ", code)
            exports += ["default: $default"] * found
        if unknown := UNKNOWN.search(code):
            raise BadModule(
                f"{self._called(path)}: {unknown[0][:60]!r} is not known to the bundler"
            )
        self.needs[name], self.exports[name] = [*needs], exports
        given = ", ".join(f"{{ {', '.join(names)} }}" for names in needs.values())
        self.functions[name] = (
            f"function ${name}({given}) {{\n{code.strip()}\nreturn {{ {', '.join(exports)} }};\n}}"
        )

    def _taken(self, path: Path, spelled: str, source: str, listed: str) -> list[str]:
        """The names in the braces of an import, as they stand where an object is taken apart."""
        found = []
        for part in filter(None, map(str.strip, listed.split(","))):
            match = NAME.fullmatch(part)
            if not match or match[1] not in self.exports[source]:
                raise BadModule(
                    f"{self._called(path)} imports {part!r} from {spelled}, "
                    "which does not export it"
                )
            found.append(f"{match[1]}: {match[2]}" if match[2] else match[1])
        return found

    def starts(self, name: str) -> str:
        """The calls that start module ``name`` and, before it, those that it needs."""
        return "\n".join(
            f"const {each} = ${each}({', '.join(self.needs[each])});" for each in self._line(name)
        )

    def _line(self, name: str) -> list[str]:
        """Module ``name`` after all that it needs, each once."""
        before = (each for need in self.needs[name] for each in self._line(need))
        return [*dict.fromkeys(before), name]

    def _script(self, name: str) -> str:
        """An expression for the address of a script of module ``name`` and all that it needs."""
        functions = ", ".join(f"${each}" for each in self._line(name))
        text = f"['\"use strict\";', {functions}, {json.dumps(self.starts(name))}].join('\\n')"
        return f"new URL(URL.createObjectURL(new Blob([{text}], {{ type: 'text/javascript' }})))"

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            asking = f", which {self._called(self.open[-1])} imports" if self.open else ""
            raise BadModule(f"there is no {self._called(path)}{asking}") from None

    def _called(self, path: Path) -> str:
        return Path(os.path.relpath(path, self.root)).as_posix()
