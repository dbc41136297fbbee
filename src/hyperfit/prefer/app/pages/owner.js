// The figures of the study, renewed while the page is in sight.
"use strict";
(() => {
  const EVERY = 5000;
  setInterval(async () => {
    if (document.visibilityState !== "visible") return;
    try {
      const response = await fetch(location.pathname, { signal: AbortSignal.timeout(EVERY) });
      const next = new DOMParser().parseFromString(await response.text(), "text/html");
      const live = next.getElementById("live"), shown = document.getElementById("live");
      if (!live || shown.contains(document.activeElement) || String(getSelection())) return;
      const scrolled = shown.querySelector(".scroll")?.scrollLeft ?? 0;
      shown.replaceWith(live);
      if (live.querySelector(".scroll")) live.querySelector(".scroll").scrollLeft = scrolled;
      document.title = next.title;
    } catch { /* the server is away: it may come back */ }
  }, EVERY);
})();
