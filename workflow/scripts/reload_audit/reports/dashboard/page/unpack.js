// Unpacks the compressed parts of the page: libraries, its own script, charts, the audit.

async function unpack(id) {
  const text = document.getElementById(id).textContent;
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
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
