"""Second puzzle: a function that several steps write concisely, and one wide step does not.

LeCun's second question is why several layers help; his hint is that they let complicated functions
be written more concisely, though nobody has the full answer ({cite}`lecun2016`). The classical case
is parity, whether an odd number of N bits is 1. As one wide step, an OR of ANDs, it takes 2^(N - 1)
terms: we find them all by enumeration. As a tree of XORs it takes 4 (N - 1) gates, in log2 N rows.

What would refute it: an OR of fewer ANDs, or a tree that errs on one of the 2^N inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from whydeep.chance import Chance
from whydeep.evidence.claims import HOLDS, Claim, Condition, Control, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, panels

PAGE = "three-puzzles/three-puzzles"
Implicant = tuple[int, int]
"""An AND of some bits or their negations: (mask of the bits it looks at, values they must have)."""
Bits = Bool[np.ndarray, " inputs"]


@dataclass(frozen=True)
class Settings:
    """``function`` is "parity" or "and", of 2, 4, ..., ``largest`` bits.

    ``gate`` joins two branches of the tree: "xor", "and", or, as a mutation, "or", which is XOR
    without its second half. The seed draws which bits the tree pairs.
    """

    function: str = "parity"
    gate: str = "xor"
    largest: int = 8


SCALES = {"quick": Settings()}
VARIANTS = {"and": {"function": "and", "gate": "and"}, "half-a-gate": {"gate": "or"}}
FUNCTIONS: dict[str, Callable[..., Any]] = {  # of bits (inputs, N)
    "parity": lambda bits: bits.sum(1) % 2 == 1,
    "and": lambda bits: bits.all(1),
}


def inputs(N: int) -> Bool[np.ndarray, "inputs N"]:
    """All 2^N strings of N bits; row i holds the binary digits of i, the lowest first."""
    return (np.arange(2**N)[:, None] >> np.arange(N) & 1).astype(bool)


def prime_implicants(accepted: set[int], N: int) -> set[Implicant]:
    """All ANDs that imply the function and cannot be shortened (Quine and McCluskey).

    ``accepted`` holds the inputs on which the function is true, as numbers. Two ANDs that differ
    in the value of one bit merge into one without that bit; what merges with nothing is prime.
    """
    current = {(2**N - 1, value) for value in accepted}
    prime = set()
    while current:
        merged, used = set(), set()
        for mask, value in current:
            for i in range(N):
                bit = 1 << i
                if mask & bit and (mask, value ^ bit) in current:
                    merged.add((mask & ~bit, value & ~bit))
                    used.add((mask, value))
        prime |= current - used
        current = merged
    return prime


def essential(primes: set[Implicant], accepted: set[int]) -> set[Implicant]:
    """The ANDs that no OR of ANDs can do without: each alone covers some accepted input."""
    covers = {x: [(mask, value) for mask, value in primes if x & mask == value] for x in accepted}
    return {found[0] for found in covers.values() if len(found) == 1}


def or_of_ands(terms: set[Implicant], N: int) -> Bits:
    """The truth table of the OR of these ANDs."""
    x = np.arange(2**N)
    table = np.zeros(2**N, dtype=bool)
    for mask, value in terms:
        table |= x & mask == value
    return table


def xor(a: Bits, b: Bits) -> tuple[Bits, int]:
    """One or the other but not both, from OR, AND and NOT; and the number of gates."""
    return (a | b) & ~(a & b), 4


GATES: dict[str, Callable[[Bits, Bits], tuple[Bits, int]]] = {
    "xor": xor,
    "and": lambda a, b: (a & b, 1),
    "or": lambda a, b: (a | b, 1),
}


def tree(bits: Bool[np.ndarray, "inputs N"], gate: str) -> tuple[Bits, int, int]:
    """Join neighbouring columns until one is left: its truth table, the gates, the rows."""
    branches, gates, rows = list(bits.T), 0, 0
    while len(branches) > 1:
        joined = []
        for a, b in zip(branches[::2], branches[1::2], strict=False):
            table, count = GATES[gate](a, b)
            joined.append(table)
            gates += count
        branches = joined + branches[len(joined) * 2 :]
        rows += 1
    return branches[0], gates, rows


def run(settings: Settings, chance: Chance) -> Result:
    """Terms of the smallest OR of ANDs, gates of the tree, and inputs on which either errs.

    ``off`` is how far the number of terms is from 2^(N - 1), at most. The terms are the essential
    ANDs, which every OR of ANDs must have: where ``wrong_flat`` is 0 they cover the function, and
    no smaller one exists. Nothing is random but the order in which the tree takes its bits.
    """
    sizes = np.arange(2, settings.largest + 1, 2)
    rng = chance.numpy()
    terms, gates, rows, wrong_flat, wrong_tree = [], [], [], [], []
    for N in sizes:
        bits = inputs(int(N))
        truth = FUNCTIONS[settings.function](bits)
        accepted = set(np.flatnonzero(truth).tolist())
        needed = essential(prime_implicants(accepted, int(N)), accepted)
        table, count, depth = tree(bits[:, rng.permutation(N)], settings.gate)
        terms.append(len(needed))
        gates.append(count)
        rows.append(depth)
        wrong_flat.append(int((or_of_ands(needed, int(N)) != truth).sum()))
        wrong_tree.append(int((table != truth).sum()))
    return Result(
        N=(sizes, "bits"),
        terms=(terms, "ANDs"),
        gates=(gates, "gates"),
        rows=(rows, "rows of joins"),
        off=(max(abs(t - 2 ** (N - 1)) for t, N in zip(terms, sizes, strict=True)), "ANDs"),
        wrong_flat=(max(wrong_flat), "inputs"),
        wrong_tree=(max(wrong_tree), "inputs"),
        gain=(terms[-1] / gates[-1], "ANDs a gate"),
    )


def _gates_off(result: Result) -> float:
    """How far the number of gates is from 4(N - 1), at most over the numbers of bits."""
    return float(np.abs(result["gates"] - 4 * (result["N"] - 1)).max())


CLAIMS = (
    Claim(
        id="lecun2016-depth-concise", cite="lecun2016", kind="exact", expected=HOLDS,
        title="Can several steps say more briefly what one step can?",
        says="Several layers help to write complicated functions more concisely (the second "
        "thought); the textbook's example is the parity of $N$ bits, which takes $2^{N-1}$ ANDs "
        "under one OR, and $4(N-1)$ gates as a tree.",
        tested="Parity of 2, 4, 6 and 8 bits: the smallest OR of ANDs by enumeration, and a tree "
        "of XORs, both checked on all inputs.",
        so="At 8 bits one wide step takes {num}`three-puzzles/depth-writes-parity terms[-1] .0f` "
        "ANDs, the tree {num}`three-puzzles/depth-writes-parity gates[-1] .0f` gates.",
        caveat="It is one function and one kind of parts: 8 threshold units in one layer write the "
        "same parity, and the AND of all bits is as brief in one step. LeCun says that why several "
        "layers help is not understood.",
        paper=(
            ("LeCun's answer", "no number", "the second question"),
            ("parity as an OR of ANDs; as a tree", "$2^{N-1}$; $4(N-1)$", "textbook fact"),
        ),
        decides=(
            at_most("off", "the smallest OR of ANDs has $2^{N-1}$ terms, for every $N$", 0.0,
                    because="a count"),
            Condition("gates_off", "the tree has $4(N-1)$ gates, for every $N$", _gates_off, "<=",
                      0.0, "gates", because="a count"),
            at_most("wrong_tree", "the tree is right on every input", 0.0, because="a count"),
        ),
        controls=(
            Control(
                "and", "what makes parity hard to write flat, that every single bit can turn it: "
                "the AND of all bits, by the same two procedures", ("off", "gates_off"),
                (
                    at_most("wrong_tree", "its tree is right on every input", 0.0),
                    at_most("wrong_flat", "its OR of ANDs is right on every input", 0.0),
                ),
            ),
            Control(
                "half-a-gate", "half of each XOR: its OR alone", ("wrong_tree", "gates_off"),
                (at_most("wrong_flat", "the OR of ANDs is still right", 0.0),),
            ),
        ),
        limits="That few parts suffice to write a function does not say that training finds "
        "them {cite}`malach2021`.",
        changes=("At least four ANDs a gate at 8 bits was an arbitrary bound on a count; the count "
                 "of gates itself, $4(N-1)$ for every $N$, decides in its place (stricter).",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Parts of the flat form and of the tree against the number of bits, on the theory's curves."""
    result = next(iter(runs[MAIN].values()))
    N = result["N"]
    more = np.linspace(2, 20, 100)
    with panels(size=(6.4, 3.6)) as (drawn, axes):
        axes.plot(N, result["terms"], ls="none", ms=7, label="one wide step: ANDs under one OR")
        axes.plot(N, result["gates"], ls="none", ms=7, label="a tree of XORs: gates")
        axes.plot(more, 2 ** (more - 1), **figures.THEORY, label="$2^{N-1}$ and $4(N-1)$")
        axes.plot(more, 4 * (more - 1), **figures.THEORY)
        axes.set(yscale="log", xlabel="bits $N$", ylabel="parts", xticks=range(2, 21, 2))
        axes.legend(loc="upper left")
    return figures.Figure(
        drawn,
        label="fig-parts",
        caption="The parts that parity of $N$ bits takes, found by enumeration (markers), and the "
        "formulas for any $N$ (dashed). "
        f"At {int(N[-1])} bits one wide step needs {int(result['terms'][-1])} ANDs and the tree "
        f"{int(result['gates'][-1])} gates; at 20 bits the formulas say {2**19:,} and {4 * 19}.",
        alt="Parts on a logarithmic axis against bits. The number of ANDs climbs along a straight "
        "dashed line, doubling with every bit; the number of gates flattens along a dashed curve. "
        "They cross near five bits and are thousands of times apart at twenty.",
    )
