// Keys, the time that a pair is in sight, and answers that are sent until they are saved. Without it the forms work, too.
"use strict";
(() => {
  const SETTLE = 400; // ms in which a second click or key, meant for the pair before, does nothing
  const PATIENCE = 20000; // ms for an answer to be stored
  const KEYS = "hyperfit-keys";
  let busy = false, seen = 0, since = null, shownAt = 0;

  const form = () => document.getElementById("judge");
  const say = words => { document.getElementById("status").textContent = words; };
  const keysOn = () => sessionStorage.getItem(KEYS) !== "off";
  const sleep = ms => new Promise(done => setTimeout(done, ms));

  function look() { // the clock runs while the page is in sight
    const now = performance.now();
    if (since !== null) seen += now - since;
    since = document.visibilityState === "visible" ? now : null;
  }

  function begin() {
    seen = 0;
    since = null;
    shownAt = performance.now();
    look();
    const current = form();
    if (current) setTimeout(() => { current.dataset.ready = ""; }, SETTLE);
  }

  async function send(current, body) {
    busy = true;
    current.classList.add("sending");
    for (let wait = 500; ; wait = Math.min(2 * wait, 15000)) {
      try {
        const response = await fetch(current.action, { method: "POST", body, signal: AbortSignal.timeout(PATIENCE) });
        const next = new DOMParser().parseFromString(await response.text(), "text/html");
        if (response.status < 500 && response.status !== 429 && next.getElementById("main")) {
          show(next, response.url);
          return;
        } // else another server has answered in its place, or it has no time
      } catch { /* the server is away: it may come back */ }
      document.body.classList.add("unsaved");
      say("Not saved yet. Trying again …");
      await sleep(wait);
    }
  }

  function show(next, address) {
    const main = next.querySelector("main");
    const place = document.querySelector(".place progress"), reached = next.querySelector(".place progress");
    busy = false;
    document.body.classList.remove("unsaved");
    document.title = next.title;
    if (!address.endsWith("/answer")) history.replaceState(null, "", address);
    document.querySelector("main").replaceWith(main);
    if (reached) {
      place.max = reached.max;
      place.value = reached.value;
      document.querySelector("nav [data-key=u]").className = next.querySelector("nav [data-key=u]").className;
    } else {
      document.querySelector(".place progress").value = place.max;
      document.querySelector(".top nav").classList.add("absent");
      document.body.className = next.body.className + " ended";
    }
    scrollTo(0, 0);
    main.querySelector("h1").focus({ preventScroll: true });
    say(main.dataset.status || "");
    if (main.dataset.place) setTimeout(() => { if (!busy && main.isConnected) say(main.dataset.place); }, 1500);
    begin();
  }

  document.addEventListener("submit", event => {
    const current = form();
    if (event.target !== current) return;
    event.preventDefault();
    if (busy || performance.now() - shownAt < SETTLE) return;
    look();
    current.elements.seconds.value = (seen / 1000).toFixed(2);
    const body = new URLSearchParams(new FormData(current));
    if (event.submitter && event.submitter.name) body.set(event.submitter.name, event.submitter.value);
    send(current, body);
  });

  function choose(key) {
    const button = document.querySelector(`.bar [data-key="${key}"]`);
    if (button) return button.click();
    const groups = [...document.querySelectorAll(".ask")];
    const open = groups.find(group => !group.querySelector(":checked"));
    const focused = groups.find(group => group.contains(document.activeElement));
    const group = open || focused || groups[0];
    const option = group && group.querySelectorAll("input")[key - 1];
    if (!option) return;
    option.checked = true;
    const left = groups.find(one => !one.querySelector(":checked"));
    (left ? left.querySelector("input") : document.querySelector(".bar .save")).focus();
  }

  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !keysOn()) return;
    if (event.target.matches("textarea, input:not([type=radio]), select")) return;
    if ("123".includes(event.key) && form()) {
      event.preventDefault();
      if (!busy && performance.now() - shownAt >= SETTLE) choose(Number(event.key));
    } else if ("up".includes(event.key)) {
      const link = document.querySelector(`a[data-key="${event.key}"]:not(.absent)`);
      if (link && !busy) link.click();
    }
  });

  const keys = document.getElementById("keys");
  const mark = () => {
    keys.setAttribute("aria-pressed", String(keysOn()));
    keys.textContent = keysOn() ? "Keys on" : "Keys off";
    document.body.classList.toggle("keyless", !keysOn());
  };
  if (keys) {
    keys.hidden = false;
    keys.addEventListener("click", () => { sessionStorage.setItem(KEYS, keysOn() ? "off" : "on"); mark(); });
    mark();
  }
  document.addEventListener("visibilitychange", look);
  addEventListener("beforeunload", event => { if (busy) event.preventDefault(); });
  begin();
})();
