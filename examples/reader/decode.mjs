// Bytes of a shard -> rows -> float32: the sections "Rows, tasks, holes" and "Encodings" of docs/reference/format.md.

import { unzstd } from "./zstd.mjs";

const TYPES = {
  int64: [8, (view, at) => Number(view.getBigInt64(at, true))],
  int32: [4, (view, at) => view.getInt32(at, true)],
  int16: [2, (view, at) => view.getInt16(at, true)],
  int8: [1, (view, at) => view.getInt8(at)],
  uint8: [1, (view, at) => view.getUint8(at)],
  uint16: [2, (view, at) => view.getUint16(at, true)],
  float16: [2, (view, at) => fromFloat16(view.getUint16(at, true))],
  float32: [4, (view, at) => view.getFloat32(at, true)],
};

function fromFloat16(bits) {
  const sign = bits >> 15 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -24 * fraction;
}

const bfloat16 = new DataView(new ArrayBuffer(4));
function fromBfloat16(bits) {
  bfloat16.setUint32(0, bits << 16);
  return bfloat16.getFloat32(0);
}

const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Return the numbers of an object without shards. */
export function readNumbers(bytes, dtype) {
  const [size, read] = TYPES[dtype];
  const view = viewOf(bytes);
  return Array.from({ length: bytes.length / size }, (_, index) => read(view, index * size));
}

/**
 * Return the stored chunks of a shard that are there, in order.
 * The index is at the end: offset and length of every chunk, all ones where there is none, and a CRC-32C.
 */
export function shardChunks(bytes, count) {
  const start = bytes.length - 16 * count - 4;
  const index = viewOf(bytes.subarray(start, -4));
  if (crc32c(bytes.subarray(start, -4)) !== bytes.readUInt32LE(bytes.length - 4)) throw new Error("a damaged index");
  return Array.from({ length: count }, (_, chunk) => {
    const [offset, length] = [16 * chunk, 16 * chunk + 8].map((at) => index.getBigUint64(at, true));
    return offset === 2n ** 64n - 1n ? null : bytes.subarray(Number(offset), Number(offset + length));
  }).filter((chunk) => chunk !== null);
}

/** Return the rows of a task from one of its shards, each an array of numbers. */
export function readRows(chunks, { dtype, width, compressor }, rows) {
  const plain = chunks.map((chunk) => {
    if (compressor === "none") return chunk;
    if (compressor === "zstd") return unzstd(chunk);
    throw new Error(`compressor ${compressor} is not read here`);
  });
  const numbers = readNumbers(Buffer.concat(plain), dtype);
  return Array.from({ length: rows }, (_, row) => numbers.slice(row * width, (row + 1) * width));
}

/** How values are stored: number format, and numbers of a row. */
export const STORED = {
  float16: (width) => ({ dtype: "float16", width }),
  bfloat16: (width) => ({ dtype: "uint16", width }),
  int8: (width) => ({ dtype: "int8", width }),
  int4: (width) => ({ dtype: "uint8", width: Math.ceil(width / 2) }),
};

/** Channels of a group of int4. */
export const groupChannels = (width) => 2 * Math.ceil(width / (2 * Math.max(1, Math.floor(width / 128))));

/**
 * Return the values of a row: `stored`, with the scales of this row and site, and the calibration of the site.
 * Products of these numbers are exact in float64, so that `fround` rounds once, as the reference does.
 */
export function decodeRow(encoding, stored, scales, calibration) {
  if (encoding === "float16") return stored;
  if (encoding === "bfloat16") return stored.map(fromBfloat16);
  const { center, channel } = calibration;
  const each = encoding === "int4" ? groupChannels(center.length) : center.length;
  const level = encoding === "int4" ? (d) => ((stored[d >> 1] >> (4 * (d % 2))) % 16) - 8 : (d) => stored[d];
  return center.map((middle, d) => Math.fround(middle + channel[d] * (scales[Math.floor(d / each)] * level(d))));
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0x82f63b78 : byte >>> 1;
  return byte;
});

export function crc32c(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
