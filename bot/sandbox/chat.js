// The chat page. All state lives on the server: this draws it, listens for changes, and sends what a person does.
// Whatever people or the bot wrote reaches the page through text nodes only.

const $ = (id) => document.getElementById(id);
const TYPING_MS = 5000;
const TOAST_MS = 4000;
const ANSWER_PATIENCE_MS = 15000;

let state = null;
let here = null; // the view shown: {user, chat} ids
let feed = null;
let context = null; // {kind: "reply" | "edit", message}
let picked = -1;
let keyboardHidden = false;
const drafts = new Map();
const typing = new Map(); // chat id → time it ends
const busy = new Map(); // callback query id → button

// ---------------------------------------------------------------- small things

function make(tag, properties = {}, ...children) {
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

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

const key = (view) => `${view.user}/${view.chat}`;
const userOf = (id) => state.users.find((user) => user.id === id);
const chatOf = (id) => state.chats.find((chat) => chat.id === id);
const tone = (id) => Math.abs(id) % 6;
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const day = (seconds) => new Date(seconds * 1000).toDateString();

function dayName(seconds) {
  if (day(seconds) === day(Date.now() / 1000)) return "Today";
  return new Date(seconds * 1000).toLocaleDateString([], { day: "numeric", month: "long" });
}

function avatar(name, id, extra = "") {
  return make("span", { class: `avatar ${extra}`, "data-tone": tone(id), "aria-hidden": "true" }, name.slice(0, 1));
}

async function send(act, body) {
  try {
    const answer = await fetch(`/chat/${act}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const told = await answer.json();
    if (!answer.ok) toast(told.error);
    return answer.ok ? told.result : null;
  } catch {
    toast("Not sent: the sandbox does not answer.");
    return null;
  }
}

function toast(text) {
  const shown = make("div", { class: "toast" }, text);
  $("toasts").append(shown);
  setTimeout(() => shown.remove(), TOAST_MS);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied to the clipboard.");
  } catch {
    toast("The browser did not allow copying.");
  }
}

function ask(text, { cancel = false, choices = [] } = {}) {
  const dialog = $("dialog");
  $("dialog-text").textContent = text;
  $("dialog-cancel").hidden = !cancel;
  $("dialog-choices").replaceChildren(
    ...choices.map(({ value, label }) => make("label", {}, make("input", { type: "checkbox", value }), label)),
  );
  dialog.returnValue = "";
  dialog.showModal();
  $("dialog-ok").focus();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const ticked = [...dialog.querySelectorAll("input:checked")].map((box) => Number(box.value));
        resolve(dialog.returnValue === "ok" ? ticked : null);
      },
      { once: true },
    );
  });
}

// ---------------------------------------------------------------- what was read

function readUpTo() {
  try {
    const kept = JSON.parse(localStorage.getItem("read") ?? "{}");
    return kept.world === state.world ? kept.views : {};
  } catch {
    return {};
  }
}

function markRead(view) {
  const messages = chatOf(view.chat).messages;
  const views = readUpTo();
  views[key(view)] = messages.length ? messages[messages.length - 1].message_id : 0;
  try {
    localStorage.setItem("read", JSON.stringify({ world: state.world, views }));
  } catch {
    // Without storage the badges are forgotten at a reload, nothing else.
  }
}

function unread(view) {
  const last = readUpTo()[key(view)] ?? 0;
  return chatOf(view.chat).messages.filter((m) => m.message_id > last && m.sender_id !== view.user && !service(m)).length;
}

// ---------------------------------------------------------------- the list on the left

function views() {
  const sections = [
    { title: "Private chats", items: state.chats.filter((chat) => chat.type === "private").map((chat) => ({ user: chat.id, chat: chat.id })) },
  ];
  for (const chat of state.chats.filter((one) => one.type === "group" || one.type === "supergroup")) {
    const inside = state.users.filter((user) => ["creator", "administrator", "member", "restricted"].includes(chat.members[user.id]));
    sections.push({ title: chat.title, items: inside.map((user) => ({ user: user.id, chat: chat.id })) });
  }
  return sections.filter((section) => section.items.length);
}

function drawPeople() {
  $("people").replaceChildren(
    ...views().flatMap(({ title, items }) => [
      make("h2", {}, title),
      make("ul", {}, ...items.map((view) => make("li", {}, row(view)))),
    ]),
  );
  const waiting = views().flatMap((section) => section.items).reduce((sum, view) => sum + unread(view), 0);
  document.title = waiting ? `(${waiting}) Sandbox chat` : "Sandbox chat";
}

function row(view) {
  const chat = chatOf(view.chat);
  const user = userOf(view.user);
  const isPrivate = chat.type === "private";
  const last = chat.messages[chat.messages.length - 1];
  const count = unread(view);
  const current = here && key(here) === key(view);
  return make(
    "button",
    {
      type: "button",
      class: "row",
      "data-view": key(view),
      "aria-current": current ? "true" : null,
      onclick: () => open(view, true),
    },
    avatar(user.first_name, user.id),
    make(
      "span",
      { class: "row-words" },
      make(
        "span",
        { class: "row-name" },
        isPrivate ? user.first_name : `as ${user.first_name}`,
        user.role ? make("small", {}, isPrivate ? `· ${user.role}` : user.role) : null,
      ),
      make("span", { class: "row-last" }, last ? preview(last, view) : "Nothing said yet"),
    ),
    make(
      "span",
      { class: "row-side" },
      last ? make("span", { class: "row-time" }, clock(last.date)) : null,
      count ? make("span", { class: "badge", "aria-label": `${count} unread` }, String(count)) : null,
    ),
  );
}

function preview(message, view) {
  const text = service(message) ?? message.text ?? message.caption ?? message.document?.file_name ?? "Photo";
  const line = text.replace(/\s+/g, " ");
  if (service(message)) return line;
  if (message.sender_id === view.user) return `You: ${line}`;
  return view.chat === view.user ? line : `${nameOf(message)}: ${line}`;
}

// ---------------------------------------------------------------- one chat

function open(view, byHand = false) {
  if (here) drafts.set(key(here), $("text").value);
  here = view;
  context = null;
  keyboardHidden = false;
  history.replaceState(null, "", `#${key(view)}`);
  $("app").dataset.screen = "chat";
  $("text").value = drafts.get(key(view)) ?? "";
  markRead(view);
  drawPeople();
  drawChat();
  if (byHand && matchMedia("(min-width: 761px)").matches) $("text").focus();
}

function drawChat() {
  drawHead();
  drawLog();
  drawComposer();
  toEnd();
}

function drawHead() {
  const chat = chatOf(here.chat);
  const user = userOf(here.user);
  const isPrivate = chat.type === "private";
  const name = isPrivate ? state.bot.first_name : chat.title;
  $("title").textContent = name;
  const fresh = avatar(name, chat.id, isPrivate ? "bot" : "");
  fresh.id = "avatar";
  $("avatar").replaceWith(fresh);
  $("self").replaceChildren("You are ", make("strong", {}, user.first_name));
  drawSubtitle();
  drawPinned(chat);
}

function drawSubtitle() {
  const chat = chatOf(here.chat);
  const acting = (typing.get(chat.id) ?? 0) > Date.now();
  const people = Object.values(chat.members).filter((status) => !["left", "kicked"].includes(status)).length;
  const still = chat.type === "private" ? `bot · @${state.bot.username}` : `${people} members`;
  const words = chat.type === "private" ? "typing…" : `${state.bot.first_name} is typing…`;
  $("subtitle").textContent = acting ? words : still;
  $("subtitle").classList.toggle("acting", acting);
}

function drawPinned(chat) {
  const message = chat.messages.find((one) => one.message_id === chat.pinned[chat.pinned.length - 1]);
  $("pinned").hidden = !message;
  if (message) $("pinned").replaceChildren(icon("pin"), make("span", {}, (message.text ?? "Pinned message").split("\n")[0]));
  $("pinned").onclick = () => reveal(message.message_id);
}

// Only what changed is drawn again: a spoiler once opened stays open, and the focus stays where it is.
let drawn = new Map(); // what a node shows → the node

function drawLog() {
  const chat = chatOf(here.chat);
  const next = new Map();
  const keep = (signature, build) => {
    const node = drawn.get(signature) ?? build();
    next.set(signature, node);
    return node;
  };
  chat.messages.forEach((message, index) => {
    const before = chat.messages[index - 1];
    if (!before || day(before.date) !== day(message.date)) {
      keep(`day ${day(message.date)}`, () => make("div", { class: "day" }, dayName(message.date)));
    }
    const node = keep(JSON.stringify([key(here), message]), () => messageNode(chat, message));
    node.classList.toggle("first", !together(before, message));
    node.classList.toggle("last", !together(message, chat.messages[index + 1]));
  });
  if (!chat.messages.length) keep(`hello ${chat.id} ${state.bot.description}`, () => hello(chat));
  drawn = next;
  const log = $("log");
  const wanted = [...next.values()];
  const stay = new Set(wanted);
  [...log.children].filter((node) => !stay.has(node)).forEach((node) => node.remove());
  wanted.forEach((node, index) => log.children[index] !== node && log.insertBefore(node, log.children[index] ?? null));
}

function hello(chat) {
  const text = chat.type === "private" ? state.bot.description || "Press Start to talk to the bot." : "No messages yet.";
  return make("div", { class: "hello" }, make("strong", {}, chat.type === "private" ? state.bot.first_name : chat.title), make("p", {}, text));
}

const together = (one, other) =>
  one && other && !service(one) && !service(other) && one.sender_id === other.sender_id && day(one.date) === day(other.date) && Math.abs(one.date - other.date) < 300;

function messageNode(chat, message) {
  const said = service(message);
  if (said) return make("div", { class: "service", "data-id": message.message_id }, said);
  const mine = message.sender_id === here.user && !message.sender_chat;
  const group = chat.type !== "private" && !mine;
  const rows = message.reply_markup?.inline_keyboard ?? [];
  const classes = ["message", mine && "mine", group && "group", rows.length && "with-buttons"];
  const name = nameOf(message);
  return make(
    "article",
    { class: classes.filter(Boolean).join(" "), "data-id": message.message_id, "aria-label": `${mine ? "You" : name}, ${clock(message.date)}` },
    group ? avatar(name, message.sender_id, message.from_bot ? "small bot" : "small") : null,
    make("div", { class: "block" }, bubble(chat, message, group), rows.length ? keys(message, rows) : null),
    tools(message, mine),
  );
}

function bubble(chat, message, named) {
  const topic = chat.topics[message.message_thread_id];
  const origin = message.forward_origin;
  return make(
    "div",
    { class: "bubble" },
    named ? make("strong", { class: "sender", "data-tone": message.from_bot ? null : tone(message.sender_id) }, nameOf(message)) : null,
    topic ? make("span", { class: "topic" }, `# ${topic}`) : null,
    origin ? make("span", { class: "forwarded" }, `Forwarded from ${origin.sender_user?.first_name ?? origin.sender_user_name ?? "elsewhere"}`) : null,
    message.reply_to_message ? quotedNode(message.reply_to_message) : null,
    attachment(message),
    make("span", { class: "words" }, rich(message.text ?? message.caption ?? "", message.entities ?? message.caption_entities ?? [])),
    make("span", { class: "meta" }, message.edited ? `edited ${clock(message.date)}` : clock(message.date)),
    message.reactions.length ? make("div", { class: "reactions" }, ...message.reactions.map((one) => make("span", {}, one.emoji))) : null,
  );
}

function quotedNode(quoted) {
  return make(
    "button",
    { type: "button", class: "quoted", onclick: () => reveal(quoted.message_id), "aria-label": "Show the message this answers" },
    make("strong", {}, quoted.from?.first_name ?? "Message"),
    make("span", {}, (quoted.text ?? quoted.caption ?? "File").split("\n")[0]),
  );
}

function attachment(message) {
  const file = message.document ?? message.photo?.[0];
  if (!file) return null;
  const address = `/chat/file/${encodeURIComponent(file.file_id)}`;
  const card = make(
    "a",
    { class: "file", href: address, download: file.file_name ?? "photo" },
    make("span", { class: "file-icon" }, icon("file")),
    make("span", {}, make("strong", {}, file.file_name ?? "Photo"), make("small", {}, bytes(file.file_size))),
  );
  if (!message.photo) return card;
  const picture = make("img", { class: "photo", src: address, alt: message.caption ?? "Photo" });
  picture.addEventListener("error", () => picture.replaceWith(card), { once: true });
  return picture;
}

const bytes = (size) => (size < 1024 ? `${size} B` : size < 1048576 ? `${(size / 1024).toFixed(1)} KB` : `${(size / 1048576).toFixed(1)} MB`);

function nameOf(message) {
  if (message.sender_chat) return message.sender_chat.title;
  return userOf(message.sender_id)?.first_name ?? message.from?.first_name ?? "Somebody";
}

function service(message) {
  const who = nameOf(message);
  if (message.new_chat_members) {
    const added = message.new_chat_members.map((user) => user.first_name).join(", ");
    return message.new_chat_members[0].id === message.sender_id ? `${who} joined` : `${who} added ${added}`;
  }
  if (message.left_chat_member) return `${message.left_chat_member.first_name} left`;
  if (message.users_shared) return `${who} shared ${message.users_shared.users.map((user) => user.first_name ?? user.user_id).join(", ")}`;
  if (message.contact) return `${who} shared the contact ${message.contact.first_name}, ${message.contact.phone_number}`;
  if (message.forum_topic_created) return `${who} opened the topic ${message.forum_topic_created.name}`;
  if (message.migrate_to_chat_id || message.migrate_from_chat_id) return "The group became a supergroup";
  return null;
}

function tools(message, mine) {
  const editable = mine && message.text;
  return make(
    "div",
    { class: "tools" },
    editable ? make("button", { type: "button", class: "icon-button", "aria-label": "Edit", onclick: () => startContext("edit", message) }, icon("edit")) : null,
    make("button", { type: "button", class: "icon-button", "aria-label": "Reply", onclick: () => startContext("reply", message) }, icon("reply")),
  );
}

// ---------------------------------------------------------------- text with entities

// Offsets count UTF-16 units, which is how JavaScript counts a string.
function rich(text, entities) {
  const fragment = document.createDocumentFragment();
  const sorted = [...entities].sort((a, b) => a.offset - b.offset || b.length - a.length);
  weave(fragment, text, sorted, 0, text.length);
  return fragment;
}

function weave(parent, text, entities, from, to) {
  let at = from;
  while (entities.length && entities[0].offset < to) {
    const entity = entities.shift();
    if (entity.offset < at) continue;
    const end = Math.min(entity.offset + entity.length, to);
    parent.append(text.slice(at, entity.offset));
    const node = wrapper(entity, text.slice(entity.offset, end));
    weave(node, text, entities, entity.offset, end);
    if (entity.type === "date_time") startTime(node);
    parent.append(node);
    at = end;
  }
  parent.append(text.slice(at, to));
}

const TAGS = { bold: "strong", italic: "em", underline: "u", strikethrough: "s", code: "code", pre: "pre" };

function wrapper(entity, text) {
  const build = WRAPPERS[entity.type];
  if (build) return build(entity, text);
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
const copied = (tag, text) => pressable(make(tag, { title: "Copy" }), `Copy ${text}`, () => copy(text));

const WRAPPERS = {
  code: (_, text) => copied("code", text),
  pre: (entity, text) => {
    const node = copied("pre", text);
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
  bot_command: (_, text) => pressable(make("span", { class: "command" }), null, () => say(text)),
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

setInterval(() => {
  document.querySelectorAll("time[data-format]:not([data-format=''])").forEach(tick);
  if (here) drawSubtitle();
}, 1000);

// ---------------------------------------------------------------- inline buttons

function keys(message, rows) {
  const drawn = rows.map((buttons) => make("div", { class: "buttons-row" }, ...buttons.map((button) => inlineKey(message, button))));
  return make("div", { class: "buttons", role: "group", "aria-label": "Buttons of this message" }, ...drawn);
}

function inlineKey(message, button) {
  const node = make("button", { type: "button", class: "key", "data-style": button.style }, button.text);
  if (button.copy_text) node.append(icon("copy"));
  else if (button.url) node.append(icon("link"));
  node.addEventListener("click", () => pressInline(node, message, button));
  return node;
}

async function pressInline(node, message, button) {
  if (button.copy_text) return copy(button.copy_text.text);
  if (button.url) {
    if (!/^https?:\/\//i.test(button.url)) return toast(button.url);
    if (await ask(`Open this link?\n${button.url}`, { cancel: true })) window.open(button.url, "_blank", "noopener,noreferrer");
    return;
  }
  if (!button.callback_data || node.getAttribute("aria-busy") === "true") return;
  node.setAttribute("aria-busy", "true");
  const body = { user_id: here.user, chat_id: here.chat, message_id: message.message_id, button: button.callback_data };
  const query = await send("press", body);
  if (!query || answered.has(query.id)) return node.removeAttribute("aria-busy");
  busy.set(query.id, node);
  setTimeout(() => settle(query.id), ANSWER_PATIENCE_MS);
}

const answered = new Set(); // an answer may overtake the reply to the press

function settle(queryId) {
  answered.add(queryId);
  busy.get(queryId)?.removeAttribute("aria-busy");
  busy.delete(queryId);
}

// ---------------------------------------------------------------- writing

function drawComposer() {
  const chat = chatOf(here.chat);
  const fresh = chat.type === "private" && !chat.started;
  $("start").hidden = !fresh && !chat.blocked;
  $("start").textContent = chat.blocked ? "Unblock" : "Start";
  $("write").hidden = fresh || chat.blocked;
  $("menu").hidden = !menu().length;
  drawContext();
  drawKeyboard(chat);
  closeCompletion();
  grow();
}

const menu = () => state.menus[key(here)] ?? [];

function startContext(kind, message) {
  context = { kind, message };
  if (kind === "edit") $("text").value = message.text;
  drawContext();
  grow();
  $("text").focus();
}

function drawContext() {
  $("context").hidden = !context;
  if (!context) return;
  $("context").querySelector("use").setAttribute("href", `#icon-${context.kind}`);
  $("context-title").textContent = context.kind === "edit" ? "Edit message" : `Reply to ${nameOf(context.message)}`;
  $("context-text").textContent = (context.message.text ?? context.message.caption ?? "File").split("\n")[0];
}

function endContext() {
  if (context?.kind === "edit") $("text").value = "";
  context = null;
  drawContext();
  grow();
}

async function say(text) {
  const doing = context;
  context = null;
  drawContext();
  if (doing?.kind === "edit") {
    return send("edit", { user_id: here.user, chat_id: here.chat, message_id: doing.message.message_id, text });
  }
  const body = { user_id: here.user, chat_id: here.chat, text };
  if (doing) body.reply_to = doing.message.message_id;
  return send("say", body);
}

async function submit() {
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  closeCompletion();
  grow();
  if (!(await say(text)) && !$("text").value) $("text").value = text;
}

function grow() {
  const box = $("text");
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, 168)}px`;
}

function drawKeyboard(chat) {
  const markup = chat.keyboard;
  $("keyboard-toggle").hidden = !markup;
  $("keyboard").hidden = !markup || keyboardHidden;
  $("keyboard-toggle").setAttribute("aria-expanded", String(!keyboardHidden));
  $("text").placeholder = markup?.input_field_placeholder || "Message";
  const rows = (markup?.keyboard ?? []).map((buttons) =>
    make(
      "div",
      { class: "buttons-row" },
      ...buttons.map((button) =>
        make("button", { type: "button", class: "key", "data-style": button.style, onclick: () => pressReply(button, markup) }, button.text),
      ),
    ),
  );
  $("keyboard").replaceChildren(...rows);
}

async function pressReply(button, markup) {
  if (markup.one_time_keyboard) keyboardHidden = true;
  if (button.request_users) {
    const choices = state.users.filter((user) => user.id !== here.user).map((user) => ({ value: user.id, label: `${user.first_name} · ${user.id}` }));
    const users = await ask("Whom do you want to share?", { cancel: true, choices });
    if (users?.length) await send("share_users", { user_id: here.user, request_id: button.request_users.request_id, users });
  } else if (button.request_contact) {
    await send("send_contact", { user_id: here.user, phone_number: `+1555${String(here.user).padStart(7, "0")}` });
  } else {
    await say(button.text);
  }
  drawKeyboard(chatOf(here.chat));
}

// ---------------------------------------------------------------- the command menu

function complete(all = false) {
  const typed = /^\/(\w*)$/.exec($("text").value);
  if (!typed && !all) return closeCompletion();
  const wanted = all ? "" : typed[1].toLowerCase();
  const offers = menu()
    .filter((one) => one.command.startsWith(wanted))
    .sort((a, b) => Number(b.command === wanted) - Number(a.command === wanted));
  if (!offers.length) return closeCompletion();
  $("completion").replaceChildren(
    ...offers.map((one, index) =>
      make(
        "li",
        { role: "option", id: `offer-${index}`, "data-command": one.command, onmousedown: (event) => take(event, one.command) },
        make("strong", {}, `/${one.command}`),
        make("span", {}, one.description),
      ),
    ),
  );
  $("completion").hidden = false;
  $("text").setAttribute("aria-expanded", "true");
  $("menu").setAttribute("aria-expanded", "true");
  pick(0);
}

function closeCompletion() {
  picked = -1;
  $("completion").hidden = true;
  $("text").setAttribute("aria-expanded", "false");
  $("menu").setAttribute("aria-expanded", "false");
  $("text").removeAttribute("aria-activedescendant");
}

function pick(index) {
  const offers = [...$("completion").children];
  picked = (index + offers.length) % offers.length;
  offers.forEach((offer, place) => offer.setAttribute("aria-selected", String(place === picked)));
  offers[picked].scrollIntoView({ block: "nearest" });
  $("text").setAttribute("aria-activedescendant", offers[picked].id);
}

function take(event, command) {
  event.preventDefault();
  $("text").value = `/${command}`;
  submit();
}

function onCompletionKey(event) {
  const command = $("completion").children[picked].dataset.command;
  if (event.key === "ArrowDown") pick(picked + 1);
  else if (event.key === "ArrowUp") pick(picked - 1);
  else if (event.key === "Escape") closeCompletion();
  else if (event.key === "Tab" && !event.shiftKey) {
    $("text").value = `/${command} `;
    closeCompletion();
  } else if (event.key === "Enter" && !event.shiftKey) take(event, command);
  else return false;
  event.preventDefault();
  return true;
}

function editLast() {
  const own = chatOf(here.chat).messages.filter((message) => message.sender_id === here.user && message.text);
  if (own.length) startContext("edit", own[own.length - 1]);
}

$("text").addEventListener("input", () => {
  grow();
  complete();
});
$("text").addEventListener("blur", closeCompletion);
$("text").addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (!$("completion").hidden && onCompletionKey(event)) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    submit();
  } else if (event.key === "Escape" && context) endContext();
  else if (event.key === "ArrowUp" && !$("text").value) {
    event.preventDefault();
    editLast();
  }
});
$("write").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
  $("text").focus();
});
$("menu").addEventListener("mousedown", (event) => event.preventDefault());
$("menu").addEventListener("click", () => {
  const shown = !$("completion").hidden;
  $("text").focus();
  if (shown) closeCompletion();
  else complete(true);
});
$("keyboard-toggle").addEventListener("click", () => {
  keyboardHidden = !keyboardHidden;
  drawKeyboard(chatOf(here.chat));
});
$("context-close").addEventListener("click", endContext);
$("start").addEventListener("click", async () => {
  if (chatOf(here.chat).blocked) await send("unblock", { user_id: here.user });
  else await say("/start");
  $("text").focus();
});
$("back").addEventListener("click", () => {
  drafts.set(key(here), $("text").value);
  $("app").dataset.screen = "list";
  const left = here;
  here = null;
  history.replaceState(null, "", location.pathname);
  drawPeople();
  document.querySelector(`[data-view="${key(left)}"]`)?.focus();
});

// ---------------------------------------------------------------- scrolling

const atEnd = () => $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 80;

function toEnd() {
  $("log").scrollTop = $("log").scrollHeight;
  $("to-end").hidden = true;
}

function reveal(messageId) {
  const node = $("log").querySelector(`[data-id="${messageId}"]`);
  if (!node) return toast("That message is gone.");
  node.scrollIntoView({ block: "center", behavior: "smooth" });
  node.classList.add("target");
  setTimeout(() => node.classList.remove("target"), 1500);
}

$("log").addEventListener("scroll", () => ($("to-end").hidden = atEnd()));
$("to-end").addEventListener("click", toEnd);
new ResizeObserver(() => atEnd() && toEnd()).observe($("log"));

// ---------------------------------------------------------------- the SMSCode account beside the chat

const OUTSIDE_MS = 1000;
const FIRST_ORDER = "/order whatsapp indonesia";
const rented = new Map(); // order id → its card, kept so that a button keeps its focus while figures change

const rupiah = (amount) => `Rp ${amount.toLocaleString("de-DE")}`;
const orderer = () => state.users.find((user) => user.role === "operator") ?? state.users[0];

async function lookOutside() {
  $("side").hidden = !state?.outside;
  if (!state?.outside || document.hidden || !$("banner").hidden) return;
  try {
    const answer = await fetch("/world/world");
    if (answer.ok) drawOutside(await answer.json());
  } catch {
    // The banner says that the sandbox does not answer.
  }
}

function drawOutside(outside) {
  $("balance").textContent = rupiah(outside.balance);
  $("spent").textContent = rupiah(outside.books.spent);
  const most = outside.requests_per_minute;
  $("requests").textContent = most === null ? String(outside.requests_last_minute) : `${outside.requests_last_minute} of ${most}`;
  const live = new Map(outside.live_orders.map((order) => [order.order_id, order]));
  for (const [id, card] of rented) {
    if (live.has(id)) continue;
    card.remove();
    rented.delete(id);
  }
  for (const [id, order] of live) {
    if (!rented.has(id)) {
      rented.set(id, numberCard(order));
      $("numbers").prepend(rented.get(id));
    }
    fillNumber(rented.get(id), order);
  }
  $("no-numbers").hidden = live.size > 0;
  $("try-it").textContent = `Order one as ${orderer().first_name}`;
}

function numberCard(order) {
  const button = make("button", { type: "button", class: "soft-button" }, "SMS arrives now");
  button.addEventListener("click", () => sendSms(button, order.order_id));
  return make(
    "li",
    { class: "number", "data-order": order.order_id },
    make("div", { class: "number-head" }, make("strong", {}, order.phone_number), make("span", { class: "number-state" })),
    make("p", {}, `${order.platform} · ${order.country} · ${rupiah(order.price)}`),
    make("p", { class: "number-time" }),
    button,
  );
}

function fillNumber(card, order) {
  const minutes = Math.ceil(order.seconds_left / 60);
  card.toggleAttribute("data-coded", order.messages > 0);
  card.querySelector(".number-state").textContent = order.messages ? `${order.messages} SMS` : "waiting";
  card.querySelector(".number-time").textContent = order.otp_code
    ? `latest code ${order.otp_code}`
    : `window closes in ${minutes} min`;
  card.querySelector("button").textContent = order.messages ? "Another SMS arrives" : "SMS arrives now";
}

async function sendSms(button, orderId) {
  button.disabled = true;
  try {
    const answer = await fetch(`/world/orders/${encodeURIComponent(orderId)}/sms`, { method: "POST" });
    if (!answer.ok) toast((await answer.json()).error.message);
  } catch {
    toast("Not sent: the sandbox does not answer.");
  }
  button.disabled = false;
  button.focus();
  lookOutside();
}

$("try-it").addEventListener("click", () => {
  const id = orderer().id;
  open({ user: id, chat: id });
  if (!$("write").hidden) $("text").value = FIRST_ORDER;
  $("text").focus();
});
setInterval(lookOutside, OUTSIDE_MS);

// ---------------------------------------------------------------- what the server tells

async function fetchState() {
  const answer = await fetch("/chat/state");
  if (!answer.ok) throw new Error(`state: ${answer.status}`);
  state = await answer.json();
}

// Something wide changed, or this page missed too much: read everything and draw it where the person stands.
async function refresh() {
  await fetchState();
  const still = here && views().some(({ items }) => items.some((view) => key(view) === key(here)));
  if (!still) return show();
  drawHead();
  $("menu").hidden = !menu().length;
  redraw(here.chat);
}

async function load() {
  await fetchState();
  show();
  lookOutside();
}

function show() {
  const known = views().flatMap((section) => section.items);
  const wanted = here ? key(here) : decodeURIComponent(location.hash.slice(1));
  const view = known.find((one) => key(one) === wanted);
  if (view) open(view);
  else if (matchMedia("(min-width: 761px)").matches && known.length) open(known[0]);
  else {
    here = null;
    $("app").dataset.screen = "list";
    drawPeople();
  }
}

const ON = {
  message: (event) => put(event, true),
  edited: (event) => put(event, false),
  deleted: ({ chat_id, message_id }) => {
    const chat = chatOf(chat_id);
    chat.messages = chat.messages.filter((message) => message.message_id !== message_id);
    redraw(chat_id);
  },
  answer: (event) => {
    settle(event.query_id);
    if (here?.user !== event.user_id || here.chat !== event.chat_id || !event.text) return;
    if (event.show_alert) ask(event.text);
    else toast(event.text);
  },
  action: ({ chat_id }) => {
    typing.set(chat_id, Date.now() + TYPING_MS);
    if (here?.chat === chat_id) drawSubtitle();
  },
  pinned: refresh,
  menu: refresh,
  reset: refresh,
};

function put({ chat_id, message, keyboard }, isNew) {
  const chat = chatOf(chat_id);
  if (!chat) return refresh();
  const index = chat.messages.findIndex((one) => one.message_id === message.message_id);
  if (message.deleted) return;
  if (index >= 0) chat.messages[index] = message;
  else chat.messages.push(message);
  if (isNew) arrived(chat, message, keyboard);
  redraw(chat_id, isNew && index < 0 ? message.message_id : null);
}

function arrived(chat, message, keyboard) {
  if (message.from_bot) typing.delete(chat.id);
  else chat.started = true;
  if (JSON.stringify(chat.keyboard) !== JSON.stringify(keyboard)) keyboardHidden = false;
  chat.keyboard = keyboard;
  if (here?.chat !== chat.id || message.sender_id === here.user) return;
  $("announcer").textContent = `${nameOf(message)}: ${message.text ?? message.caption ?? "file"}`;
}

function redraw(chatId, freshId = null) {
  if (here?.chat === chatId) {
    const own = freshId !== null && chatOf(chatId).messages.at(-1)?.sender_id === here.user;
    const stay = atEnd() || own;
    const top = $("log").scrollTop;
    markRead(here);
    keepingFocus(drawLog);
    drawSubtitle();
    refreshComposer();
    if (stay) toEnd();
    else $("log").scrollTop = top;
    if (freshId !== null) $("log").querySelector(`[data-id="${freshId}"]`)?.classList.add("fresh");
  }
  drawPeopleKeepingFocus();
}

// The list is short and drawn anew; whoever moves in it by keyboard stays on the same row.
function drawPeopleKeepingFocus() {
  const held = document.activeElement?.dataset?.view;
  drawPeople();
  if (held) document.querySelector(`[data-view="${held}"]`)?.focus();
}

// A message that is drawn again because it was edited keeps the focus on its button, where it still has one.
function keepingFocus(draw) {
  const held = document.activeElement?.closest?.(".message");
  const place = held ? [...held.querySelectorAll("button")].indexOf(document.activeElement) : -1;
  draw();
  if (!held || held.isConnected) return;
  const again = $("log").querySelector(`[data-id="${held.dataset.id}"]`);
  const target = again?.querySelectorAll("button")[place] ?? $("text");
  target.focus();
}

function refreshComposer() {
  const chat = chatOf(here.chat);
  $("start").hidden = chat.started || chat.type !== "private" ? !chat.blocked : false;
  $("write").hidden = !$("start").hidden;
  drawKeyboard(chat);
}

function listen() {
  feed = new EventSource(`/chat/events?after=${state.world}-${state.event}`);
  feed.onopen = () => ($("banner").hidden = true);
  feed.onmessage = (event) => {
    const told = JSON.parse(event.data);
    ON[told.kind]?.(told);
  };
  feed.onerror = () => {
    $("banner").hidden = false;
    if (feed.readyState !== EventSource.CLOSED) return;
    setTimeout(begin, 1000);
  };
}

async function begin() {
  try {
    await load();
    listen();
  } catch {
    $("banner").hidden = false;
    setTimeout(begin, 1000);
  }
}

begin();
