// As much of Parquet as `sequences.parquet` needs: required columns, plain or with a dictionary, zstd or not compressed.

import { unzstd } from "./zstd.mjs";

const INT32 = 1, INT64 = 2, BYTE_ARRAY = 6; // physical types
const DICTIONARY_PAGE = 2, DATA_PAGE = 0;
const PLAIN = 0, PLAIN_DICTIONARY = 2, RLE_DICTIONARY = 8; // encodings
const UNCOMPRESSED = 0, ZSTD = 6;

/** Return the columns of a Parquet file: name to array of strings, numbers or (for 64 bits, unsigned) BigInts. */
export function readParquet(file) {
  const magic = file.toString("latin1", file.length - 4);
  if (magic !== "PAR1") throw new Error("sequences.parquet is not a Parquet file");
  const footer = file.readUInt32LE(file.length - 8);
  const metadata = new Thrift(file, file.length - 8 - footer).struct();
  const [, ...leaves] = metadata[2]; // the schema: the root, then its columns
  const columns = Object.fromEntries(leaves.map((leaf) => [leaf[4].toString(), []]));
  for (const group of metadata[4]) {
    for (const { 3: chunk } of group[1]) columns[chunk[3].join(".")].push(...readColumn(file, chunk));
  }
  return columns;
}

function readColumn(file, chunk) {
  const values = [];
  let [dictionary, at] = [null, Number(chunk[11] ?? chunk[9])]; // the dictionary comes first, if there is one
  while (values.length < chunk[5]) {
    const thrift = new Thrift(file, at);
    const header = thrift.struct();
    const stored = file.subarray(thrift.at, (at = thrift.at + header[3]));
    const page = decompressed(stored, chunk[4]);
    if (header[1] === DICTIONARY_PAGE) {
      dictionary = plainValues(page, chunk[1], header[7][1]);
    } else if (header[1] === DATA_PAGE) {
      const { 1: count, 2: encoding } = header[5];
      if (encoding === PLAIN) values.push(...plainValues(page, chunk[1], count));
      else if ([PLAIN_DICTIONARY, RLE_DICTIONARY].includes(encoding)) {
        values.push(...indices(page, count).map((index) => dictionary[index]));
      } else throw new Error(`encoding ${encoding} of Parquet is not read here`);
    } else throw new Error(`pages of type ${header[1]} of Parquet are not read here`);
  }
  return values;
}

function decompressed(stored, codec) {
  if (codec === UNCOMPRESSED) return stored;
  if (codec === ZSTD) return unzstd(stored);
  throw new Error(`codec ${codec} of Parquet is not read here`);
}

function plainValues(page, type, count) {
  let at = 0;
  const text = () => {
    const length = page.readUInt32LE(at);
    at += 4 + length;
    return page.toString("utf8", at - length, at);
  };
  const read = {
    [INT32]: (index) => page.readInt32LE(4 * index),
    [INT64]: (index) => page.readBigUInt64LE(8 * index),
    [BYTE_ARRAY]: text,
  }[type];
  if (!read) throw new Error(`type ${type} of Parquet is not read here`);
  return Array.from({ length: count }, (_, index) => read(index));
}

/** Return places in the dictionary: runs of one value, and groups of eight packed values, each after a header. */
function indices(page, count) {
  const bits = page[0];
  const found = [];
  const reader = new Thrift(page, 1);
  while (found.length < count) {
    const header = Number(reader.varint());
    if (header & 1) {
      const packed = page.subarray(reader.at, (reader.at += (header >> 1) * bits));
      for (let index = 0; index < (header >> 1) * 8; index++) {
        let value = 0;
        for (let bit = 0; bit < bits; bit++) {
          const place = index * bits + bit;
          value |= ((packed[place >> 3] >> (place & 7)) & 1) << bit;
        }
        found.push(value);
      }
    } else {
      const bytes = (bits + 7) >> 3;
      const value = bytes ? page.readUIntLE(reader.at, bytes) : 0;
      reader.at += bytes;
      for (let repeat = 0; repeat < header >> 1; repeat++) found.push(value);
    }
  }
  return found.slice(0, count);
}

/** The compact protocol of Thrift, in which Parquet writes its headers: a struct becomes an object by field number. */
class Thrift {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
  }

  varint() {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.bytes[this.at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  }

  integer() {
    const zigzag = this.varint();
    return Number((zigzag >> 1n) ^ -(zigzag & 1n));
  }

  struct() {
    const fields = {};
    for (let id = 0; ; ) {
      const header = this.bytes[this.at++];
      if (header === 0) return fields;
      id = header >> 4 ? id + (header >> 4) : this.integer();
      fields[id] = this.value(header & 15);
    }
  }

  value(type) {
    switch (type) {
      case 1: case 2: return type === 1; // in a struct, true and false are types
      case 3: return this.bytes[this.at++];
      case 4: case 5: case 6: return this.integer();
      case 7: return this.bytes.readDoubleLE((this.at += 8) - 8);
      case 8: return this.binary();
      case 9: case 10: return this.list();
      case 12: return this.struct();
      default: throw new Error(`type ${type} of Thrift is not read here`);
    }
  }

  binary() {
    const length = Number(this.varint());
    return this.bytes.subarray(this.at, (this.at += length));
  }

  list() {
    const header = this.bytes[this.at++];
    const size = header >> 4 === 15 ? Number(this.varint()) : header >> 4;
    return Array.from({ length: size }, () => this.value(header & 15));
  }
}
