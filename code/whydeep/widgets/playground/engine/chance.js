// The engine's chance. playground_torch.py draws the same numbers.

const GOLDEN = 0x9e3779b9; // 2^32 divided by the golden ratio, an odd number
const USES = ["train", "test", "noise", "init", "order", "dropout"]; // a new one goes to the end

/** The finaliser of MurmurHash3 on 32 bits (Appleby 2011). */
export function mix(z) {
  z ^= z >>> 16;
  z = Math.imul(z, 0x85ebca6b);
  z ^= z >>> 13;
  z = Math.imul(z, 0xc2b2ae35);
  return (z ^ (z >>> 16)) >>> 0;
}

/** Where the numbers for one use of chance begin, so that a change in one leaves others alone. */
export function keyOf(seed, use) {
  return mix(mix(seed) + Math.imul(USES.indexOf(use) + 1, GOLDEN));
}

/** Number `i` of a key, in [0, 1): SplitMix (Steele, Lea and Flood 2014) on 32 bits, where a number
 *  depends on its place only and not on those before it. */
export function uniform(key, i) {
  return mix(key + Math.imul(i + 1, GOLDEN)) / 4294967296;
}

/** Box and Muller (1958) from two numbers in [0, 1). */
export function normals(u, v) {
  const radius = Math.sqrt(-2 * Math.log(1 - u));
  return [radius * Math.cos(2 * Math.PI * v), radius * Math.sin(2 * Math.PI * v)];
}
