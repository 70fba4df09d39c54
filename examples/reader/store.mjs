// A store -> its content, with every digest checked on the way: manifest, commits, objects, chunks.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { STORED, crc32c, decodeRow, groupChannels, readNumbers, readRows, shardChunks } from "./decode.mjs";
import { hashText } from "./draws.mjs";
import { readParquet } from "./parquet.mjs";

const FORMAT = "actstore/2";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

export function same(found, wanted, what) {
  if (found !== wanted) throw new Error(`${what}: found ${found}, wanted ${wanted}`);
}

/** Return a JSON value in the canonical form of RFC 8785. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical)}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort();
  return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`)}}`;
}

function parsed(bytes, path) {
  try {
    return JSON.parse(bytes);
  } catch (error) {
    throw new Error(`${path}: ${error.message}`);
  }
}

/** Return the digest by which a store is cited. */
export function manifestDigest({ places, ...manifest }) {
  return sha256(canonical({ ...manifest, uri: null }));
}

/** Read a complete or unfinished store that has a manifest. */
export function readStore(folder) {
  const read = (path) => readFileSync(join(folder, path));
  const document = (path, digest) => {
    const bytes = read(path);
    if (digest !== undefined) same(sha256(bytes), digest, path);
    const content = parsed(bytes, path);
    same(bytes.toString(), canonical(content), `${path} in canonical form`);
    return content;
  };
  const manifest = document("manifest.json");
  same(manifest.format, FORMAT, "format");
  const frozen = document("recipe.json");
  same(sha256(canonical({ ...frozen, part: null })), manifest.recipe_sha256, "recipe.json without its part");
  same(canonical(manifest.frozen), canonical(frozen), "recipe.json and the manifest's copy of it");
  for (const [path, digest] of Object.entries(manifest.metadata)) {
    if (path !== "recipe.json") same(sha256(read(path)), digest, path);
  }
  same(manifest.metadata["sequences.parquet"], frozen.sequences_sha256, "sequences.parquet and recipe.json");
  const root = JSON.parse(read("zarr.json")).attributes.actstore;
  same(root.recipe_sha256, manifest.recipe_sha256, "the recipe of zarr.json");
  const commits = manifest.commits.map((digest, task) => digest && document(`commits/${task}.json`, digest));
  const store = { read, manifest, frozen, sites: sitesOf(frozen, read) };
  return {
    ...store,
    sha256: manifestDigest(manifest),
    sequences: readSequences(read("sequences.parquet")),
    tasks: commits.map((commit) => commit && readTask(store, commit)),
  };
}

function readSequences(file) {
  const columns = readParquet(file);
  return columns.id.map((id, index) => ({
    id,
    residues: columns.residues[index],
    length: columns.length[index],
    split: columns.split[index],
    rows: columns.rows[index],
    cluster: columns.cluster?.[index],
    hash: hashText(id),
  }));
}

/** Return all sites of the recipe; a part of a store has the values of some of them. */
function sitesOf(frozen, read) {
  return frozen.sites.map(([name, , width]) => {
    if (frozen.part?.sites && !frozen.part.sites.includes(name)) return { name, width, isHere: false };
    const vector = (part) => readNumbers(read(`sites/${name}/${part}/c/0`), "float32");
    const calibration = frozen.calibration && { center: vector("center"), channel: vector("channel") };
    for (const part of calibration ? ["center", "channel"] : []) {
      const kept = readNumbers(Buffer.from(frozen.calibration[name][part], "base64"), "float32");
      same(String(calibration[part]), String(kept), `${part} of ${name} and recipe.json`);
    }
    return { name, width, calibration, isHere: true };
  });
}

/** Read and check the objects of a task: its rows, with the values of every site. */
function readTask({ read, frozen, manifest, sites }, commit) {
  const { task, split, rows, objects } = commit;
  const { task_rows: taskRows, chunk_rows: chunkRows, encoding, compressor } = frozen.recipe.store;
  same(commit.recipe_sha256, manifest.recipe_sha256, `the recipe of commit ${task}`);
  const absent = sites.filter(({ isHere }) => !isHere).map(({ name }) => `sites/${name}/`);
  for (const [path, { size, sha256: digest }] of Object.entries(objects)) {
    if (absent.some((folder) => path.startsWith(folder))) continue;
    const bytes = read(path);
    same(bytes.length, size, `bytes of ${path}`);
    same(sha256(bytes), digest, path);
  }
  const array = (path, { dtype, width = 1, compressor = "none", axes = 1 }) => {
    const object = `${path}/c/${task}${"/0".repeat(axes - 1)}`;
    const chunks = shardChunks(read(object), taskRows / chunkRows);
    same(chunks.length, Math.ceil(rows / chunkRows), `chunks of ${object}`);
    const checksums = Buffer.from(objects[object].crc32c, "base64");
    chunks.forEach((chunk, at) => same(crc32c(chunk), checksums.readUInt32LE(4 * at), `chunk ${at} of ${object}`));
    return readRows(chunks, { dtype, width, compressor }, rows);
  };
  const [sequence, position, token] = [
    ["sequence", "int64"],
    ["position", "int32"],
    ["token", "int16"],
  ].map(([name, dtype]) => array(`rows/${name}`, { dtype }).flat());
  const scales = readScales(encoding, sites, array);
  const values = Object.fromEntries(
    sites.flatMap(({ name, width, calibration, isHere }, site) => {
      if (!isHere) return [];
      const stored = array(`sites/${name}/values`, { ...STORED[encoding](width), compressor, axes: 2 });
      return [[name, stored.map((row, at) => decodeRow(encoding, row, scales[at]?.[site], calibration))]];
    }),
  );
  return { split, first_row: task * taskRows, sequence, position, token, values };
}

/** Return the scales of each row and site; none for encodings without. */
function readScales(encoding, sites, array) {
  if (encoding === "int8") {
    const rows = array("scales/row", { dtype: "float16", width: sites.length, axes: 2 });
    return rows.map((row) => row.map((scale) => [scale]));
  }
  if (encoding !== "int4") return [];
  const groups = Math.max(...sites.map(({ width }) => Math.ceil(width / groupChannels(width))));
  const rows = array("scales/group", { dtype: "float16", width: sites.length * groups, axes: 3 });
  return rows.map((row) => sites.map((_, site) => row.slice(site * groups, (site + 1) * groups)));
}
