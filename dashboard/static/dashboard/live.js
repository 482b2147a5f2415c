// Parts of the page are fetched again when something they show has happened.
"use strict";
(() => {
  const watched = document.body.dataset.watched;
  if (!watched) return;
  const light = document.getElementById("live");
  const clock = new Intl.DateTimeFormat("en-GB", { timeZone: document.documentElement.dataset.timeZone, timeStyle: "medium" });
  const shown = new Map();  // id of a part: its HTML as it was sent
  const PATIENCE = 15000, LONGEST_PAUSE = 30000;
  const LIFETIME = 75000;  // the server ends a socket after a minute; one that is older lost its network without a word
  // A page is live while its socket is open, its last refresh came through, and each of its curves was read.
  let isListening = false, isFresh = true, wasLive = true, since = new Date();
  let fetching = false, stale = false, wait = 1000, pause = 1000, retry, going, later;

  async function renew() {
    if (fetching || document.hidden) { stale = true; return; }
    fetching = true;
    stale = false;
    later = clearTimeout(later);
    retry = clearTimeout(retry);
    isFresh = await isRenewed();
    fetching = false;
    say();
    if (isFresh) pause = 1000;
    else {
      retry = setTimeout(renew, pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
    if (isFresh && stale && !document.hidden) setTimeout(renew, 1000);
  }

  async function isRenewed() {
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" }, signal: AbortSignal.timeout(PATIENCE) });
      if (answer.redirected) location.reload();
      else if (answer.ok) put(await answer.text());
      return answer.ok;
    } catch (error) {
      return false;  // the server is away, or says nothing
    }
  }

  function put(html) {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    for (const part of fresh.content.querySelectorAll("[data-part]")) {
      const former = document.getElementById(part.id), sent = part.outerHTML;
      if (!former || shown.get(part.id) === sent) continue;
      if (isInHand(former)) { later ??= setTimeout(renew, 3000); continue; }
      shown.set(part.id, sent);
      keepCurves(former, part);
      const restore = kept(former, part);
      former.replaceWith(part);
      restore();
      part.dispatchEvent(new Event("renewed", { bubbles: true }));
    }
    goOn();
  }

  function isInHand(part) {  // being clicked, or its text selected: to be replaced later
    const selection = getSelection();
    return part.matches(":active") || (!selection.isCollapsed && part.contains(selection.anchorNode));
  }

  function kept(former, part) {  // what is unfolded, scrolled, and has the focus stays so
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

  function goOn() {  // what goes on by itself, without an event of its own
    clearTimeout(going);
    if (document.querySelector("[data-goes-on]")) going = setTimeout(renew, 3000);
  }

  function keepCurves(former, part) {  // a drawn curve stays, and reads what is new
    for (const curve of part.querySelectorAll("[data-keep]")) {
      const drawn = former.querySelector(`[data-curves="${CSS.escape(curve.dataset.curves)}"]`);
      if (!drawn) continue;
      const isNew = drawn.dataset.reading !== curve.dataset.reading;
      drawn.dataset.reading = curve.dataset.reading;
      curve.replaceWith(drawn);
      if (isNew) drawn.dispatchEvent(new Event("read", { bubbles: true }));
    }
  }

  function isShown(told) {
    const grid = document.getElementById("grid");
    return !grid || told.more || told.chargers.some((pk) => document.getElementById(`charger-${pk}`));
  }

  function say() {
    const isLive = isListening && isFresh && !document.querySelector("[data-curves][data-failed]");
    if (wasLive && !isLive) since = new Date();
    wasLive = isLive;
    light.textContent = isLive ? "live" : `not live since ${clock.format(since)}`;
    light.classList.toggle("on", isLive);
    document.body.classList.toggle("is-stale", !isLive);
  }

  function hear(told) {
    if (told.listening) {
      isListening = true;
      wait = pause = 1000;
      say();
      renew();
    } else if (told.frames) document.dispatchEvent(new CustomEvent("frames", { detail: told.frames }));
    else if (retry) stale = true;  // it is asked for again, but not at once
    else if (isShown(told)) renew();
    else later ??= setTimeout(renew, 5000);  // of the fleet only the counts have changed
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
    const tooOld = setTimeout(end, LIFETIME);
    socket.onmessage = (message) => {
      const told = JSON.parse(message.data);
      hasListened ||= Boolean(told.listening);
      hear(told);
    };
    socket.onclose = (closed) => end(closed.code);
  }

  function ended(code, hasListened) {
    if (code === 4401) { location.reload(); return; }
    if (code === 1012 && hasListened) { connect(); return; }  // whether it may is looked at again
    isListening = false;
    say();
    if (!retry) renew();  // which may tell why
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 15000);
  }

  document.addEventListener("visibilitychange", () => { if (stale) renew(); });
  document.addEventListener("curves", () => { if (isListening) say(); });
  connect();
  goOn();
})();
