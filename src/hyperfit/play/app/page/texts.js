// The two texts, an element a token; all that is foreign is set as text.
"use strict";
const Texts = (() => {
  const LETTERS = "abcdefghijklmnopqrstuvwx", MARKS = 6;
  const { HEADINGS, made } = Panel;
  const by = id => document.getElementById(id);
  const panel = by("alternatives");
  const sides = {};

  function clear(lead) {
    hide();
    for (const name of Object.keys(HEADINGS)) {
      const section = by(name), text = section.querySelector(".text");
      section.classList.remove("finished");
      text.replaceChildren(made("span", lead, "lead"));
      section.querySelector(".count").hidden = section.querySelector(".sources").hidden = true;
      section.querySelector(".sources").replaceChildren();
      sides[name] = { name, section, text, tokens: [], sources: new Map(), at: null };
    }
  }

  function add(side, one) {
    const element = made("span", "", "t");
    element.dataset.number = side.tokens.length;
    side.tokens.push({ element, ...one, look: null });
    side.text.append(element);
    for (const [number, source] of Object.entries(one.sources)) {
      if (side.sources.has(number)) continue;
      side.sources.set(number, { place: side.sources.size + 1, ...source });
      const item = made("li"), name = made("bdi");
      name.append(made("b", source.name));
      item.append(name, " ", made("bdi", `“${source.begins}”`));
      const list = side.section.querySelector(".sources");
      list.append(item);
      list.hidden = false;
    }
    const changed = Object.entries(one.looks).map(([number, look]) => [Number(number), look]);
    for (const [number, look] of changed) side.tokens[number].look = look;
    const neighbours = new Set(changed.flatMap(([number]) => [number, number + 1])); // a mark may begin in another token now
    side.tokens.forEach((token, number) => { if (neighbours.has(number) || token.look.first) draw(side, number); });
    count(side, "");
  }

  function draw(side, number) {
    const { element, look } = side.tokens[number], before = side.tokens[number - 1];
    const space = /^\s*/.exec(look.text)[0].length % (look.text.length || 1);
    const gap = made("span", look.text.slice(0, space)), words = made("span", look.text.slice(space), "m");
    const parts = space ? [gap, words] : [words];
    if (look.colour !== null) {
      const last = side.tokens.slice(0, number).findLast(one => one.look.colour !== null);
      for (const part of look.first ? [words] : parts) part.classList.add(`r${look.colour % MARKS}`);
      if (look.first && (!last || last.look.colour !== look.colour)) {
        words.classList.add("letter");
        words.dataset.letter = LETTERS[look.colour % LETTERS.length];
      }
    }
    if (look.recited !== null) {
      const begins = !before || before.look.recited !== look.recited, source = side.sources.get(String(look.recited));
      for (const part of begins ? [words] : parts) part.classList.add("recited");
      if (begins) parts.splice(-1, 0, made("sup", source ? String(source.place) : ""));
    }
    element.replaceChildren(...parts);
  }

  function count(side, more) {
    const line = side.section.querySelector(".count"), all = side.tokens.length;
    const share = of => Math.round(100 * side.tokens.filter(of).length / Math.max(all, 1));
    line.textContent = `${all} tokens, ${share(one => one.look.colour !== null)} % in repeated spans` +
      (by("keys").querySelector(".recited") ? `, ${share(one => one.look.recited !== null)} % recited.` : ".") + more;
    line.hidden = false;
  }

  function finish(side, more) {
    if (side.section.classList.contains("finished")) return;
    side.section.classList.add("finished");
    count(side, more);
  }

  // What else a token could have been

  let pinned = false;
  function hide() {
    Panel.hide();
    pinned = false;
  }

  function show(side, number, spoken) {
    if (!side.tokens[number]) return;
    side.at = number;
    Panel.show(side, number, spoken);
  }

  function tokenOf(event) {
    const element = event.target.closest ? event.target.closest(".t") : null;
    return element && { side: sides[element.closest(".side").id], number: Number(element.dataset.number) };
  }

  document.addEventListener("pointerover", event => {
    if (pinned || event.pointerType === "touch" || Panel.isSheet()) return;
    const found = tokenOf(event);
    if (found) show(found.side, found.number, false);
  });
  document.addEventListener("pointerout", event => {
    if (pinned || event.pointerType === "touch") return;
    const to = event.relatedTarget;
    if (tokenOf(event) && !(to && to.closest && to.closest(".t"))) hide();
  });
  document.addEventListener("click", event => {
    const found = tokenOf(event);
    if (found) {
      pinned = true;
      show(found.side, found.number, true);
    } else if (event.target.id === "close" || !panel.contains(event.target)) hide();
  });
  document.addEventListener("keydown", event => {
    if (event.key === "Escape") hide();
    const text = event.target.closest ? event.target.closest(".text") : null;
    const side = text && sides[text.closest(".side").id];
    if (!side || !side.tokens.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = side.tokens.length - 1, at = side.at ?? -1;
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last, Enter: at, " ": at }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    pinned = true;
    const number = Math.max(0, Math.min(to, last));
    side.tokens[number].element.scrollIntoView({ block: "nearest" });
    show(side, number, true);
  });
  document.addEventListener("focusin", event => {
    if (event.target.matches(".text:focus-visible")) {
      const side = sides[event.target.closest(".side").id];
      if (side && side.tokens.length) {
        pinned = true;
        show(side, side.at ?? 0, true);
      }
    }
  });
  document.addEventListener("focusout", event => {
    if (event.target.matches(".text") && !(event.relatedTarget && panel.contains(event.relatedTarget))) hide();
  });
  addEventListener("resize", hide);

  return {
    clear,
    add: one => add(sides[one.side], one),
    end: name => finish(sides[name], " The text ended here."),
    endAll: () => Object.values(sides).forEach(side => finish(side, "")),
  };
})();
