// Elements, and the words of a message with all their entities. What people or the bot wrote becomes text nodes only.

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

export const tone = (id) => Math.abs(id) % 6;

export function avatar(name, id, extra = "") {
  return make("span", { class: `avatar ${extra}`, "data-tone": tone(id), "aria-hidden": "true" }, [...name][0] ?? "");
}

export const bytes = (size) => (size < 1024 ? `${size} B` : size < 1048576 ? `${(size / 1024).toFixed(1)} KB` : `${(size / 1048576).toFixed(1)} MB`);

// ---------------------------------------------------------------- text with entities

// Offsets count UTF-16 units, which is how JavaScript counts a string.
// `acts` has what a tap does: `copy(text)` and `say(text)`.
export function rich(text, entities, acts) {
  const fragment = document.createDocumentFragment();
  const sorted = [...entities].sort((a, b) => a.offset - b.offset || b.length - a.length);
  weave(fragment, text, sorted, 0, text.length, acts);
  return fragment;
}

function weave(parent, text, entities, from, to, acts) {
  let at = from;
  while (entities.length && entities[0].offset < to) {
    const entity = entities.shift();
    if (entity.offset < at) continue;
    const end = Math.min(entity.offset + entity.length, to);
    parent.append(text.slice(at, entity.offset));
    const node = wrapper(entity, text.slice(entity.offset, end), acts);
    weave(node, text, entities, entity.offset, end, acts);
    if (entity.type === "date_time") startTime(node);
    parent.append(node);
    at = end;
  }
  parent.append(text.slice(at, to));
}

const TAGS = { bold: "strong", italic: "em", underline: "u", strikethrough: "s", code: "code", pre: "pre" };

function wrapper(entity, text, acts) {
  const build = WRAPPERS[entity.type];
  if (build) return build(entity, text, acts);
  return make(TAGS[entity.type] ?? "span");
}

function pressable(node, label, act) {
  node.tabIndex = 0;
  node.setAttribute("role", "button");
  if (label) node.setAttribute("aria-label", label);
  node.addEventListener("click", act);
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  });
  return node;
}

const link = (href) => make("a", { href, target: "_blank", rel: "noopener noreferrer", title: href });
const copied = (tag, text, acts) => pressable(make(tag, { title: "Copy" }), `Copy ${text}`, () => acts.copy(text));

const WRAPPERS = {
  code: (_, text, acts) => copied("code", text, acts),
  pre: (entity, text, acts) => {
    const node = copied("pre", text, acts);
    if (entity.language) node.dataset.language = entity.language;
    return node;
  },
  spoiler: () => {
    const node = make("span", { class: "spoiler" });
    return pressable(node, "Hidden text, press to show", () => {
      node.classList.add("shown");
      node.removeAttribute("aria-label");
    });
  },
  blockquote: () => make("blockquote"),
  expandable_blockquote: () => {
    const node = make("blockquote", { class: "folded" });
    return pressable(node, null, () => node.classList.toggle("folded"));
  },
  bot_command: (_, text, acts) => pressable(make("span", { class: "command" }), null, () => acts.say(text)),
  mention: () => make("span", { class: "mention" }),
  text_mention: (entity) => make("span", { class: "mention", title: `User ${entity.user.id}` }),
  text_link: (entity) => (/^https?:\/\//i.test(entity.url) ? link(entity.url) : make("span", { class: "mention", title: entity.url })),
  url: (_, text) => link(text),
  email: (_, text) => link(`mailto:${text}`),
  date_time: (entity) => {
    const at = new Date(entity.unix_time * 1000);
    return make("time", {
      datetime: at.toISOString(),
      title: at.toLocaleString(),
      "data-unix": entity.unix_time,
      "data-format": entity.date_time_format ?? "",
    });
  },
};

// ---------------------------------------------------------------- times that run

function startTime(node) {
  if (node.dataset.format) tick(node);
}

export const tickAll = () => document.querySelectorAll("time[data-format]:not([data-format=''])").forEach(tick);

function tick(node) {
  const words = timeWords(Number(node.dataset.unix), node.dataset.format);
  if (node.textContent !== words) node.textContent = words;
}

function timeWords(unix, format) {
  if (format === "r") return relative(unix - Date.now() / 1000);
  const options = {};
  if (format.includes("w")) options.weekday = format.length === 1 ? "long" : "short";
  if (format.includes("d")) Object.assign(options, { day: "2-digit", month: "2-digit", year: "2-digit" });
  if (format.includes("D")) Object.assign(options, { day: "numeric", month: "long", year: "numeric" });
  if (/t/i.test(format)) Object.assign(options, { hour: "2-digit", minute: "2-digit" });
  if (format.includes("T")) options.second = "2-digit";
  return new Date(unix * 1000).toLocaleString([], options);
}

function relative(left) {
  const span = Math.abs(Math.round(left));
  const [minutes, seconds] = [Math.floor(span / 60), span % 60];
  let words = `${seconds} s`;
  if (minutes >= 1440) words = `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
  else if (minutes >= 60) words = `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  else if (minutes) words = `${minutes} min ${String(seconds).padStart(2, "0")} s`;
  if (span === 0) return "now";
  return left > 0 ? `in ${words}` : `${words} ago`;
}


