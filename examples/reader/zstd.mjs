import * as zlib from "node:zlib";

export function unzstd(bytes) {
  if (!zlib.zstdDecompressSync) throw new Error(`Node ${process.version} has no zstd; use 22.15 or newer`);
  return zlib.zstdDecompressSync(bytes);
}
