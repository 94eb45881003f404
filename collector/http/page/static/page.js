// The page: listens to the collector's events, and says when there are none.

import { Chart } from "./chart.js";
import { showEvents, showHealth, showLetters } from "./lists.js";
import { showLine } from "./line.js";
import { Rows, number, state } from "./rows.js";
import { age, bytes, clock, count, say, short } from "./words.js";

const STALE_MS = 12000;
const AGAIN_MS = 10000;

const find = (name) => document.getElementById(name);
const chart = new Chart(find("chart"), find("hour-title"), find("readout"), find("hour"));
const shown = { line: null, version: null };
// What the gateway's clock is ahead of this one.
let aheadMs = 0;
let source = null;
let newsAt = Date.now();
let refusal = "";

const now = () => (Date.now() + aheadMs) * 1000;
const since = (time) => (time ? age((now() - time) / 1e6) : "–");
const figure = (value) => (value ? short(value) : "0");

const tables = new Rows(
  "tables", ["idle", "opening", "streaming"],
  (row) => [row.reason, row.hint].filter(Boolean).join(" · "),
  [
    state({
      held: ["bad", "held"], waiting: ["warn", "waiting"], stuck: ["warn", "some held"],
      behind: ["warn", "behind"], opening: ["ok", "opening"], streaming: ["ok", "streaming"],
      idle: ["idle", "idle"],
    }),
    number((row) => figure(row.rate)),
    number((row) => count(row.backlog)),
    number((row) => since(row.oldest_us), "number wide"),
    number((row) => (row.in_flight_bytes ? bytes(row.in_flight_bytes) : "–"), "number wide"),
    number((row) => since(row.last_ack_us), "number wide"),
  ],
);

const stations = new Rows(
  "stations", ["receiving", "quiet"],
  (row) => `→ ${row.table}`,
  [
    state({
      failing: ["bad", "failing"], silent: ["warn", "silent"], receiving: ["ok", "receiving"],
      quiet: ["idle", "quiet"],
    }),
    number((row) => figure(row.message_rate)),
    number((row) => figure(row.record_rate), "number wide"),
    number((row) => count(row.dead), "number wide"),
    number((row) => since(row.last_us)),
  ],
);

const sections = {
  history: (history) => chart.begin(place(history)),
  steps: (history) => chart.add(place(history)),
  line: showAll,
  tables: (rows) => tables.show(rows),
  stations: (rows) => stations.show(rows),
  letters: showLetters,
  events: showEvents,
  beat: () => {},
};

// History is in steps; this says when its steps were, by this clock.
function place(history) {
  aheadMs = history.now.at_us / 1000 - Date.now();
  return { ...history, nowMs: Date.now() };
}

function showAll(line) {
  if (shown.version && shown.version !== line.version) location.reload();
  shown.version = line.version;
  shown.line = line;
  document.title = `${line.health} · ${line.gateway}`;
  say(find("gateway"), line.gateway);
  showHealth(line);
  showAges();
}

function showAges() {
  if (!shown.line) return;
  const { version, started_us: started } = shown.line;
  say(find("about"), `collector ${version} · up ${since(started)}`);
  showLine(shown.line, now());
}

// A page that nobody sees is no viewer: a browser has few connections to one server.
function listen() {
  source?.close();
  if (document.hidden) {
    document.title = shown.line?.gateway ?? "collector";
    return;
  }
  source = new EventSource("/ui/events");
  for (const [name, show] of Object.entries(sections)) {
    source.addEventListener(name, (event) => {
      newsAt = Date.now();
      refusal = "";
      show(JSON.parse(event.data));
      showLink();
    });
  }
  source.addEventListener("error", () => {
    showLink();
    if (source.readyState === EventSource.CLOSED) askWhy();
  });
}

// An answer that is no stream ends the listening, and does not say why: so it is asked once more.
async function askWhy() {
  const asking = new AbortController();
  try {
    const answer = await fetch("/ui/events", { signal: asking.signal });
    refusal = answer.ok ? "" : await reason(answer);
  } catch {
    refusal = "";
  }
  asking.abort();
  showLink();
  setTimeout(listen, AGAIN_MS);
}

async function reason(answer) {
  const text = await answer.text();
  try {
    const { error, hint = "" } = JSON.parse(text);
    return `${error}. ${hint}`;
  } catch {
    return `the collector answers ${answer.status}`;
  }
}

function showLink() {
  const silentMs = Date.now() - newsAt;
  const isOpen = source?.readyState === EventSource.OPEN;
  const isStale = Boolean(refusal) || silentMs >= STALE_MS;
  const word = isStale ? "stale" : isOpen ? "live" : shown.line ? "reconnecting" : "connecting";
  document.body.dataset.link = word;
  const hangs = word === "live" && Boolean(shown.line?.hangs);
  const lost = isOpen ? "no news" : "reconnecting";
  say(find("link"), isStale ? lost : hangs ? "hanging" : word);
  find("link").dataset.state = isStale || hangs ? "bad" : isOpen ? "ok" : "warn";
  find("notice").hidden = !isStale;
  if (!isStale) return;
  const seconds = Math.floor(silentMs / 1000);
  const kept = shown.line ? " What stands here was true then." : "";
  say(find("notice"), refusal || `No news for ${seconds} s, since ${clock(newsAt)}.${kept}`);
}

setInterval(() => {
  if (document.hidden) return;
  showLink();
  if (!shown.line || document.body.dataset.link === "stale") return;
  showAges();
  tables.draw();
  stations.draw();
}, 1000);

document.addEventListener("visibilitychange", () => {
  newsAt = Date.now();
  listen();
});
listen();
