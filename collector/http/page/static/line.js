// The line in one picture: from its sources to the tables, a card for each part.

import { age, bytes, count, make, plural, say, short } from "./words.js";

const list = document.getElementById("line");

// Cards of one column stand below each other: both feed what follows.
export function showLine(line, now) {
  const { broker: mqtt, http: web, stations: from, spool, streams: open, tables: to } = line;
  const columns = [
    web ? [broker(mqtt), http(web)] : [broker(mqtt)],
    [stations(from)],
    [store(spool, now)],
    [streams(open)],
    [tables(to, now)],
  ];
  columns.forEach((cards, place) => {
    const column = list.children[place] ?? list.appendChild(make("li"));
    while (column.children.length > cards.length) column.lastChild.remove();
    cards.forEach((card, row) => draw(column.children[row] ?? column.appendChild(begin()), card));
  });
}

function begin() {
  const card = make("article", "card");
  const state = make("p", "state");
  state.append(make("span", "dot"), make("span"));
  const figure = make("p", "figure");
  figure.append(make("strong"), make("span"));
  const bar = make("div", "bar");
  bar.append(make("div"));
  card.append(make("h3"), state, figure, bar, make("ul", "facts"));
  return card;
}

function draw(card, { title, look, word, figure, unit, part, facts }) {
  const [heading, state, big, bar, list] = card.children;
  card.dataset.state = look;
  say(heading, title);
  say(state.lastChild, word);
  say(big.firstChild, figure);
  say(big.lastChild, ` ${unit}`);
  bar.hidden = part === undefined;
  bar.firstChild.style.width = `${Math.min(100, 100 * (part ?? 0))}%`;
  const said = facts.filter(Boolean);
  said.forEach((fact, place) => say(list.children[place] ?? list.appendChild(make("li")), fact));
  while (list.children.length > said.length) list.lastChild.remove();
}

function broker(line) {
  const title = "Broker";
  if (!line) {
    return { title, look: "idle", word: "none configured", figure: "–", unit: "", facts: ["records come over HTTP"] };
  }
  const [scheme, address] = line.url.split("://");
  const trouble = (line.last_error || "connecting").replace(`${line.url}: `, "");
  const facts = [address ?? scheme, line.connected ? `MQTT ${line.protocol}, ${scheme}` : trouble];
  const [look, word] = line.connected ? ["ok", "connected"] : ["bad", "away"];
  return { title, look, word, figure: short(line.rate), unit: "messages/s", facts };
}

function http(line) {
  const storing = line.paused ? ["bad", "not storing"] : ["ok", "listening"];
  const [look, word] = line.problem ? ["bad", "not listening"] : storing;
  const facts = [
    line.problem || line.paused || line.listen,
    line.waiting ? `${count(line.waiting)} waiting` : "",
    line.refused ? `${count(line.refused)} refused` : "",
  ];
  return { title: "HTTP", look, word, figure: short(line.request_rate ?? 0), unit: "requests/s", facts };
}

function stations(line) {
  const { failing = 0, silent = 0, receiving = 0 } = line.states;
  const word = failing ? `${count(failing)} failing` : silent ? `${count(silent)} silent` : receiving ? "receiving" : "quiet";
  const look = failing ? "bad" : silent ? "warn" : receiving ? "ok" : "idle";
  const facts = [
    `${count(receiving)} of ${plural(line.count, "station")} receiving`,
    failing && silent ? `${count(silent)} silent` : "",
  ];
  return { title: "Stations", look, word, figure: short(line.record_rate), unit: "records/s", facts };
}

function store(spool, now) {
  const part = spool.used_bytes / spool.max_bytes;
  const [look, word] = spool.paused ? ["bad", "not storing"] : part >= 0.5 ? ["warn", "filling"] : ["ok", "storing"];
  const percent = part > 0 && part < 0.01 ? "under 1" : Math.floor(100 * part);
  const facts = [
    spool.paused,
    `${percent} % of ${bytes(spool.max_bytes)}`,
    spool.forecast,
    spool.oldest_us ? `oldest ${age((now - spool.oldest_us) / 1e6)}` : "",
    spool.disk_free_bytes === null ? "" : `${bytes(spool.disk_free_bytes)} free on the disk`,
  ];
  return { title: "Spool", look, word, figure: short(spool.backlog), unit: "records waiting", part, facts };
}

function streams(line) {
  const { held = 0, waiting = 0, streaming = 0, opening = 0, idle = 0 } = line.states;
  const words = [
    held && `${count(held)} held`, waiting && `${count(waiting)} waiting`,
    streaming && `${count(streaming)} streaming`, opening && `${count(opening)} opening`,
    idle && `${count(idle)} idle`,
  ].filter(Boolean);
  const look = held ? "bad" : waiting ? "warn" : streaming || opening ? "ok" : "idle";
  const facts = [...words.slice(1), line.opened ? `${count(line.opened)} opened since the start` : ""];
  const [figure, unit] = bytes(line.in_flight_bytes).split(" ");
  return { title: "Streams", look, word: words[0] ?? "none open", figure, unit: `${unit} in flight`, facts };
}

function tables(line, now) {
  const facts = [
    plural(line.count, "table"),
    line.last_ack_us ? `last ack ${age((now - line.last_ack_us) / 1e6)} ago` : "no ack yet",
    line.delivered ? `${short(line.delivered)} records in all` : "",
  ];
  const [look, word] = line.rate ? ["ok", "growing"] : ["idle", "nothing comes in"];
  return { title: "Tables", look, word, figure: short(line.rate), unit: "records/s", facts };
}
