"""All chance of the book: one list of streams, and `Chance`, made once from a seed at the door.

Each use of chance has a generator of its own, so that a change in one use leaves the others alone:

    chance = Chance(3)
    chance["init"], chance["order"]   # torch generators for two uses; no number is in both
    chance.torch(), chance.numpy()    # for a run that has one use of chance only
    chance.members(4)                 # four independent ones, for four networks

A `Chance` holds no state: asked twice, it gives the same stream from its start. No other module
makes a generator from a seed (tests/test_chance.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

# A new use goes to the end: the order is part of what a seed means.
STREAMS = ("init", "order", "labels", "dropout", "images")


class Chance:
    """Everything random of one run, from one seed of 0 or more."""

    def __init__(self, seed: int | np.random.SeedSequence):
        given = isinstance(seed, np.random.SeedSequence)
        self._root = seed if given else np.random.SeedSequence(seed)

    @property
    def seed(self) -> int:
        """The seed that the reader chose, for what takes a seed as such (scikit-learn)."""
        return self._root.entropy

    def __repr__(self) -> str:
        place = "".join(f".members()[{i}]" for i in self._root.spawn_key)
        return f"Chance({self.seed}){place}"

    def __getitem__(self, stream: str) -> torch.Generator:
        """The generator, on the CPU, for one of `STREAMS`, at its start. KeyError for another."""
        if stream not in STREAMS:
            raise KeyError(f"no stream of chance is called {stream!r}: choose from {STREAMS}")
        state = self._child(STREAMS.index(stream)).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(state))

    def torch(self) -> torch.Generator:
        """The one generator of a run that draws everything from it, on the CPU."""
        member = self._root.spawn_key
        state = int(self._root.generate_state(1)[0]) if member else self.seed
        return torch.Generator().manual_seed(state)

    def numpy(self, *place: int) -> np.random.Generator:
        """The same for NumPy; ``place`` tells apart several (a size, a dimension)."""
        entropy = [self.seed, *place] if place else self.seed
        root = np.random.SeedSequence(entropy, spawn_key=self._root.spawn_key)
        return np.random.default_rng(root)

    def members(self, k: int) -> list[Chance]:
        """K independent ones; the first are the same whatever K is."""
        return [Chance(self._child(i)) for i in range(k)]

    def _child(self, i: int) -> np.random.SeedSequence:
        """What `SeedSequence.spawn` returns as its i-th, without counting the spawns."""
        return np.random.SeedSequence(self._root.entropy, spawn_key=(*self._root.spawn_key, i))


def chances(seeds: Sequence[int | Chance]) -> list[Chance]:
    """A Chance for each seed; what is one already stays."""
    return [seed if isinstance(seed, Chance) else Chance(seed) for seed in seeds]
