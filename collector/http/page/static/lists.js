// Health with its reasons, dead letters by kind, and the last events.

import { bytes, clock, count, day, make, say } from "./words.js";

const WORDS = {
  ok: ["ok", "Nothing is wrong"],
  degraded: ["warn", "Degraded: all is stored, but not all is delivered or understood"],
  offline: ["bad", "Offline: the broker is away"],
  failing: ["bad", "Failing"],
};
const LEVELS = { info: "idle", warning: "warn", error: "bad", critical: "bad" };
const LINE_ENDS = "\n\t";

const find = (name) => document.getElementById(name);

export function showHealth({ health, reasons, more_reasons: more }) {
  const [look, word] = WORDS[health] ?? ["warn", health];
  find("health").dataset.state = look;
  say(find("health-word"), word);
  const said = more ? [...reasons, `and ${count(more)} more: see collector status`] : reasons;
  const list = find("reasons");
  said.forEach((one, place) => say(list.children[place] ?? list.appendChild(make("li")), one));
  while (list.children.length > said.length) list.lastChild.remove();
}

export function showLetters({ kinds, problem }) {
  find("letters-none").hidden = kinds.length > 0;
  say(find("letters-none"), problem ? `They can't be read: ${problem}` : "None is kept.");
  find("letters").replaceChildren(...kinds.map(letter));
}

function letter(one) {
  const element = make("li");
  const head = make("h3", "", one.kind);
  head.append(make("span", "count", ` ${count(one.count)} kept`));
  const from = [one.station, one.topic && `from ${one.topic}`, one.table && `for ${one.table}`];
  const where = make("p", "muted", `newest: ${moment(one.received_us)}, ${from.filter(Boolean).join(" ")}`);
  const isTold = !one.field || one.reason.startsWith(one.field);
  const reason = make("p", "reason", isTold ? one.reason : `${one.field}: ${one.reason}`);
  const sample = say(make("pre"), one.text || "(empty)", LINE_ENDS);
  const whole = one.is_cut ? "; whole: " : "; ";
  const foot = make("p", "muted", `${bytes(one.size)}, as ${one.way}${whole}collector dead show ${one.id}`);
  element.append(head, where, reason, sample, foot);
  return element;
}

export function showEvents(events) {
  find("events-none").hidden = events.length > 0;
  find("events").replaceChildren(...events.map(happened));
}

function happened({ at_us: at, level, text, more }) {
  const element = make("li");
  element.dataset.state = LEVELS[level] ?? "idle";
  const time = make("time", "", moment(at));
  time.dateTime = new Date(at / 1000).toISOString();
  const like = more ? ` (and ${count(more)} more like it)` : "";
  element.append(time, make("span", "level", level), make("span", "text", text + like));
  return element;
}

function moment(time) {
  const at = time / 1000;
  return day(at) === day(Date.now()) ? clock(at) : `${day(at)} ${clock(at)}`;
}
