// The chat page. All state lives on the server: this draws it, listens for changes, and sends what a person does.
// Whatever people or the bot wrote reaches the page through text nodes only.

import { addressOf, openFile } from "./chat_files.js";
import { startOutside } from "./chat_outside.js";
import { startTastes } from "./chat_tastes.js";
import { createTour } from "./chat_tour.js";
import { avatar, bytes, icon, make, rich, tickAll, tone } from "./chat_words.js";

const $ = (id) => document.getElementById(id);
const TYPING_MS = 5000;
const TOAST_MS = 4000;
const ANSWER_PATIENCE_MS = 15000;
const GENERAL = "general"; // the topic of a forum whose messages have no topic id
const PRESENT = ["creator", "administrator", "member", "restricted"];

let state = null;
let here = null; // the view shown: {user, chat} ids
let feed = null;
let context = null; // {kind: "reply" | "edit", message}
let picked = -1;
let keyboardHidden = false;
const drafts = new Map();
const typing = new Map(); // chat id → time it ends
const busy = new Map(); // callback query id → button
const speakers = new Map(); // group id → who speaks there from this page
const topicsShown = new Map(); // forum id → the topic looked at, null for all

// ---------------------------------------------------------------- small things

const key = (view) => `${view.user}/${view.chat}`;
const userOf = (id) => state.users.find((user) => user.id === id);
const chatOf = (id) => state.chats.find((chat) => chat.id === id);
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const day = (seconds) => new Date(seconds * 1000).toDateString();

function dayName(seconds) {
  if (day(seconds) === day(Date.now() / 1000)) return "Today";
  return new Date(seconds * 1000).toLocaleDateString([], { day: "numeric", month: "long" });
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

// `choices` are rows of {value, name, hint} to tick, at most `most` of them; the answer is what was ticked, or null.
function ask(text, { cancel = false, choices = [], most = 1 } = {}) {
  const dialog = $("dialog");
  const boxes = choices.map(({ value }) => make("input", { type: most === 1 ? "radio" : "checkbox", name: "choice", value }));
  const ticked = () => boxes.filter((box) => box.checked).map((box) => Number(box.value));
  const check = () => {
    $("dialog-ok").disabled = choices.length > 0 && !ticked().length;
    boxes.forEach((box) => (box.disabled = most > 1 && !box.checked && ticked().length >= most));
  };
  $("dialog-text").textContent = text;
  $("dialog-cancel").hidden = !cancel;
  $("dialog-choices").replaceChildren(
    ...choices.map(({ value, name, hint }, index) =>
      make("label", {}, avatar(name, value), make("span", {}, make("strong", {}, name), make("small", {}, hint)), boxes[index]),
    ),
  );
  boxes.forEach((box) => box.addEventListener("change", check));
  check();
  dialog.returnValue = "";
  dialog.showModal();
  (boxes[0] ?? $("dialog-ok")).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? ticked() : null), { once: true });
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
  views[view.chat] = messages.length ? messages[messages.length - 1].message_id : 0;
  try {
    localStorage.setItem("read", JSON.stringify({ world: state.world, views }));
  } catch {
    // Without storage the badges are forgotten at a reload, nothing else.
  }
}

function unread(view) {
  const last = readUpTo()[view.chat] ?? 0;
  return chatOf(view.chat).messages.filter((m) => m.message_id > last && m.sender_id !== view.user && !service(m)).length;
}

// ---------------------------------------------------------------- the list on the left

const isGroup = (chat) => chat.type === "group" || chat.type === "supergroup";
const insiders = (chat) => state.users.filter((user) => PRESENT.includes(chat.members[user.id]));

// One view a chat: a private one belongs to its person, in a group somebody speaks who can be changed.
function views() {
  const own = state.chats.filter((chat) => chat.type === "private").map((chat) => ({ user: chat.id, chat: chat.id }));
  const groups = state.chats.filter((chat) => isGroup(chat) && insiders(chat).length);
  return [...own, ...groups.map((chat) => ({ user: speakerIn(chat), chat: chat.id }))];
}

function speakerIn(chat) {
  const inside = insiders(chat);
  const chosen = inside.find((user) => user.id === speakers.get(chat.id)) ?? inside.find((user) => user.role === "operator");
  return (chosen ?? inside[0]).id;
}

function drawPeople() {
  $("people").replaceChildren(...views().map((view) => make("li", {}, row(view))));
  const waiting = views().reduce((sum, view) => sum + unread(view), 0);
  document.title = waiting ? `(${waiting}) otpdesk` : "otpdesk";
}

