// The draws of docs/reference/format.md: a keyed hash on 64-bit words, which are BigInts here.

const MASK = (1n << 64n) - 1n;
const GOLDEN = 0x9e3779b97f4a7c15n;

export const PURPOSE = { split: 1, sequenceOrder: 2, rowCount: 3, residues: 4, rowOrder: 5 };

function mix(z) {
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return z ^ (z >> 31n);
}

export function key(seed, purpose, ...path) {
  let state = 0n;
  for (const part of [seed, purpose, ...path]) state = mix(((state ^ BigInt(part)) + GOLDEN) & MASK);
  return state;
}

export const draw = (key, counter) => mix(((mix(BigInt(counter)) ^ key) + GOLDEN) & MASK);

export const uniform = (key, counter) => Number(draw(key, counter) >> 11n) / 2 ** 53;

/** Return the numbers from 0 to count - 1 by their draws, the smallest first. */
export function permutation(key, count) {
  const draws = Array.from({ length: count }, (_, counter) => draw(key, counter));
  return Array.from(draws.keys()).sort((a, b) => compare(draws[a], draws[b]));
}

export const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

// BLAKE2b (RFC 7693) of any text, with a digest of 8 bytes and no key.
const IV = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];
const SIGMA = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
const COLUMNS_AND_DIAGONALS = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
];

const rotate = (word, bits) => ((word >> bits) | (word << (64n - bits))) & MASK;

/** Return `hash(text)` of the page. */
export function hashText(text) {
  const bytes = new TextEncoder().encode(text);
  const state = [...IV];
  state[0] ^= 0x01010000n ^ 8n; // fanout 1, depth 1, no key, 8 bytes
  const blocks = Math.max(Math.ceil(bytes.length / 128), 1);
  for (let block = 0; block < blocks; block++) {
    const padded = new Uint8Array(128);
    padded.set(bytes.subarray(block * 128, block * 128 + 128));
    const isLast = block === blocks - 1;
    compress(state, new DataView(padded.buffer), isLast ? bytes.length : (block + 1) * 128, isLast);
  }
  return state[0];
}

function compress(state, block, counted, isLast) {
  const v = [...state, ...IV];
  v[12] ^= BigInt(counted);
  if (isLast) v[14] ^= MASK;
  for (let round = 0; round < 12; round++) {
    const sigma = SIGMA[round % 10];
    COLUMNS_AND_DIAGONALS.forEach(([a, b, c, d], step) => {
      const word = (half) => block.getBigUint64(8 * sigma[2 * step + half], true);
      for (const half of [0, 1]) {
        v[a] = (v[a] + v[b] + word(half)) & MASK;
        v[d] = rotate(v[d] ^ v[a], half ? 16n : 32n);
        v[c] = (v[c] + v[d]) & MASK;
        v[b] = rotate(v[b] ^ v[c], half ? 63n : 24n);
      }
    });
  }
  for (let word = 0; word < 8; word++) state[word] ^= v[word] ^ v[word + 8];
}
