// Colours for numbers.

// From dark to light alike for all kinds of colour vision: four stops of cividis (Nuñez et al. 2018).
const STOPS = [[0, 34, 78], [87, 93, 109], [165, 156, 116], [254, 232, 56]];
// Signed values: blue below zero, light grey at zero, orange above, equally dark on both sides.
export const SIGNED = [[0, 60, 112], [74, 146, 198], [238, 238, 234], [222, 124, 52], [122, 40, 0]];

/** Red, green and blue, 0 to 255, of a share from 0 to 1 of the way along `stops`. */
export function blend(stops, share) {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(at), stops.length - 2);
  return stops[i].map((from, c) => Math.round(from + (at - i) * (stops[i + 1][c] - from)));
}

/** The colour of a share from 0 to 1. */
export function shade(share) {
  return `rgb(${blend(STOPS, share).join(" ")})`;
}
