// Parts of the page are fetched again when something they show has happened.
"use strict";
(() => {
  const watched = document.body.dataset.watched;
  if (!watched) return;
  const light = document.getElementById("live");
  const shown = new Map();  // id of a part: its HTML as it was sent
  let fetching = false, stale = false, wait = 1000, heardAt = new Date(), going, later;

  async function renew() {
    if (fetching || document.hidden) { stale = true; return; }
    fetching = true;
    stale = false;
    later = clearTimeout(later);
    try {
      const answer = await fetch(location.href, { headers: { "X-Live": "1" } });
      if (answer.ok && !answer.redirected) put(await answer.text());
      else if (answer.redirected) location.reload();
    } catch (error) {
      stale = true;  // the server is away: the socket, too, comes again
    } finally {
      fetching = false;
      if (stale && !document.hidden) setTimeout(renew, 1000);
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

  function say(isLive) {
    if (isLive) heardAt = new Date();
    light.textContent = isLive ? "live" : `not live since ${heardAt.toLocaleTimeString()}`;
    light.classList.toggle("on", isLive);
    document.body.classList.toggle("is-stale", !isLive);
  }

  function connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${document.body.dataset.live}?${watched}`);
    let isListening = false;
    socket.onmessage = (message) => {
      const told = JSON.parse(message.data);
      if (told.listening) { isListening = true; wait = 1000; say(true); }
      if (told.frames) document.dispatchEvent(new CustomEvent("frames", { detail: told.frames }));
      else if (told.listening || isShown(told)) renew();
      else later ??= setTimeout(renew, 5000);  // of the fleet only the counts have changed
    };
    socket.onclose = (closed) => {
      if (closed.code === 4401) { location.reload(); return; }
      if (isListening) heardAt = new Date();
      if (closed.code === 1012 && isListening) { connect(); return; }  // whether it may is looked at again
      say(false);
      setTimeout(connect, wait);
      wait = Math.min(wait * 2, 15000);
    };
  }

  document.addEventListener("visibilitychange", () => { if (stale) renew(); });
  connect();
  goOn();
})();
