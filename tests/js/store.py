"""What the Playground's networks do in PyTorch, for engine.test.js to hold the engine to.

    python tests/js/store.py        writes engine.json beside this file

tests/test_playground.py finds out whether what is written is still what PyTorch does.
"""

import json
from pathlib import Path

import torch
from whydeep.widgets.playground import DEFAULTS, _Run

STORED = Path(__file__).with_name("engine.json")
EVERY, STEPS = 20, 200
# Two numbers and a label, as a reader may paste them.
GIVEN = [[n % 7 / 3 - 1, n * n % 11 / 5 - 1, (-1) ** (n // 2)] for n in range(60)]
SETTINGS = {
    "defaults": {},
    "relu": {"data": "moons", "activation": "relu", "loss": "squared", "lr": 0.02,
             "widths": [8, 3]},
    "sigmoid": {"data": "xor", "activation": "sigmoid", "momentum": 0.9, "weight_decay": 0.001},
    "linear": {"data": "blobs", "activation": "linear", "inputs": "products", "widths": []},
    "dropout": {"data": "spirals", "dropout": 0.3, "max_norm": 1.5, "label_noise": 0.25,
                "widths": [6, 5, 4]},
    "divided": {"data": "pasted", "batch_size": 0, "lr": 0.5, "divide_at": 60, "examples": 25},
}  # fmt: skip


def curve(changes):
    """Losses and errors of two networks every 20 of 200 steps, and their weights at the end."""
    run = _Run(DEFAULTS | {"seeds": 2, "seed": 5} | changes, GIVEN)
    moments = []
    for step in range(STEPS + 1):
        if step % EVERY == 0:
            look = run.look()
            names = ("epoch", "train", "test", "trainError", "testError", "weightSizes")
            moments.append({name: look[name] for name in names})
        run.step()
    # One step beyond the last moment.
    weights = [torch.cat([p.flatten() for p in net.parameters]).tolist() for net in run.networks]
    return {"settings": run.settings, "moments": moments, "weights": weights}


def numbers():
    """All that is stored."""
    curves = {name: curve(changes) for name, changes in SETTINGS.items()}
    return {"defaults": DEFAULTS, "given": GIVEN, "every": EVERY, "curves": curves}


if __name__ == "__main__":
    STORED.write_text(json.dumps(numbers()) + "\n", encoding="utf-8")
