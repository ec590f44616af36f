// The world beside the chat: SMSCode's account, what goes wrong at a switch, and the bot's process.

import { make } from "./chat_words.js";

const $ = (id) => document.getElementById(id);
const LOOK_MS = 1000;
const FIRST_ORDER = "/order whatsapp indonesia";
const SWITCHES = [
  ["arrivals", "SMS come by themselves", "a few seconds after an order"],
  ["sold_out", "Sold out", "every number is taken; the desk looks again after a minute"],
  ["rate_limit", "Rate limit", "SMSCode answers 429 to every request"],
  ["smscode_down", "SMSCode down", "every connection breaks"],
  ["telegram_down", "Telegram down", "the bot hears and says nothing"],
];

const rupiah = (amount) => `Rp ${amount.toLocaleString("de-DE")}`;
const rented = new Map(); // order id → its card, kept so that a button keeps its focus while figures change
const drawnSwitches = new Map(); // name → its checkbox

// `desk` is the chat beside it; `heard` is called with what is backstage after each look.
export function startOutside(desk, heard) {
  const orderer = () => desk.state.users.find((user) => user.role === "operator") ?? desk.state.users[0];

  // A look that began before a switch was turned may show it as it was: its word on switches does not count.
  let turns = 0;
  let turning = 0;

  async function ask(path, options) {
    try {
      const answer = await fetch(path, options);
      const told = await answer.json();
      if (!answer.ok) desk.toast(told.error?.message ?? told.error);
      return answer.ok ? told : null;
    } catch {
      if (options) desk.toast("Not done: the sandbox does not answer.");
      return null;
    }
  }

  const post = (path, body) =>
    ask(path, { method: "POST", headers: body ? { "Content-Type": "application/json" } : {}, body: body && JSON.stringify(body) });

  async function look() {
    const there = Boolean(desk.state?.outside);
    for (const id of ["side", "outside-list", "outside-chat"]) $(id).hidden = !there;
    if (!there || document.hidden || !$("banner").hidden) return;
    const began = turns;
    const [world, backstage] = await Promise.all([ask("/world/world"), ask("/backstage/")]);
    if (world) drawWorld(world);
    if (!backstage) return;
    if (!turning && began === turns) drawSwitches(backstage.switches);
    drawBot(backstage.bot);
    heard(backstage);
  }

  function drawWorld(world) {
    $("balance").textContent = rupiah(world.balance);
    $("spent").textContent = rupiah(world.books.spent);
    $("stock").textContent = world.stock.units.toLocaleString("de-DE");
    const most = world.requests_per_minute;
    $("requests").textContent = most === null ? String(world.requests_last_minute) : `${world.requests_last_minute} of ${most}`;
    const live = new Map(world.live_orders.map((order) => [order.order_id, order]));
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
    $("live").textContent = live.size || "";
    $("no-numbers").hidden = live.size > 0;
    $("try-it").textContent = `Order one as ${orderer().first_name}`;
  }

  function numberCard(order) {
    const button = make("button", { type: "button", class: "soft-button" }, "SMS arrives now");
    button.addEventListener("click", async () => {
      button.disabled = true;
      await sendSms(order.order_id);
      button.disabled = false;
      button.focus();
    });
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
    card.querySelector(".number-time").textContent = order.otp_code ? `latest code ${order.otp_code}` : `window closes in ${minutes} min`;
    card.querySelector("button").textContent = order.messages ? "Another SMS arrives" : "SMS arrives now";
  }

  async function sendSms(orderId) {
    const sent = await post(`/world/orders/${encodeURIComponent(orderId)}/sms`);
    look();
    return sent;
  }

  function drawSwitches(stands) {
    $("trouble").hidden = false;
    for (const [name, title, hint] of SWITCHES) {
      if (!(name in stands)) continue;
      if (!drawnSwitches.has(name)) drawnSwitches.set(name, switchRow(name, title, hint));
      drawnSwitches.get(name).checked = stands[name];
    }
  }

  function switchRow(name, title, hint) {
    const box = make("input", { type: "checkbox", role: "switch", "data-switch": name, "aria-label": title });
    box.addEventListener("change", () => turn(name, box.checked));
    const label = make("label", { class: name === "arrivals" ? "kind" : null }, make("strong", {}, title), make("small", {}, hint), box);
    $("switches").append(make("li", {}, label));
    return box;
  }

  async function turn(name, on) {
    turns += 1;
    turning += 1;
    const told = await post("/backstage/switch", { name, on });
    turning -= 1;
    if (told) drawSwitches(told.switches);
    else look();
    return told;
  }

  function drawBot(bot) {
    $("process").hidden = !bot;
    if (!bot) return;
    const lives = bot.starts > 1 ? ` · start ${bot.starts}` : "";
    $("bot-state").textContent = bot.running ? `Running as process ${bot.pid}${lives}` : `Process ${bot.pid} is dead. Starting again…`;
    $("lamp").toggleAttribute("data-down", !bot.running);
    $("kill").disabled = !bot.running;
  }

  async function kill() {
    $("kill").disabled = true;
    const told = await post("/backstage/kill");
    look();
    return told;
  }

  function show(shown) {
    $("app").toggleAttribute("data-outside", shown);
    $("shade").hidden = !shown;
    if (shown) $("side-close").focus();
  }

  $("kill").addEventListener("click", kill);
  $("try-it").addEventListener("click", () => {
    show(false);
    const id = orderer().id;
    desk.open({ user: id, chat: id });
    if (!$("write").hidden) $("text").value = FIRST_ORDER;
    $("text").focus();
  });
  for (const id of ["outside-list", "outside-chat"]) $(id).addEventListener("click", () => show(true));
  $("side-close").addEventListener("click", () => show(false));
  $("shade").addEventListener("click", () => show(false));
  $("side").addEventListener("keydown", (event) => event.key === "Escape" && show(false));
  setInterval(look, LOOK_MS);

  return { look, turn, kill, sendSms, post, latestOrder: () => [...rented.keys()].at(-1) };
}
