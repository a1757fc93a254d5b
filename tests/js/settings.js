// The Playground's settings as they are by default (whydeep.widgets.playground.DEFAULTS).
import { readFileSync } from "node:fs";

/** What PyTorch has found: tests/js/store.py writes it, tests/test_playground.py compares it. */
export const STORED = JSON.parse(readFileSync(new URL("engine.json", import.meta.url), "utf8"));
export const SETTINGS = STORED.defaults;
