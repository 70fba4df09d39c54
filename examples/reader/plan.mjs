// The plan of docs/reference/format.md: which residue is which row of which task, from the recipe and the sequences.

import { PURPOSE, compare, draw, key, permutation, uniform } from "./draws.mjs";

/** Return the names of the splits in the order of the store: `train`, then the others by code point. */
export function splitNames(recipe) {
  const points = (name) => Array.from(name, (letter) => letter.codePointAt(0));
  const byPoint = (a, b) => {
    const [left, right] = [points(a), points(b)];
    const at = left.findIndex((point, index) => point !== right[index]);
    return at < 0 ? left.length - right.length : left[at] - (right[at] ?? -1);
  };
  return Object.keys(recipe.splits.fractions).sort(
    (a, b) => (a !== "train") - (b !== "train") || byPoint(a, b),
  );
}

/** Return the split that the recipe draws for a sequence. */
export function drawnSplit(recipe, sequence) {
  const names = splitNames(recipe);
  const last = names.findLast((name) => recipe.splits.fractions[name] > 0);
  const drawn = uniform(key(recipe.seed, PURPOSE.split), sequence.cluster ?? sequence.hash);
  let sum = 0;
  return names.find((name) => {
    sum += recipe.splits.fractions[name];
    return (name === last ? 1 : sum) > drawn;
  });
}

/** Return the draw by which a window of a sequence has its place in its split. */
export const place = (recipe, hash, window) => draw(key(recipe.seed, PURPOSE.sequenceOrder, window), hash);

/** Return the positions of a sequence that become rows, ascending. */
export function keptPositions(recipe, { hash, length }) {
  const { fraction, max_per_sequence: most } = recipe.rows;
  const drawn = Math.floor(fraction * length + uniform(key(recipe.seed, PURPOSE.rowCount), hash));
  const count = Math.min(drawn, length, most ?? Infinity);
  return permutation(key(recipe.seed, PURPOSE.residues, hash), length)
    .slice(0, count)
    .sort((a, b) => a - b);
}

/** Return the first position of each window's own residues, and the length at the end. */
export function windowCuts(recipe, length) {
  const { window_residues: window, window_overlap: overlap } = recipe.corpus;
  if (length <= window) return [0, length];
  const count = Math.ceil((length - overlap) / (window - overlap));
  const start = (index) => Math.floor((index * (length - window)) / (count - 1));
  const cuts = [0];
  for (let index = 1; index < count; index++) {
    cuts.push(Math.floor((start(index) + start(index - 1) + window) / 2));
  }
  return [...cuts, length];
}

/** Return for each task its split, and the sequence and position of each of its rows. */
export function planTasks(recipe, sequences) {
  const units = sequences.flatMap((one, sequence) => {
    const kept = keptPositions(recipe, one);
    const cuts = windowCuts(recipe, one.length);
    return cuts.slice(1).map((stop, window) => ({
      split: one.split,
      place: place(recipe, one.hash, window),
      rows: kept
        .filter((position) => cuts[window] <= position && position < stop)
        .map((position) => ({ sequence, position })),
    }));
  });
  const tasks = [];
  for (const split of splitNames(recipe)) {
    const ours = units.filter((unit) => unit.split === split).sort((a, b) => compare(a.place, b.place));
    const rows = ours.flatMap((unit) => unit.rows);
    for (let first = 0; first < rows.length; first += recipe.store.task_rows) {
      const run = rows.slice(first, first + recipe.store.task_rows);
      const order = permutation(key(recipe.seed, PURPOSE.rowOrder, tasks.length), run.length);
      tasks.push({ split, rows: order.map((index) => run[index]) });
    }
  }
  return tasks;
}
