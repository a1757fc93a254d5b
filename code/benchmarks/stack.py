"""How fast the book trains a stack of K networks, beside a plain PyTorch loop and beside JAX.

All solve the same problem: the same K starting networks, the same batches in the same order,
the same number of SGD steps, on the same cores. They must agree in their losses, or the run fails.

* ours: `whydeep.descent.train`, everything included (making the networks, drawing the batches).
* vmap: the same with each network's own formula, batched by `torch.func.vmap`: what `train` does
  with networks that have no shorter way.
* loop: one network after another, `torch.nn.Sequential` and `torch.optim.SGD`, likewise included.
  Its images lie in memory as PyTorch has them by default; ours lie with the channels last.
* jax:  `jit(vmap(scan))`. It gets weights and batch order ready-made; compiling is timed apart.

The repeats are interleaved and the fastest of each counts, so that a busy moment of
the machine does not fall on one of them alone; what takes over 20 s is not repeated.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

# Before torch and JAX count the cores: both then keep to as many as they are allowed.
THREADS = argparse.ArgumentParser(add_help=False)
THREADS.add_argument("--threads", type=int, default=1, help="cores to use (default 1)")
_threads = THREADS.parse_known_args()[0].threads if __name__ == "__main__" else None
if _threads:
    os.environ["OMP_NUM_THREADS"] = str(_threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_threads])

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from whydeep import device as devices  # noqa: E402
from whydeep.chance import Chance  # noqa: E402
from whydeep.descent import train  # noqa: E402
from whydeep.errors import WhydeepError  # noqa: E402
from whydeep.networks import Convolutional, Dense, Network  # noqa: E402

LR = 0.05
# kind -> (network, shape of an example, classes, examples, batch size, steps)
PROBLEMS = {
    "dense": (partial(Dense, (2, 32, 32, 2)), (2,), 2, 256, 32, 200),
    "convolutional": (
        partial(Convolutional, (1, 28, 28), channels=(8, 16)),
        (1, 28, 28),
        10,
        256,
        64,
        8,
    ),
}


def data(shape: tuple[int, ...], classes: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gaussian examples; the label is the sector of the plane of their first two numbers.

    With two classes, opposite quadrants share a label: no line separates them.
    """
    x = torch.randn(n, *shape, generator=torch.Generator().manual_seed(0))
    angle = torch.atan2(*x.flatten(1)[:, :2].T) / torch.pi + 1
    return x, (angle * (2 if classes == 2 else classes / 2)).long() % classes


# --- The contenders: each returns the loss of every step, (k, steps) ----------------------


def vmapped(problem, k: int, steps: int, device: torch.device) -> np.ndarray:
    network, *rest = problem
    long_way = type("LongWay", (network.func,), {"stacked_features": None})
    return ours((partial(long_way, *network.args, **network.keywords), *rest), k, steps, device)


def ours(problem, k: int, steps: int, device: torch.device) -> np.ndarray:
    network, shape, classes, n, batch, _ = problem
    x, y = data(shape, classes, n)
    trained = train(
        network,
        x,
        y,
        seeds=range(k),
        steps=steps,
        batch_size=batch,
        lr=LR,
        device=device,
        progress=False,
    )
    return trained.batch_loss.cpu().numpy()


def plain(network: Network) -> nn.Sequential:
    """The same network, with the same weights, as one would write it without this book."""
    layers: list[nn.Module] = []
    for layer in network.layers.values():
        layers += [layer, nn.ReLU()]
        if isinstance(layer, nn.Conv2d):
            layers.append(nn.MaxPool2d(2))
    if isinstance(network, Convolutional):
        layers.append(nn.Flatten())
    return nn.Sequential(*layers, network.classifier)