function row(view) {
  const chat = chatOf(view.chat);
  const user = userOf(view.user);
  const isPrivate = chat.type === "private";
  const last = chat.messages[chat.messages.length - 1];
  const count = unread(view);
  const name = isPrivate ? user.first_name : chat.title;
  const acting = isActing(chat.id);
  return make(
    "button",
    {
      type: "button",
      class: "row",
      "data-chat": chat.id,
      "aria-current": here?.chat === chat.id ? "true" : null,
      onclick: () => open(view, true),
    },
    avatar(name, chat.id),
    make(
      "span",
      { class: "row-words" },
      make("span", { class: "row-name" }, name, make("small", {}, isPrivate ? user.role : `${insiders(chat).length + 1} members`)),
      make("span", { class: acting ? "row-last acting" : "row-last", dir: "auto" }, acting ? "typing…" : last ? preview(last, view) : "Nothing said yet"),
    ),
    make(
      "span",
      { class: "row-side" },
      last ? make("span", { class: "row-time" }, clock(last.date)) : null,
      count ? make("span", { class: "badge", role: "img", "aria-label": `${count} unread` }, String(count)) : null,
    ),
  );
}

const isActing = (chatId) => (typing.get(chatId) ?? 0) > Date.now();

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
  if (isGroup(chatOf(view.chat))) speakers.set(view.chat, view.user);
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
  drawSelf(chat, user);
  drawTopics(chat);
  drawSubtitle();
  drawPinned(chat);
}

function drawSelf(chat, user) {
  const words = make("span", {}, "You are ", make("strong", {}, user.first_name));
  const others = isGroup(chat) ? insiders(chat) : [];
  const choices = others.map((one) =>
    make(
      "button",
      {
        type: "button",
        "aria-pressed": String(one.id === user.id),
        "aria-label": `Speak as ${one.first_name}`,
        title: `Speak as ${one.first_name}`,
        "data-speaker": one.id,
        onclick: () => speakAs(one.id),
      },
      avatar(one.first_name, one.id),
    ),
  );
  $("self").replaceChildren(words, ...choices);
}

function speakAs(userId) {
  open({ user: userId, chat: here.chat });
  $("self").querySelector(`[data-speaker="${userId}"]`)?.focus();
}

// A forum shows all of its topics at once, or one; what is written goes into the one that is shown.
function drawTopics(chat) {
  const names = Object.entries(chat.topics);
  $("topics").hidden = !names.length;
  if (!names.length) return;
  const shown = topicsShown.get(chat.id) ?? null;
  const tabs = [[null, "All"], [GENERAL, "General"], ...names];
  $("topics").replaceChildren(
    ...tabs.map(([topic, name]) =>
      make("button", { type: "button", "aria-pressed": String(topic === shown), onclick: () => showTopic(chat, topic) }, name),
    ),
  );
}

function showTopic(chat, topic) {
  topicsShown.set(chat.id, topic);
  drawTopics(chat);
  drawLog();
  toEnd();
  $("topics").querySelector("[aria-pressed=true]").focus();
}

const topicOf = (message) => (message.is_topic_message ? String(message.message_thread_id) : GENERAL);

function messagesShown(chat) {
  const shown = topicsShown.get(chat.id) ?? null;
  return shown === null ? chat.messages : chat.messages.filter((message) => topicOf(message) === shown);
}

function drawSubtitle() {
  const chat = chatOf(here.chat);
  const acting = isActing(chat.id);
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
  const messages = messagesShown(chat);
  messages.forEach((message, index) => {
    const before = messages[index - 1];
    if (!before || day(before.date) !== day(message.date)) {
      keep(`day ${day(message.date)}`, () => make("div", { class: "day" }, dayName(message.date)));
    }
    const node = keep(JSON.stringify([key(here), message]), () => messageNode(chat, message));
    node.classList.toggle("first", !together(before, message));
    node.classList.toggle("last", !together(message, messages[index + 1]));
  });
  if (!messages.length) keep(`hello ${chat.id} ${state.bot.description}`, () => hello(chat));
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
  one && other && topicOf(one) === topicOf(other) && !service(one) && !service(other) && one.sender_id === other.sender_id && day(one.date) === day(other.date) && Math.abs(one.date - other.date) < 300;

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
    topic && (topicsShown.get(chat.id) ?? null) === null ? make("span", { class: "topic" }, `# ${topic}`) : null,
    origin ? make("span", { class: "forwarded" }, `Forwarded from ${origin.sender_user?.first_name ?? origin.sender_user_name ?? "elsewhere"}`) : null,
    message.reply_to_message ? quotedNode(message.reply_to_message) : null,
    attachment(message),
    make("span", { class: "words", dir: "auto" }, rich(message.text ?? message.caption ?? "", message.entities ?? message.caption_entities ?? [], { copy, say })),
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
  const file = message.document ?? message.photo?.at(-1);
  if (!file) return null;
  const name = file.file_name ?? "Photo";
  const show = () => openFile(file, name, message);
  if (!message.photo) {
    const size = make("span", {}, make("strong", {}, name), make("small", {}, bytes(file.file_size)));
    return make("button", { type: "button", class: "file", "aria-label": `Open ${name}`, onclick: show }, make("span", { class: "file-icon" }, icon("file")), size);
  }
  const picture = make("img", { src: addressOf(file), alt: message.caption ?? "Photo", width: file.width, height: file.height });
  picture.addEventListener("load", () => atEnd(400) && toEnd());
  return make("button", { type: "button", class: "photo", "aria-label": `Open the photo: ${message.caption ?? "no caption"}`, onclick: show }, picture);
}

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

