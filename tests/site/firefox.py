# Debian's own Firefox over WebDriver BiDi, the W3C's protocol that it speaks by itself: Playwright
# needs a Firefox of its own, which is a download, and other clients a driver beside the browser.
import contextlib
import json
import os
import re
import shutil
import subprocess
import time

from websockets.sync.client import connect

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
NOWHERE = "127.0.0.1:9"  # the port of "discard", where nobody listens
KEYS = {"End": "\ue010", "Home": "\ue011", "ArrowRight": "\ue014", "Enter": "\ue006", "Space": " "}
SAFE = re.compile(r"(file|data|blob|about|resource|chrome|moz-extension):")


class Firefox:
    """A tab of Firefox, with every request to the network sent to where nobody listens.

    ``seen`` notes requests to other machines, script errors and errors on the console.
    """

    def __init__(self, socket):
        """``socket`` leads to a Firefox that nobody drives yet."""
        self.socket = socket
        self.seen: list[str] = []
        self.last = 0
        proxy = {"proxyType": "manual", "httpProxy": NOWHERE, "sslProxy": NOWHERE}
        self.send("session.new", capabilities={"alwaysMatch": {"proxy": proxy}})
        self.send("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        # The tab that Firefox starts with never gets the focus, without which buttons have no keys.
        self.tab = self.send("browsingContext.create", type="tab")["context"]

    def send(self, method, **parameters):
        """The answer to a command; what happens meanwhile is noted."""
        self.last += 1
        self.socket.send(json.dumps({"id": self.last, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=60))
            if message["type"] == "event":
                self._note(message["method"], message["params"])
            elif message["id"] == self.last:
                assert message["type"] == "success", (method, message)
                return message["result"]

    def _note(self, event, what):
        if event == "log.entryAdded" and what["level"] == "error":
            self.seen.append(f"{what['type']} error: {what['text']}")
        if event == "network.beforeRequestSent" and not SAFE.match(what["request"]["url"]):
            self.seen.append(f"external request: {what['request']['url']}")

    def open(self, url):
        """Open ``url`` anew and wait until it is loaded."""
        for address in ("about:blank", url):
            self.send("browsingContext.navigate", context=self.tab, url=address, wait="complete")

    def resize(self, width, height):
        """Make the tab's viewport so many CSS pixels large."""
        size = {"width": width, "height": height}
        self.send("browsingContext.setViewport", context=self.tab, viewport=size)

    def evaluate(self, expression):
        """The value of a JavaScript expression, as JSON has it."""
        answer = self.send(
            "script.evaluate",
            expression=f"JSON.stringify({expression})",
            target={"context": self.tab},
            awaitPromise=False,
        )
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return json.loads(answer["result"].get("value", "null"))

    def press(self, element, key):
        """Press ``key`` on the element that a JavaScript expression gives."""
        self.evaluate(f"{element}.focus()")
        steps = [{"type": kind, "value": KEYS[key]} for kind in ("keyDown", "keyUp")]
        self._act({"type": "key", "id": "keys", "actions": steps})

    def click(self, element):
        """Click the middle of the element that a JavaScript expression gives."""
        self.evaluate(f"{element}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.evaluate(f"{element}.getBoundingClientRect()")
        middle = {"x": round(box["x"] + box["width"] / 2), "y": round(box["y"] + box["height"] / 2)}
        steps = [{"type": "pointerMove"} | middle] + [
            {"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")
        ]
        self._act({"type": "pointer", "id": "mouse", "actions": steps})

    def _act(self, source):
        self.send("input.performActions", context=self.tab, actions=[source])


@contextlib.contextmanager
def running(folder):
    """A Firefox with a new profile and a home in ``folder``, ended when the context ends."""
    assert FIREFOX, "there is no Firefox: run `make system` first"
    log = folder / "firefox.log"
    (folder / "profile").mkdir()
    command = [FIREFOX, "--headless", "--no-remote", "--remote-debugging-port=0", "--profile"]
    with (
        log.open("w") as out,
        subprocess.Popen(
            [*command, folder / "profile", "about:blank"],
            stdout=out,
            stderr=out,
            env=os.environ | {"HOME": str(folder)},
        ) as process,
    ):
        try:
            told = wait(lambda: re.search(r"BiDi listening on (ws://\S+)", log.read_text()), 60)
            with connect(f"{told[1]}/session", max_size=None, proxy=None) as socket:
                yield Firefox(socket)
        finally:
            process.terminate()


def wait(condition, seconds=10):
    """What ``condition()`` gives as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.05)
    return found
