// "Copy as PyTorch": the reader's settings and the parts of playground_torch.py that they need, as one
// program.

/** The parts of the file between "# [[ name" and "# ]]", by name. */
export function partsOf(source) {
  const parts = {};
  for (const [, name, text] of source.matchAll(/^# \[\[ (\w+)\n([\s\S]*?)^# \]\]$/gm)) {
    parts[name] = text.trim();
  }
  return parts;
}

/** A value as Python writes it. */
function python(value) {
  return JSON.stringify(value).replaceAll(",", ", ").replaceAll("\":", "\": ");
}

/** A program that trains the networks of `settings` for `steps` steps, from the parts of the text
 *  `source`. `given` are the points of a set that is not drawn, `changes` what was changed on the way,
 *  as [step, name, value]. */
export function snippet(source, settings, { given, changes, steps }) {
  const parts = partsOf(source);
  const kept = Object.entries(settings).filter(([name]) => name !== "speed" && name !== "stop_at");
  const byStep = {};
  for (const [step, name, value] of changes) {
    byStep[step] = { ...byStep[step], [name]: value };
  }
  const drawn = settings.data in parts;
  const rows = [];
  for (let n = 0; !drawn && n < given.length; n += 4) {
    rows.push(`    ${given.slice(n, n + 4).map((point) => `[${point.join(", ")}]`).join(", ")},`);
  }
  const data = drawn
    ? [
      `train = draw(${settings.data}, SETTINGS, "train", SETTINGS["examples"])`,
      `test = draw(${settings.data}, SETTINGS, "test", 250)`,
    ]
    : [
      "# x1, x2 and the label: every second one is for training.",
      "POINTS = np.array([", ...rows, "])",
      "train = POINTS[::2, :2][: SETTINGS[\"examples\"]], POINTS[::2, 2][: SETTINGS[\"examples\"]]",
      "test = POINTS[1::2, :2][:250], POINTS[1::2, 2][:250]",
    ];
  return [
    "# Written by the Playground of \"Why Does Deep Learning Work?\"; needs numpy and torch.",
    "import math", "", "import numpy as np", "import torch", "import torch.nn.functional as F", "",
    "SETTINGS = {",
    ...kept.map(([name, value]) => `    "${name}": ${python(value)},`),
    "}",
    "# What was changed on the way, by the step before which it was.",
    `CHANGES = {${Object.entries(byStep).map(([step, all]) => `${step}: ${python(all)}`).join(", ")}}`,
    `STEPS = ${steps}`,
    "", parts.chance, "", "",
    ...(drawn ? [parts[settings.data], "", "", parts.drawn, "", ""] : []),
    parts.training, "", "",
    ...data,
    "networks = [",
    "    Training(dict(SETTINGS), train, test, SETTINGS[\"seed\"] + n) for n in range(SETTINGS[\"seeds\"])",
    "]",
    "curve = []  # mean training and test loss before each step, over the networks",
    "for step in range(STEPS + 1):",
    "    for network in networks:",
    "        network.settings.update(CHANGES.get(step, {}))",
    "    pairs = [(net.loss(*net.train), net.loss(*net.test)) for net in networks]",
    "    curve.append(tuple(np.mean(pairs, axis=0)))",
    "    if step % max(1, STEPS // 10) == 0:",
    "        print(f\"step {step:6d}: training loss {curve[-1][0]:.6f}, test loss {curve[-1][1]:.6f}\")",
    "    for network in networks:",
    "        network.step()", "",
  ].join("\n");
}