// ---------------------------------------------------------------- what runs by the second

setInterval(() => {
  tickAll();
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
  const topic = topicsShown.get(here.chat) ?? GENERAL;
  if (topic !== GENERAL) body.thread_id = Number(topic);
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
    const { user_is_bot: bots, max_quantity: most = 1 } = button.request_users;
    const known = bots ? [] : state.users.filter((user) => user.id !== here.user);
    const choices = known.map((user) => ({ value: user.id, name: user.first_name, hint: user.username ? `@${user.username}` : String(user.id) }));
    const question = choices.length ? `Whom do you want to share with ${state.bot.first_name}?` : "There is nobody to share.";
    const users = await ask(question, { cancel: true, choices, most });
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
  document.querySelector(`[data-chat="${left.chat}"]`)?.focus();
});

// ---------------------------------------------------------------- scrolling

const atEnd = (near = 80) => $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < near;

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

$("log").addEventListener("scroll", () => ($("to-end").hidden = atEnd()), { passive: true });
$("to-end").addEventListener("click", toEnd);
new ResizeObserver(() => atEnd() && toEnd()).observe($("log"));

// ---------------------------------------------------------------- what the server tells

async function fetchState() {
  const answer = await fetch("/chat/state");
  if (!answer.ok) throw new Error(`state: ${answer.status}`);
  state = await answer.json();
}

// Something wide changed, or this page missed too much: read everything and draw it where the person stands.
async function refresh() {
  await fetchState();
  const still = here && views().some((view) => view.chat === here.chat && PRESENT.includes(chatOf(view.chat).members[here.user]));
  if (!still) return show();
  drawHead();
  $("menu").hidden = !menu().length;
  redraw(here.chat);
}

async function load() {
  await fetchState();
  show();
  outside.look();
  if (state.outside) await tour.load();
}

const ring = startTastes(toast);
const desk = {
  get state() {
    return state;
  },
  chatOf,
  userOf,
  open,
  send,
  toast,
};
const outside = startOutside(desk, (backstage) => tour.noticeBackstage(backstage));
const tour = createTour(desk, outside);

// The place in the address is the one to show, as far as it exists: a reload stays where it was.
function show() {
  const [user, chat] = decodeURIComponent(location.hash.slice(1)).split("/").map(Number);
  const place = here ?? { user, chat };
  const known = views();
  const found = known.find((one) => one.chat === place.chat);
  if (found) open(PRESENT.includes(chatOf(found.chat).members[place.user]) ? place : found);
  else if (matchMedia("(min-width: 761px)").matches && known.length) open(known.find((one) => userOf(one.chat)?.role === "operator") ?? known[0]);
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
    drawPeopleKeepingFocus();
    setTimeout(drawPeopleKeepingFocus, TYPING_MS + 50);
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
  if (isNew) tour.notice({ chat_id, message });
  redraw(chat_id, isNew && index < 0 ? message.message_id : null);
}

function arrived(chat, message, keyboard) {
  if (message.from_bot) typing.delete(chat.id);
  else chat.started = true;
  if (JSON.stringify(chat.keyboard) !== JSON.stringify(keyboard)) keyboardHidden = false;
  chat.keyboard = keyboard;
  if (message.from_bot && !message.silent) ring();
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
  const held = document.activeElement?.dataset?.chat;
  drawPeople();
  if (held) document.querySelector(`[data-chat="${held}"]`)?.focus();
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
