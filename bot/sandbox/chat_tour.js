// The guided path: each step says what it shows, does its acts one by one, and notices in the chat that they were seen.

import { make } from "./chat_words.js";

const $ = (id) => document.getElementById(id);
const GLANCE_MS = 900; // for a look at what has just come, before the next chat is opened
const TYPING_MS = 350;

// `desk` is the chat, `outside` the world beside it. Whoever follows may also do each act by hand; that is noticed too.
export function createTour(desk, outside) {
  let steps = [];
  let at = null; // {step, act, since: chat id → its last message id as the act began, lives, waits}; null: not under way
  let shown = 0; // the step that is looked at; it may lie before the one under way

  const keptAs = () => `tour ${desk.state.world}`;
  const store = (where, value) => {
    try {
      where.setItem(keptAs(), value);
    } catch {
      // Without storage the tour starts over at a reload, nothing else.
    }
  };
  const kept = (where) => {
    try {
      return where.getItem(keptAs());
    } catch {
      return null;
    }
  };
  const keep = () => store(sessionStorage, JSON.stringify({ at, shown }));

  async function load() {
    const answer = await fetch("/backstage/tour");
    steps = answer.ok ? (await answer.json()).steps : [];
    $("tour-open").hidden = !steps.length;
    if (!steps.length) return;
    const before = JSON.parse(kept(sessionStorage) ?? "null");
    if (before?.at) ({ at, shown } = before);
    if (at) draw();
    else if (!kept(localStorage)) invite();
  }

  function invite() {
    $("tour").hidden = false;
    $("tour-progress").hidden = true;
    $("tour-place").textContent = "New here?";
    $("tour-title").textContent = "From a stranger to a code, in two minutes";
    $("tour-says").textContent = `${steps.length} steps show what a team does with the desk all day. The bot is the real one.`;
    $("tour-acts").replaceChildren();
    $("tour-back").hidden = true;
    $("tour-do").hidden = false;
    $("tour-do").textContent = "Take the tour";
    $("tour-next").textContent = "Not now";
    $("tour-next").className = "plain";
  }

  async function start() {
    shown = 0;
    // While it runs an SMS comes when it is told to, so that nobody has to hurry.
    await outside.turn("arrivals", false);
    enter(0);
    $("tour-title").scrollIntoView({ block: "nearest" });
  }

  function enter(step) {
    shown = step;
    begin(step, 0);
    openFor(steps[step].acts[0]);
  }

  function begin(step, act) {
    const since = Object.fromEntries(desk.state.chats.map((chat) => [chat.id, chat.messages.at(-1)?.message_id ?? 0]));
    at = { step, act, since, lives: null, waits: false };
    keep();
    draw();
  }

  function leave() {
    at = null;
    $("tour").hidden = true;
    store(localStorage, "left");
    store(sessionStorage, "null");
    outside.turn("arrivals", true);
    $("tour-open").focus();
  }

  const listener = (act) => act.hears || act.by;
  const isOver = (step) => at.step > step || (at.step === step && at.act >= steps[step].acts.length);
  const current = () => steps[at.step].acts[at.act];

  function openFor(act) {
    if (act && (act.kind === "say" || act.kind === "press")) desk.open({ user: act.by, chat: act.by });
  }

  // ---------------------------------------------------------------- what is shown

  function draw() {
    const step = steps[shown];
    const over = isOver(shown);
    $("tour").hidden = false;
    $("tour-progress").hidden = false;
    $("tour-progress").max = steps.length;
    $("tour-progress").value = shown + (over ? 1 : 0);
    $("tour-place").textContent = `Step ${shown + 1} of ${steps.length}`;
    $("tour-title").textContent = step.title;
    $("tour-says").textContent = step.says;
    $("tour-acts").replaceChildren(...step.acts.map((act, index) => make("li", { "data-state": stateOf(index, over) }, make("span", {}, ...words(act)))));
    $("tour-back").hidden = false;
    $("tour-back").disabled = shown === 0;
    $("tour-do").hidden = over;
    $("tour-do").textContent = "Do it";
    $("tour-next").textContent = shown === steps.length - 1 ? "Finish" : "Next";
    $("tour-next").className = over ? "strong" : "plain";
  }

  function stateOf(index, over) {
    if (over || index < at.act) return "done";
    if (index > at.act) return "later";
    return at.waits ? "wait" : "now";
  }

  function words(act) {
    const who = desk.userOf(act.by).first_name;
    if (act.kind === "say") return [`${who} types `, make("code", {}, act.what)];
    if (act.kind === "press") return [`${who} presses “${act.what}”`];
    if (act.kind === "sms") return ["An SMS arrives at the number"];
    if (act.kind === "kill") return ["The bot's process is killed, and started again"];
    return ["The next answer of SMSCode gets lost"];
  }

  // ---------------------------------------------------------------- doing an act

  async function perform() {
    const act = current();
    shown = at.step;
    at.waits = true;
    keep();
    draw();
    openFor(act);
    const done = await DOING[act.kind](act);
    if (!done && at) {
      at.waits = false;
      draw();
    } else if (act.kind === "lose") seen();
  }

  const DOING = {
    async say(act) {
      $("text").value = act.what;
      await pause(TYPING_MS);
      $("text").value = "";
      return desk.send("say", { user_id: act.by, chat_id: act.by, text: act.what });
    },
    async press(act) {
      const messages = desk.chatOf(act.by).messages;
      const holder = messages.findLast((one) => (one.reply_markup?.inline_keyboard ?? []).flat().some((key) => key.text === act.what));
      if (!holder) return desk.toast(`The button “${act.what}” is not there any more.`);
      const key = [...document.querySelectorAll(`[data-id="${holder.message_id}"] .key`)].find((one) => one.textContent === act.what);
      key?.classList.add("shown-by-tour");
      await pause(TYPING_MS);
      key?.classList.remove("shown-by-tour");
      return desk.send("press", { user_id: act.by, chat_id: act.by, message_id: holder.message_id, button: act.what });
    },
    async sms() {
      await outside.look();
      const order = outside.latestOrder();
      return order ? outside.sendSms(order) : desk.toast("No number is rented at the moment.");
    },
    kill: () => outside.kill(),
    lose: () => outside.post("/world/faults", { kind: "reset_after", route: "POST /v1/orders/create" }),
  };

  const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  // ---------------------------------------------------------------- noticing that it was seen

  function notice({ chat_id, message }) {
    if (!at || isOver(at.step)) return;
    const act = current();
    if (act.kind === "kill" || act.kind === "lose" || message.message_id <= (at.since[chat_id] ?? 0)) return;
    const wanted = (act.seen || act.what).toLowerCase();
    const from = act.seen ? message.from_bot && chat_id === listener(act) : message.sender_id === act.by && chat_id === act.by;
    if (from && (message.text ?? message.caption ?? "").toLowerCase().includes(wanted)) seen();
  }

  // A kill has been seen once the bot lives again.
  function noticeBackstage({ bot }) {
    if (!at || !bot || isOver(at.step) || current().kind !== "kill") return;
    if (at.lives === null) at.lives = bot.starts;
    else if (bot.running && bot.starts > at.lives) seen();
  }

  function seen() {
    const { step, act } = at;
    const heardBy = listener(current());
    begin(step, act + 1);
    const next = steps[step].acts[act + 1];
    if (next) setTimeout(() => at?.step === step && at.act === act + 1 && openFor(next), GLANCE_MS);
    else if (shown === step) desk.open({ user: heardBy, chat: heardBy });
  }

  $("tour-do").addEventListener("click", () => (at ? perform() : start()));
  $("tour-next").addEventListener("click", () => {
    if (!at || shown === steps.length - 1) return leave();
    if (shown < at.step) {
      shown += 1;
      keep();
      return draw();
    }
    enter(shown + 1);
    if ($("tour-do").hidden === false) $("tour-do").focus();
  });
  $("tour-back").addEventListener("click", () => {
    shown -= 1;
    keep();
    draw();
  });
  $("tour-close").addEventListener("click", leave);
  $("tour-open").addEventListener("click", () => (at ? draw() : start()));

  return { load, notice, noticeBackstage };
}
