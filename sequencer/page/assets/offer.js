// A file that is made here, for the browser to keep.

/** How long the browser has to take the file from here. */
const OFFERED_MS = 60_000;

/** Hands it over under this name. */
export function offer(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: name });
  link.click();
  // What it holds would stay until the page is left.
  setTimeout(() => URL.revokeObjectURL(url), OFFERED_MS);
}
