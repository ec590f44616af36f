// Photos and documents, opened in a window of their own: pictures as they are, tables and texts to read.

import { make } from "./chat_words.js";

const $ = (id) => document.getElementById(id);
const LONGEST_SHOWN = 200_000; // characters of a document
const MOST_ROWS = 500;

export const addressOf = (file) => `/chat/file/${encodeURIComponent(file.file_id)}`;

export async function openFile(file, name, message) {
  const address = addressOf(file);
  $("viewer-name").textContent = name;
  $("viewer-save").href = address;
  $("viewer-save").download = file.file_name ?? "photo";
  const body = $("viewer-body");
  if (message.photo || /^image\/(png|jpeg|gif|webp)$/.test(file.mime_type ?? "")) body.replaceChildren(make("img", { src: address, alt: message.caption ?? name }));
  else body.replaceChildren(await contents(address, name, file));
  $("viewer").showModal();
}

async function contents(address, name, file) {
  const readable = /^text\/|json|csv/.test(file.mime_type ?? "") || /\.(txt|csv|json|md|log|toml)$/i.test(name);
  if (!readable) return make("p", {}, "This kind of file cannot be shown here. Save it instead.");
  try {
    const text = (await (await fetch(address)).text()).slice(0, LONGEST_SHOWN);
    return /csv/.test(file.mime_type ?? "") || /\.csv$/i.test(name) ? table(text) : make("pre", {}, text);
  } catch {
    return make("p", {}, "The file could not be fetched.");
  }
}

function table(text) {
  const [head, ...rows] = parseCsv(text.replace(/^\ufeff/, "")).slice(0, MOST_ROWS);
  return make(
    "table",
    {},
    make("thead", {}, make("tr", {}, ...(head ?? []).map((cell) => make("th", { scope: "col" }, cell)))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell))))),
  );
}

// RFC 4180: a quoted cell may hold commas, line ends, and quotes written twice.
function parseCsv(text) {
  const rows = [];
  let cells = [];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|$)/g)) {
    cells.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === ",") continue;
    if (cells.length > 1 || cells[0]) rows.push(cells);
    cells = [];
  }
  return rows;
}

$("viewer-close").addEventListener("click", () => $("viewer").close());
$("viewer").addEventListener("click", (event) => event.target === $("viewer") && $("viewer").close());
