// A zip of many files (stored, not compressed) of which any part can be read at any time, without holding the files in
// memory: sizes are known beforehand, so the layout is too.  Format: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3.

const LARGE = 0xffffffff; // from here on a number needs the zip64 extra field
const MANY = 0xffff;
const BLOCK_BYTES = 4 * 2 ** 20;
const AT_ONCE = 32; // files read at the same time for their checksums
const UTF8_NAMES = 0x0800;
const DAY_ONE = 0x21; // 1 January 1980: the same files give the same bytes, so that an upload can be resumed

const TABLE = new Uint32Array(256).map((_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

/** CRC-32 of some bytes, going on from an earlier value. */
export function crc32(bytes, crc = 0) {
  crc = ~crc;
  for (let i = 0; i < bytes.length; i++) crc = TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

async function crcOf(file) {
  let crc = 0;
  for (let start = 0; start < file.size; start += BLOCK_BYTES) {
    crc = crc32(new Uint8Array(await file.slice(start, start + BLOCK_BYTES).arrayBuffer()), crc);
  }
  return crc;
}

/** Little-endian fields: [bytes, value, bytes, value, ...]. */
function fields(...pairs) {
  const bytes = [];
  for (let i = 0; i < pairs.length; i += 2) {
    let value = BigInt(pairs[i + 1]);
    for (let n = 0; n < pairs[i]; n++, value >>= 8n) bytes.push(Number(value & 255n));
  }
  return Uint8Array.from(bytes);
}

function join(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export class Zip {
  /** @param {{path: string, file: Blob}[]} files */
  constructor(files, name) {
    this.name = name;
    this.entries = [];
    this.starts = []; // where each entry begins
    let at = 0;
    for (const { path, file } of files) {
      const entry = { file, name: new TextEncoder().encode(path), offset: at, crc: null };
      entry.headerSize = 30 + entry.name.length + (file.size >= LARGE ? 20 : 0);
      this.entries.push(entry);
      this.starts.push(at);
      at += entry.headerSize + file.size;
    }
    this.directoryOffset = at;
    this.directorySize = this.entries.reduce((sum, e) => sum + 46 + e.name.length + centralExtra(e).length, 0);
    this.zip64 = this.entries.length >= MANY || at >= LARGE || this.directorySize >= LARGE;
    this.size = at + this.directorySize + (this.zip64 ? 76 : 0) + 22;
    this.directory = null;
  }

  /** Bytes start to end (exclusive) as a Blob; file contents stay on disk. */
  async slice(start, end) {
    end = Math.min(end, this.size);
    const parts = [];
    const first = this.entryAt(start);
    let last = first;
    while (last < this.entries.length && this.starts[last] < end) last++;
    await this.checksum(this.entries.slice(first, last));
    for (const entry of this.entries.slice(first, last)) {
      const from = start - entry.offset;
      const to = end - entry.offset;
      if (from < entry.headerSize) parts.push(localHeader(entry).subarray(Math.max(0, from), to));
      const dataFrom = Math.max(0, from - entry.headerSize);
      const dataTo = Math.min(entry.file.size, to - entry.headerSize);
      if (dataTo > dataFrom) parts.push(entry.file.slice(dataFrom, dataTo));
    }
    if (end > this.directoryOffset) {
      this.directory ??= await this.makeDirectory();
      const from = Math.max(0, start - this.directoryOffset);
      parts.push(this.directory.subarray(from, end - this.directoryOffset));
    }
    return new Blob(parts);
  }

  /** Index of the entry that holds this byte (binary search). */
  entryAt(position) {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= position) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  async checksum(entries) {
    const unknown = entries.filter((entry) => entry.crc === null);
    for (let i = 0; i < unknown.length; i += AT_ONCE) {
      const group = unknown.slice(i, i + AT_ONCE);
      await Promise.all(group.map(async (entry) => (entry.crc = await crcOf(entry.file))));
    }
  }

  async makeDirectory() {
    await this.checksum(this.entries); // after a resume: those that were sent before
    const parts = this.entries.map(centralHeader);
    const [count, size, offset] = [this.entries.length, this.directorySize, this.directoryOffset];
    if (this.zip64) {
      parts.push(fields(4, 0x06064b50, 8, 44, 2, 45, 2, 45, 4, 0, 4, 0, 8, count, 8, count, 8, size, 8, offset));
      parts.push(fields(4, 0x07064b50, 4, 0, 8, offset + size, 4, 1));
    }
    const short = [Math.min(count, MANY), Math.min(size, LARGE), Math.min(offset, LARGE)];
    parts.push(fields(4, 0x06054b50, 2, 0, 2, 0, 2, short[0], 2, short[0], 4, short[1], 4, short[2], 2, 0));
    return join(...parts);
  }
}

function localHeader(entry) {
  const size = entry.file.size;
  const large = size >= LARGE;
  const stored = large ? LARGE : size;
  const head = fields(
    4, 0x04034b50, 2, large ? 45 : 20, 2, UTF8_NAMES, 2, 0, 2, 0, 2, DAY_ONE, 4, entry.crc,
    4, stored, 4, stored, 2, entry.name.length, 2, large ? 20 : 0,
  );
  return join(head, entry.name, large ? fields(2, 1, 2, 16, 8, size, 8, size) : new Uint8Array());
}

function centralExtra(entry) {
  const large = entry.file.size >= LARGE ? [8, entry.file.size, 8, entry.file.size] : [];
  const far = entry.offset >= LARGE ? [8, entry.offset] : [];
  const count = large.length + far.length; // two numbers for each field of 8 bytes
  return count ? fields(2, 1, 2, count * 4, ...large, ...far) : new Uint8Array();
}

function centralHeader(entry) {
  const extra = centralExtra(entry);
  const stored = Math.min(entry.file.size, LARGE);
  const version = extra.length ? 45 : 20;
  const head = fields(
    4, 0x02014b50, 2, version, 2, version, 2, UTF8_NAMES, 2, 0, 2, 0, 2, DAY_ONE, 4, entry.crc, 4, stored, 4, stored,
    2, entry.name.length, 2, extra.length, 2, 0, 2, 0, 2, 0, 4, 0, 4, Math.min(entry.offset, LARGE),
  );
  return join(head, entry.name, extra);
}
