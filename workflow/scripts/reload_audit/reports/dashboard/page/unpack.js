// Unpacks the compressed parts of the page: libraries, its own script, charts, the audit.

// Base85: five digits for four bytes, and for a rest of n bytes n + 1 digits.
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%,()*+-;.=/?@^_`{|}~";
const VALUES = new Uint8Array(128);
for (let value = 0; value < 85; value++) VALUES[DIGITS.charCodeAt(value)] = value;

function bytesOf(text) {
  const groups = Math.ceil(text.length / 5);
  const digits = text.padEnd(5 * groups, "~");
  const bytes = new DataView(new ArrayBuffer(4 * groups));
  for (let group = 0; group < groups; group++) {
    let value = 0;
    for (let at = 5 * group; at < 5 * group + 5; at++) value = 85 * value + VALUES[digits.charCodeAt(at)];
    bytes.setUint32(4 * group, value);
  }
  return new Uint8Array(bytes.buffer, 0, Math.floor((4 * text.length) / 5));
}

async function unpack(id) {
  const bytes = bytesOf(document.getElementById(id).textContent);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

async function unpackJson(id) {
  return JSON.parse(await unpack(id));
}

// Runs a library; the page's security policy allows only those that it came with, by their hashes.
async function runLibrary(id) {
  const script = document.createElement("script");
  script.textContent = await unpack(id);
  document.head.append(script);
}
