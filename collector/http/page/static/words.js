// Figures and times as words, and the only place where text reaches the page.

const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}]/gu;
const UNITS = [["d", 86400], ["h", 3600], ["m", 60]];

// What strangers sent may hold control characters, or turn the direction of what follows: they are
// shown as what they are. A payload keeps the ends of its lines.
export function visible(value, keep = "") {
  return String(value).replace(INVISIBLE, (char) => {
    if (keep.includes(char)) return char;
    const code = char.codePointAt(0).toString(16);
    return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, "0")}`;
  });
}

// Text of an element; what is the same is left alone, so that nothing is read out again.
export function say(element, value, keep = "") {
  const text = visible(value, keep);
  if (element.textContent !== text) element.textContent = text;
  return element;
}

export function make(tag, className = "", value = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  return say(element, value);
}

// At most five characters, as on the terminal: 0.3, 310, 9,999, 12.3k.
export function short(value) {
  if (value < 9.95) return value % 1 ? value.toFixed(1) : String(value);
  if (value < 9999.5) return count(value);
  let unit = "";
  for (const next of "kMGT") {
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  return (value < 99.95 ? value.toFixed(1) : value.toFixed(0)) + unit;
}

export function count(value) {
  return Math.round(value).toLocaleString("en-US");
}

export function plural(number, one, more = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : more}`;
}

export function bytes(value) {
  if (value < 1024) return `${value} B`;
  let unit = "";
  for (const next of ["KiB", "MiB", "GiB", "TiB"]) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value < 9.95 && value % 1 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}

export function age(seconds) {
  for (const [unit, size] of UNITS) {
    if (seconds >= size) return `${Math.floor(seconds / size)}${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))}s`;
}

export function clock(milliseconds, withSeconds = true) {
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (withSeconds) parts.second = "2-digit";
  return new Date(milliseconds).toLocaleTimeString("en-GB", parts);
}

export function day(milliseconds) {
  return new Date(milliseconds).toLocaleDateString("en-CA");
}
