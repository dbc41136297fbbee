// What else a token could have been, beside it or at the bottom of a phone; all that is foreign is set as text.
"use strict";
const Panel = (() => {
  const HEADINGS = { base: "Base", hyperfitted: "Hyperfitted" };
  const by = id => document.getElementById(id);
  const panel = by("alternatives"), told = by("told");

  const isSheet = () => matchMedia("(max-width: 46rem)").matches; // at the bottom, as the stylesheet has it

  function made(name, text = "", kind = "") {
    const of = document.createElement(name);
    if (kind) of.className = kind;
    of.textContent = text;
    return of;
  }

  function row(one, chosen) {
    const line = made("tr", "", one.token === chosen ? "chosen" : "");
    const name = made("th"), bar = made("td", "", "chance"), track = made("span", "", "track"), length = made("i");
    name.scope = "row";
    name.append(made("bdi", one.text, "piece"));
    length.style.width = `${100 * one.probability}%`;
    track.append(length);
    bar.append(track);
    line.append(name, bar, made("td", one.percent), made("td", one.other_ordinal));
    return line;
  }

  function show(side, number, spoken) {
    const token = side.tokens[number], { chosen, alternatives, look } = token;
    const other = side.name === "base" ? "hyperfitted" : "base";
    unmark();
    token.element.classList.add("now");
    const heading = made("h3"), table = made("table"), head = made("tr"), rows = made("tbody");
    heading.append(made("bdi", chosen.text, "piece"));
    const line = `${HEADINGS[side.name]}: ${chosen.percent}, rank ${chosen.ordinal}. ` +
      `${HEADINGS[other]}: ${chosen.other_percent}, rank ${chosen.other_ordinal}.`;
    for (const [words, span] of [["Token", 1], [`Probability, ${side.name}`, 2], [`Rank, ${other}`, 1]]) {
      const cell = made("th", words);
      cell.scope = "col";
      cell.colSpan = span;
      head.append(cell);
    }
    rows.append(...alternatives.map(one => row(one, chosen.token)));
    if (!alternatives.some(one => one.token === chosen.token)) rows.append(row(chosen, chosen.token));
    table.append(made("thead"), rows);
    table.tHead.append(head);
    told.className = `of-${side.name}`;
    const source = look.recited === null ? null : side.sources.get(String(look.recited));
    told.replaceChildren(heading, made("p", line));
    if (source) {
      const where = made("p", "Recited from ");
      where.append(made("bdi", source.name));
      told.append(where);
    }
    told.append(table);
    panel.hidden = false;
    document.body.classList.add("told");
    place(token.element, spoken);
    if (spoken) {
      const others = alternatives.filter(one => one.token !== chosen.token).slice(0, 3);
      by("spoken").textContent = `${chosen.text}. ${line} Also: ` +
        `${others.map(one => `${one.text} ${one.percent}`).join(", ")}. ${source ? `Recited from ${source.name}.` : ""}`;
    }
  }

  function place(element, stays) {
    const box = element.getClientRects()[0] || element.getBoundingClientRect();
    const width = panel.offsetWidth, height = panel.offsetHeight, room = document.documentElement.clientWidth;
    if (isSheet()) { // the token is to stay in sight
      scrollBy(0, Math.max(0, box.bottom + 12 - (innerHeight - height)));
      return;
    }
    const lowest = innerHeight - height - 8, beside = box.left > width + 16 ? box.left - width - 8 : box.right + 8;
    let left = Math.max(8, Math.min(box.left, room - width - 8)), top = box.bottom + 8;
    if (top > lowest && beside + width + 8 <= room) {
      left = beside;
      top = Math.max(box.top - height / 2, by("ask").getBoundingClientRect().bottom + 8, 8); // not over the buttons
      if (!stays) top = Math.min(top, lowest);
    } else if (top > lowest && box.top > height + 12) top = box.top - height - 8;
    panel.style.left = `${left + scrollX}px`;
    panel.style.top = `${top + scrollY}px`;
    if (stays) scrollBy(0, Math.max(0, top - lowest));
  }

  function unmark() {
    for (const one of document.querySelectorAll(".now")) one.classList.remove("now");
  }

  function hide() {
    panel.hidden = true;
    document.body.classList.remove("told");
    unmark();
  }

  return { HEADINGS, made, show, hide, isSheet };
})();
