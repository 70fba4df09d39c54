#!/usr/bin/env node
// Read a store in another language, by docs/reference/format.md alone. Needs Node 22.15 or newer, and nothing else.
//
//   node reader.mjs STORE                  check every digest, the splits and the plan; say what is there
//   node reader.mjs STORE --check FILE     compare the content with a test vector of tests/data/vectors, too
//
// It is meant to be read: everything is held in memory, and 64-bit words are BigInts.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { compare } from "./reader/draws.mjs";
import { drawnSplit, keptPositions, place, planTasks, splitNames } from "./reader/plan.mjs";
import { canonical, readStore, same } from "./reader/store.mjs";

/** Check that splits, counts and rows of a store are those that its recipe gives; return the plan. */
function checkPlan({ frozen, sequences, tasks }) {
  const { recipe } = frozen;
  const names = splitNames(recipe);
  const inOrder = sequences.toSorted(
    (a, b) =>
      names.indexOf(a.split) - names.indexOf(b.split) || compare(place(recipe, a.hash, 0), place(recipe, b.hash, 0)),
  );
  sequences.forEach((one, index) => {
    same(one.residues.length, one.length, `residues of ${one.id}`);
    same(one.split, drawnSplit(recipe, one), `split of ${one.id}`);
    same(one.rows, keptPositions(recipe, one).length, `rows of ${one.id}`);
    same(one.id, inOrder[index].id, `sequence ${index}`);
  });
  const plan = planTasks(recipe, sequences);
  same(plan.length, frozen.tasks, "tasks");
  for (const [name, said] of Object.entries(frozen.splits)) {
    const ours = plan.filter((task) => task.split === name);
    const found = {
      first_task: ours.length ? plan.indexOf(ours[0]) : said.first_task,
      rows: ours.reduce((sum, task) => sum + task.rows.length, 0),
      sequences: sequences.filter((one) => one.split === name).length,
      tasks: ours.length,
    };
    same(canonical(found), canonical(said), `split ${name}`);
  }
  tasks.forEach((task, number) => {
    if (!task) return;
    same(task.split, plan[number].split, `split of task ${number}`);
    for (const column of ["sequence", "position"]) {
      same(String(task[column]), String(plan[number].rows.map((row) => row[column])), `${column} of task ${number}`);
    }
  });
  return plan;
}

/** Return the content in the form of the test vectors. */
function contentOf({ manifest, sha256, sequences, tasks, frozen }, plan) {
  return {
    manifest_sha256: sha256,
    recipe_sha256: manifest.recipe_sha256,
    sequences: sequences.map(({ id, residues, split, rows, cluster }) => ({
      ...{ id, residues, split, rows },
      ...(cluster === undefined ? {} : { cluster: String(cluster) }),
    })),
    tasks: plan.map(({ split, rows }, number) => ({
      split,
      first_row: number * frozen.recipe.store.task_rows,
      sequence: rows.map((row) => row.sequence),
      position: rows.map((row) => row.position),
      token: tasks[number]?.token ?? null,
      values: tasks[number]?.values ?? null,
    })),
  };
}

/** Refuse the first difference of two JSON values; numbers are the same if they are the same float32. */
function compareContent(found, wanted, where) {
  if (typeof wanted === "number" && typeof found === "number") return same(found, Math.fround(wanted), where);
  if (wanted === null || typeof wanted !== "object") return same(found, wanted, where);
  same(String(Object.keys(found ?? {}).sort()), String(Object.keys(wanted).sort()), `members of ${where}`);
  for (const name of Object.keys(wanted)) compareContent(found[name], wanted[name], `${where}.${name}`);
}

function main() {
  const { values: options, positionals } = parseArgs({ allowPositionals: true, options: { check: { type: "string" } } });
  if (positionals.length !== 1) throw new Error("usage: node reader.mjs STORE [--check FILE]");
  const store = readStore(positionals[0]);
  const content = contentOf(store, checkPlan(store));
  if (options.check) compareContent(content, JSON.parse(readFileSync(options.check)), "content");
  const done = store.tasks.filter((task) => task);
  const rows = done.reduce((sum, task) => sum + task.token.length, 0);
  const sites = store.sites.map(({ name, width }) => `${name} (${width})`).join(", ");
  console.log(`${sites}: ${rows} rows in ${done.length} of ${content.tasks.length} tasks, ${store.sha256}`);
}

try {
  main();
} catch (error) {
  console.error(`reader.mjs: ${error.message}`);
  process.exitCode = 1;
}