def loop(problem, k: int, steps: int, device: torch.device) -> np.ndarray:
    make, shape, classes, n, batch, _ = problem
    x, y = (t.to(device) for t in data(shape, classes, n))
    losses = torch.empty(k, steps, device=device)
    for seed in range(k):
        network = plain(make(generator=Chance(seed)["init"])).to(device)
        optimizer = torch.optim.SGD(network.parameters(), lr=LR)
        chance = Chance(seed)["order"]
        for step in range(steps):
            first = step * batch % n
            if first == 0:
                order = torch.randperm(n, generator=chance).to(device)
            rows = order[first : first + batch]
            loss = nn.functional.cross_entropy(network(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[seed, step] = loss.detach()
    return losses.cpu().numpy()


def jax_contender(problem, k: int, steps: int, device: torch.device) -> tuple[Callable, float]:
    """A function of no arguments that trains, and the seconds it took to compile it."""
    import jax  # pyright: ignore[reportMissingImports]
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

    make, shape, classes, n, batch, _ = problem
    kind = "gpu" if device.type == "cuda" else "cpu"
    jax_device = jax.devices(kind)[0]
    x, y = (t.numpy() for t in data(shape, classes, n))
    rows, weights = [], []
    for seed in range(k):
        chance = Chance(seed)["order"]
        epochs = [torch.randperm(n, generator=chance) for _ in range(-(-steps * batch // n))]
        rows.append(torch.cat(epochs)[: steps * batch].view(steps, batch).numpy())
        network = make(generator=Chance(seed)["init"])
        layers = [*network.layers.values(), network.classifier]
        weights.append([(la.weight.detach().numpy(), la.bias.detach().numpy()) for la in layers])
    rows = np.stack(rows)
    weights = jax.tree.map(lambda *w: np.stack(w), *weights)

    def forward(weights, x):
        for w, b in weights[:-1]:
            if w.ndim == 4:
                x = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME") + b[:, None, None]
                x = jax.nn.relu(x)
                windows = (1, 1, 2, 2)
                x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, windows, windows, "VALID")
            else:
                x = jax.nn.relu(x.reshape(len(x), -1) @ w.T + b)
        w, b = weights[-1]
        return x.reshape(len(x), -1) @ w.T + b

    def batch_loss(weights, x, y):
        return -jnp.take_along_axis(jax.nn.log_softmax(forward(weights, x)), y[:, None], 1).mean()

    def run(weights, rows, x, y):
        def step(weights, r):
            loss, gradient = jax.value_and_grad(batch_loss)(weights, x[r], y[r])
            return jax.tree.map(lambda w, g: w - LR * g, weights, gradient), loss

        return jax.lax.scan(step, weights, rows)[1]

    arguments = jax.device_put((weights, rows.astype(np.int32), x, y.astype(np.int32)), jax_device)
    start = time.perf_counter()
    compiled = jax.jit(jax.vmap(run, in_axes=(0, 0, None, None))).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    return lambda: np.asarray(compiled(*arguments)), seconds


# --- The race ----------------------------------------------------------------------------------


def race(kind: str, k: int, device: torch.device, repeats: int, steps: int | None = None) -> dict:
    """One row of the table. Raises `RuntimeError` if the contenders' losses disagree."""
    problem = PROBLEMS[kind]
    steps = steps or problem[-1]
    jax_run, jax_compile_s = jax_contender(problem, k, steps, device)
    contenders = {
        "ours": lambda: ours(problem, k, steps, device),
        "vmap": lambda: vmapped(problem, k, steps, device),
        "loop": lambda: loop(problem, k, steps, device),
        "jax": jax_run,
    }
    # One step of each first, so that no contender pays for loading libraries or waking a device.
    ours(problem, k, 1, device)
    loop(problem, 1, 1, device)
    seconds = dict.fromkeys(contenders, float("inf"))
    losses = {}
    for _ in range(repeats):
        for name, contender in contenders.items():
            if name in losses and seconds[name] > 20:
                continue  # long enough not to hang on a busy moment
            start = time.perf_counter()
            losses[name] = contender()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    for name in ("vmap", "loop", "jax"):
        # float32: other orders of summation differ by 1e-7, which training then amplifies.
        early, late = (np.abs(losses["ours"] - losses[name])[:, part] for part in (slice(10), -1))
        if not (early.max() < 1e-3 and late.mean() < 1e-2):
            raise RuntimeError(
                f"{kind}, K = {k}: the losses of ours and {name} differ by {early.max():.2g} in "
                f"the first 10 steps and by {late.mean():.2g} in the last: not the same training"
            )
    return {
        "kind": kind,
        "k": k,
        "ours_s": seconds["ours"],
        "vmap_s": seconds["vmap"],
        "loop_s": seconds["loop"],
        "jax_s": seconds["jax"],
        "jax_compile_s": jax_compile_s,
        "device": device.type,
        "batch_size": problem[4],
        "steps": steps,
        "final_loss": float(losses["ours"][:, -1].mean()),
    }


def machine(device: torch.device) -> str:
    """The processor's name, as the system tells it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


SECONDS = ("ours_s", "vmap_s", "loop_s", "jax_s", "jax_compile_s")


def table(rows: list[dict], markdown: bool) -> str:
    """The rows for people: seconds, and how many times faster than the loop we are."""
    head = ["network", "K", "ours (s)", "vmap (s)", "loop (s)", "JAX (s)", "JAX compiles (s)"]
    head += ["loop / ours", "JAX / ours"]
    body = [
        [
            row["kind"],
            str(row["k"]),
            *(f"{row[name]:.3g}" for name in SECONDS),
            f"{row['loop_s'] / row['ours_s']:.1f}",
            f"{row['jax_s'] / row['ours_s']:.2f}",
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    ruler = ["-" * width for width in widths]
    lines = [
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        for line in (head, ruler, *body)
    ]
    if markdown:
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        parents=[THREADS],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--markdown", action="store_true", help="print the README's table")
    parser.add_argument("--device", help="cpu, cuda (default: see whydeep.device)")
    parser.add_argument("--kind", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--k", nargs="+", type=int, help="default: 1 16 64, and 1024 on a GPU")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, help="fewer SGD steps, for a quick look")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        device = devices.device(options.device)
        ks = options.k or [1, 16, 64] + [1024] * (device.type == "cuda")
        rows = []
        for kind in options.kind:
            for k in ks:
                print(f"{kind}, K = {k} ...", file=sys.stderr, flush=True)
                rows.append(race(kind, k, device, options.repeats, options.steps))
    except ImportError as error:
        print(f"{error}: pip install -r code/benchmarks/requirements.txt", file=sys.stderr)
        return 2
    except (RuntimeError, WhydeepError) as error:
        print(f"No table: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        dense, convolutional = PROBLEMS["dense"], PROBLEMS["convolutional"]
        print(table(rows, options.markdown))
        print(
            f"\n{machine(device)}, {options.threads} core(s), PyTorch {torch.__version__}; "
            f"fastest of {options.repeats}. dense: 2-32-32-2, {dense[3]} examples, batches of "
            f"{dense[4]}, {options.steps or dense[5]} steps. convolutional: 28x28, 8 and 16 "
            f"filters, batches of {convolutional[4]}, {options.steps or convolutional[5]} steps."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
