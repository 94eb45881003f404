// A table of the page: its rows by name, trouble first as they come; many are folded, and found.

import { count, make, say } from "./words.js";

const FOLDED = 10;

export class Rows {
  // `columns` are functions that fill the cells behind the name; `note` is what stands under it.
  constructor(name, calm, note, columns) {
    this.name = name;
    this.calm = calm;
    this.note = note;
    this.columns = columns;
    this.rows = [];
    this.all = 0;
    this.elements = new Map();
    this.body = document.getElementById(name);
    this.none = document.getElementById(`${name}-none`);
    this.told = document.getElementById(`${name}-told`);
    this.find = document.getElementById(`${name}-find`);
    this.more = document.getElementById(`${name}-more`);
    this.isOpen = false;
    this.find.addEventListener("input", () => this.draw());
    this.more.addEventListener("click", () => {
      this.isOpen = !this.isOpen;
      this.draw();
    });
  }

  show({ rows, all }) {
    this.rows = rows;
    this.all = all;
    this.none.hidden = all > 0;
    this.draw();
  }

  draw() {
    const wanted = this.find.value.trim().toLowerCase();
    const shown = wanted ? this.found(wanted) : this.isOpen ? this.rows : this.rows.slice(0, FOLDED);
    const elements = shown.map((row) => this.fill(row));
    if (elements.some((one, place) => this.body.children[place] !== one)) {
      this.body.replaceChildren(...elements);
    }
    while (this.body.children.length > elements.length) this.body.lastChild.remove();
    const there = new Set(shown.map((row) => row.name));
    for (const name of this.elements.keys()) if (!there.has(name)) this.elements.delete(name);
    this.tell(shown.length, wanted);
  }

  found(wanted) {
    return this.rows.filter((row) => row.name.toLowerCase().includes(wanted));
  }

  fill(row) {
    let line = this.elements.get(row.name);
    if (!line) this.elements.set(row.name, (line = this.begin(row)));
    line.dataset.state = row.state;
    const [name, ...cells] = line.children;
    say(name.lastChild, this.note(row));
    this.columns.forEach((column, place) => column.fill(cells[place], row));
    return line;
  }

  begin(row) {
    const line = make("tr");
    const name = make("th");
    name.scope = "row";
    name.append(make("span", "name", row.name), make("span", "note"));
    line.append(name, ...this.columns.map((column) => make("td", column.look)));
    return line;
  }

  tell(shown, wanted) {
    const left = this.all - this.rows.length;
    const trouble = this.rows.filter((row) => !this.calm.includes(row.state)).length;
    const inTrouble = trouble === this.all ? "all in trouble" : `${count(trouble)} in trouble`;
    say(this.told, trouble ? `${count(this.all)}, ${inTrouble}` : count(this.all));
    this.find.parentElement.hidden = this.rows.length <= FOLDED;
    this.more.hidden = Boolean(wanted) || (this.rows.length <= shown && !this.isOpen && !left);
    this.more.setAttribute("aria-expanded", String(this.isOpen));
    const beyond = left > 0 ? `; ${count(left)} more: see collector status` : "";
    say(this.more, (this.isOpen ? "Show fewer" : `Show all ${count(this.rows.length)}`) + beyond);
  }
}

export const number = (fill, look = "number") => ({
  look,
  fill: (cell, row) => say(cell, fill(row)),
});

// A state is a word with a dot, so that nothing is told by its colour alone.
export const state = (words) => ({
  look: "state",
  fill(cell, row) {
    const [look, word] = words[row.state] ?? ["warn", row.state];
    cell.dataset.state = look;
    if (!cell.firstChild) cell.append(make("span", "dot"), make("span"));
    say(cell.lastChild, word);
  },
});
