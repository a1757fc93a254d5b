// What the referee says of a study and of the tally.

import { format } from "../kit/numbers.js";
import { AGAINST, FAVOUR, MISSED, WORDS } from "./judging.js";

export const ARMS = ["main run", "control", "positive control"];
const CONTROL = { true: "misses, as it should", false: "does not miss" };
const PLANTED = { true: "finds what was planted", false: "does not find what was planted" };

/** A share of the tally: 2.5 % of 1,000, 3 of 12. */
export function share(count, studies) {
  return studies < 100 ? `${count} of ${studies}` : `${format((100 * count) / studies, 1)} %`;
}

/** The last study and all studies in words. */
export function sentence({ arms, controlled, word }, tally, settings) {
  const [main, , planted] = arms;
  const studies = WORDS.reduce((sum, each) => sum + tally[each], 0);
  const ends = [main.mean, main.low, main.high].map((value) => format(value, 2));
  const told = WORDS.filter((each) => tally[each]).map((each) => `${each} ${share(tally[each], studies)}`);
  return `Study ${format(studies)}, ${settings.seeds} seeds: mean ${ends[0]} bounds, interval ${ends[1]} to ${
    ends[2]}: ${main.state}. The control ${CONTROL[controlled]}; the positive control ${
    PLANTED[planted.state === FAVOUR]}. Word: ${word}. Of ${format(studies)} ${
    studies === 1 ? "study" : "studies"}: ${told.join(", ")}.`;
}

/** What the picture is, for those who do not see it. */
export function describe(opened, { effect, spread, seeds }) {
  const axis = "an axis in bounds, no effect at 0, the bound at 1; opposite on the left, in favour on the right";
  return opened
    ? `Three strips over ${axis}: ${seeds} dots and an interval each for the main run (true effect ${
      format(effect)}, spread ${format(spread)}), its control and its positive control.`
    : `Three empty strips over ${axis}.`;
}

/** What a state is called beside a strip. */
export function verdictOn(arm, state) {
  if (arm === 1) return state === MISSED || state === AGAINST ? "misses" : "does not miss";
  if (arm === 2) return state === FAVOUR ? "finds it" : "does not find it";
  return state;
}
