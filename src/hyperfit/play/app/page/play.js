// What is asked, and its answer as it comes: lines of JSON, one an event.
"use strict";
(() => {
  const by = id => document.getElementById(id);
  const form = by("ask");
  let running = null; // what aborts the request

  // The form

  const decoding = by("decoding"), strength = by("strength");
  function choose() {
    for (const group of form.querySelectorAll(".of")) {
      group.hidden = group.disabled = group.dataset.of !== decoding.value;
    }
    by("about").textContent = by("about").getAttribute(`data-${decoding.value}`);
  }
  decoding.addEventListener("change", choose);
  choose();
  if (strength) {
    const show = () => { by("strength-shown").textContent = String(Number(strength.value)); };
    strength.addEventListener("input", show);
    show();
  }
  const offers = by("offers");
  if (offers) offers.addEventListener("change", () => {
    if (offers.value) by("context").value = offers.value;
    offers.value = "";
  });
  by("context").addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });

  function say(words, wrong = false) {
    by("status").classList.toggle("wrong", wrong);
    by("status").textContent = words;
  }

  // A continuation

  form.addEventListener("submit", event => {
    event.preventDefault();
    if (!running) write();
  });
  by("stop").addEventListener("click", () => { if (running) running.abort(); });

  async function write() {
    running = new AbortController();
    const began = performance.now();
    let ended = false;
    waiting(true);
    say("Reading …");
    try {
      const response = await fetch("/write", {
        method: "POST", body: new URLSearchParams(new FormData(form)), signal: running.signal,
      });
      if (!response.ok) throw new Error(reasons(await response.text()), { cause: "told" });
      for await (const one of events(response.body)) {
        take(one);
        if (one.event === "end") ended = true;
      }
      if (!ended) throw new Error("The server broke off; its terminal says why", { cause: "told" });
      const seconds = Math.max(Math.round((performance.now() - began) / 1000), 1);
      say(`Written in ${seconds} s.`);
    } catch (error) {
      if (error.name === "AbortError") say("Stopped.");
      else say(error.cause === "told" ? error.message : "The server cannot be reached; is it still running?", true);
    } finally {
      running = null;
      waiting(false);
    }
  }

  function reasons(text) {
    try {
      return JSON.parse(text).problems.join("\n");
    } catch {
      return text.trim();
    }
  }

  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      yield* lines.map(line => JSON.parse(line));
    }
  }

  function waiting(is) {
    const [now, then] = is ? [by("stop"), by("write")] : [by("write"), by("stop")];
    const focused = document.activeElement === then;
    document.body.classList.toggle("busy", is);
    now.disabled = false;
    then.disabled = true;
    if (focused) now.focus();
  }

  function take(one) {
    if (one.event === "start") {
      Texts.clear(one.lead);
      say(`Writing after ${one.tokens} tokens …`);
    } else if (one.event === "token") Texts.add(one);
    else if (one.event === "ended") Texts.end(one.side);
    else if (one.event === "end") Texts.endAll();
  }
})();
