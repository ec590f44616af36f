// What each person likes: light or dark, loud or quiet. Kept in the browser.

const $ = (id) => document.getElementById(id);
const THEMES = ["", "light", "dark"];

function preference(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(name) ?? "";
    localStorage.setItem(name, value);
  } catch {
    // Without storage it holds until the reload.
  }
  return value ?? "";
}

function wear(theme) {
  document.documentElement.dataset.theme = theme;
  const said = theme ? `Always ${theme}` : "Light or dark as the system";
  $("theme").setAttribute("aria-label", said);
  $("theme").title = said;
}

function hush(sound) {
  $("sound").setAttribute("aria-pressed", String(sound));
  $("sound").title = sound ? "Sound is on" : "Sound is off";
  $("sound").querySelector("use").setAttribute("href", sound ? "#icon-sound" : "#icon-quiet");
}

let speaker = null;

// Two short notes; a browser lets a page make them only after its person has touched it.
function ring() {
  if (preference("sound") !== "on") return;
  speaker ??= new AudioContext();
  [[660, 0], [880, 0.09]].forEach(([pitch, after]) => {
    const start = speaker.currentTime + after;
    const tone = new OscillatorNode(speaker, { frequency: pitch });
    const loudness = new GainNode(speaker, { gain: 0 });
    loudness.gain.setValueAtTime(0.08, start);
    loudness.gain.exponentialRampToValueAtTime(0.001, start + 0.18);
    tone.connect(loudness).connect(speaker.destination);
    tone.start(start);
    tone.stop(start + 0.2);
  });
}

// Returns how to ring; `tell` shows a sentence.
export function startTastes(tell) {
  $("theme").addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(preference("theme")) + 1) % THEMES.length];
    preference("theme", next);
    wear(next);
    tell($("theme").title);
  });
  $("sound").addEventListener("click", () => {
    const on = preference("sound") !== "on";
    preference("sound", on ? "on" : "off");
    hush(on);
    ring();
  });
  wear(preference("theme"));
  hush(preference("sound") === "on");
  return ring;
}
