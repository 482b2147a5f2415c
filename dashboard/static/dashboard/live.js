// Fetches the parts of the page again after an event that changes them.
"use strict";
(() => {
  const watched = document.body.dataset.watched;
  if (!watched) return;
  const light = document.getElementById("live");
  const clock = new Intl.DateTimeFormat("en-GB", { timeZone: document.documentElement.dataset.timeZone, timeStyle: "medium" });
  const shown = new Map();  // id of a part: its HTML as received
  const FETCH_TIMEOUT_MS = 15000, MAX_RETRY_DELAY_MS = 30000;
  const MAX_SOCKET_AGE_MS = 75000;  // the server closes a socket after 60 s; an older one has lost its network silently
  // A page is live while its socket is open, its last refresh succeeded, and each of its charts was fetched.
  let isListening = false, isFresh = true, wasLive = true, since = new Date();
  let fetching = false, stale = false, wait = 1000, pause = 1000, retry, polling, later;

  async function renew() {
    if (fetching || document.hidden) { stale = true; return; }
    fetching = true;
    stale = false;
    later = clearTimeout(later);
    retry = clearTimeout(retry);
    isFresh = await isRenewed();
    fetching = false;
    showState();
    if (isFresh) pause = 1000;
    else {
      retry = setTimeout(renew, pause);
      pause = Math.min(pause * 2, MAX_RETRY_DELAY_MS);
    }
    if (isFresh && stale && !document.hidden) setTimeout(renew, 1000);
  }

  async function isRenewed() {
    try {
      const answer = await fetch(document.body.dataset.renews ?? location.href, { headers: { "X-Live": "1" }, signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
      if (answer.redirected) location.reload();
      else if (answer.ok) put(await answer.text());
      return answer.ok;
    } catch (error) {
      return false;  // the server is unreachable or does not respond
    }
  }

  function put(html) {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    for (const part of fresh.content.querySelectorAll("[data-part]")) {
      const former = document.getElementById(part.id), sent = part.outerHTML;
      if (!former || shown.get(part.id) === sent) continue;
      if (isBeingUsed(former)) { later ??= setTimeout(renew, 3000); continue; }
      shown.set(part.id, sent);
      keepCurves(former, part);
      const restore = restorer(former, part);
      former.replaceWith(part);
      restore();
      part.dispatchEvent(new Event("renewed", { bubbles: true }));
    }
    pollUnfinished();
  }

  function isBeingUsed(part) {  // being clicked, or its text is selected: replace it later
    const selection = getSelection();
    return part.matches(":active") || (!selection.isCollapsed && part.contains(selection.anchorNode));
  }

  function restorer(former, part) {  // keeps open details, scroll positions and the focus
    const pairs = (query) => {
      const now = part.querySelectorAll(query);
      return [...former.querySelectorAll(query)].map((old, n) => [old, now[n]]).filter(([, fresh]) => fresh);
    };
    for (const [old, fresh] of pairs("details")) fresh.open = old.open;
    const places = pairs(".scroll, pre").map(([old, fresh]) => [fresh, old.scrollLeft, old.scrollTop]);
    const focused = former.contains(document.activeElement) ? same(document.activeElement, part, pairs) : null;
    return () => {
      for (const [fresh, left, top] of places) fresh.scrollTo(left, top);
      focused?.focus({ preventScroll: true });
    };
  }

  function same(element, part, pairs) {
    if (element.id) return part.querySelector(`#${CSS.escape(element.id)}`);
    const link = element.getAttribute("href");
    if (link) return part.querySelector(`a[href="${CSS.escape(link)}"]`);
    return pairs(element.localName).find(([old]) => old === element)?.[1];
  }

  function pollUnfinished() {  // progress without an event of its own
    clearTimeout(polling);
    if (document.querySelector("[data-goes-on]")) polling = setTimeout(renew, 3000);
  }

  function keepCurves(former, part) {  // keeps a drawn chart, which fetches new readings
    for (const curve of part.querySelectorAll("[data-keep]")) {
      const drawn = former.querySelector(`[data-curves="${CSS.escape(curve.dataset.curves)}"]`);
      if (!drawn) continue;
      const isNew = drawn.dataset.reading !== curve.dataset.reading;
      drawn.dataset.reading = curve.dataset.reading;
      curve.replaceWith(drawn);
      if (isNew) drawn.dispatchEvent(new Event("read", { bubbles: true }));
    }
  }

  function isShown(update) {
    const grid = document.getElementById("grid");
    return !grid || update.more || update.chargers.some((pk) => document.getElementById(`charger-${pk}`));
  }

  function showState() {
    const isLive = isListening && isFresh && !document.querySelector("[data-curves][data-failed]");
    if (wasLive && !isLive) since = new Date();
    wasLive = isLive;
    light.textContent = isLive ? translated("Live") : translated("No updates since {time}", { time: clock.format(since) });
    light.classList.toggle("on", isLive);
    document.body.classList.toggle("is-stale", !isLive);
  }

  function handle(update) {
    if (update.listening) {
      isListening = true;
      wait = pause = 1000;
      showState();
      renew();
    } else if (update.frames) document.dispatchEvent(new CustomEvent("frames", { detail: update.frames }));
    else if (retry) stale = true;  // a retry is already scheduled
    else if (isShown(update)) renew();
    else later ??= setTimeout(renew, 5000);  // only the counts of the fleet have changed
  }

  function connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${document.body.dataset.live}?${watched}`);
    let hasListened = false;
    const end = (code) => {
      clearTimeout(tooOld);
      socket.onmessage = socket.onclose = null;
      socket.close();
      ended(code, hasListened);
    };
    const tooOld = setTimeout(end, MAX_SOCKET_AGE_MS);
    socket.onmessage = (message) => {
      const update = JSON.parse(message.data);
      hasListened ||= Boolean(update.listening);
      handle(update);
    };
    socket.onclose = (closed) => end(closed.code);
  }

  function ended(code, hasListened) {
    if (code === 4401) { location.reload(); return; }
    if (code === 1012 && hasListened) { connect(); return; }  // the server checks the permissions again
    isListening = false;
    showState();
    if (!retry) renew();  // its response may redirect to the login
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 15000);
  }

  document.addEventListener("visibilitychange", () => { if (stale) renew(); });
  document.addEventListener("curves", () => { if (isListening) showState(); });
  connect();
  pollUnfinished();
})();
