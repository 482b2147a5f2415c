// Map of sites: outlines of countries, or tiles, with circles coloured by the worst state of the chargers of a site.
// The list beside it has the same links, so the map itself is hidden from screen readers and not reached by Tab.
"use strict";
(() => {
  const box = document.getElementById("map");
  if (!box) return;
  const SVG = "http://www.w3.org/2000/svg", TILE = 256, UNITS = 8192;  // of the outlines, for the width of the world
  const MIN_SCALE = 200, NEAR = 2 ** 13 * TILE, MAX_SCALE = 2 ** 18 * TILE, CLUSTER_PX = 34, MAX_LABELS = 40;
  const svg = box.querySelector("svg");
  const layer = (name) => svg.appendChild(element("g", { class: name }));
  const tiles = layer("tiles"), base = layer("base"), marks = layer("marks");
  // The middle of the view in parts of the world from 0 to 1, and the pixels of the whole world.
  const view = { x: 0.5, y: 0.35, scale: 800 };
  let shown = "";

  function element(name, attributes) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  function project([longitude, latitude]) {  // Web Mercator, as tiles have it
    const sine = Math.sin(Math.max(-85, Math.min(85, latitude)) * Math.PI / 180);
    return [longitude / 360 + 0.5, 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)];
  }

  function unproject(x, y) {
    return [(x - 0.5) * 360, Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180 / Math.PI];
  }

  const places = () => JSON.parse(document.getElementById("places")?.textContent ?? "[]");
  const size = () => [box.clientWidth, box.clientHeight];
  const onScreen = ([x, y]) => { const [w, h] = size(); return [w / 2 + (x - view.x) * view.scale, h / 2 + (y - view.y) * view.scale]; };

  function fit(points, closest = box.dataset.tiles ? NEAR : NEAR / 32) {
    if (!points.length) return;
    const [w, h] = size(), xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    view.x = (left + right) / 2;
    view.y = (top + bottom) / 2;
    const wanted = Math.min((w - 80) / Math.max(right - left, 1e-9), (h - 80) / Math.max(bottom - top, 1e-9));
    view.scale = Math.max(MIN_SCALE, Math.min(closest, wanted));
  }

  function zoom(factor, [px, py] = size().map((length) => length / 2)) {
    const [w, h] = size(), before = view.scale;
    view.scale = Math.max(MIN_SCALE, Math.min(MAX_SCALE, before * factor));
    const shift = 1 / before - 1 / view.scale;
    view.x += (px - w / 2) * shift;
    view.y += (py - h / 2) * shift;
    draw();
  }

  function draw() {
    const [w, h] = size();
    svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
    base.setAttribute("transform", `translate(${w / 2 - view.x * view.scale} ${h / 2 - view.y * view.scale}) scale(${view.scale / UNITS})`);
    if (box.dataset.tiles) drawTiles(w, h);
    drawMarks();
  }

  function drawTiles(w, h) {
    const level = Math.max(0, Math.min(18, Math.round(Math.log2(view.scale / TILE)))), count = 2 ** level;
    const edge = view.scale / count, wanted = new Map();
    for (let x = Math.floor((view.x - w / 2 / view.scale) * count); x * edge < (view.x * view.scale + w / 2); x++) {
      for (let y = Math.max(0, Math.floor((view.y - h / 2 / view.scale) * count)); y < count && y * edge < (view.y * view.scale + h / 2); y++) {
        const values = { z: level, x: ((x % count) + count) % count, y };
        wanted.set(`${level}/${x}/${y}`, [box.dataset.tiles.replace(/{([xyz])}/g, (_, name) => values[name]), ...onScreen([x / count, y / count])]);
      }
    }
    for (const image of [...tiles.children]) if (!wanted.has(image.dataset.key)) image.remove();
    for (const [key, [href, x, y]] of wanted) {
      const image = [...tiles.children].find((each) => each.dataset.key === key) ?? tiles.appendChild(element("image", { href, "data-key": key }));
      for (const [name, value] of Object.entries({ x, y, width: edge + 0.5, height: edge + 0.5 })) image.setAttribute(name, value);
    }
  }

  const ORDER = ["faulted", "not accepted", "offline", "charging", "in use", "available", "unavailable", "never connected", ""];

  function clusters() {
    const found = [];
    for (const place of places()) {
      const point = project(place.at), [x, y] = onScreen(point);
      const near = found.find((other) => Math.hypot(other.x - x, other.y - y) < CLUSTER_PX);
      if (near) near.places.push(place);
      else found.push({ x, y, point, places: [place] });
    }
    return found;
  }

  function drawMarks() {
    const found = clusters(), [w, h] = size();
    const visible = found.filter(({ x, y }) => x > -40 && y > -40 && x < w + 40 && y < h + 40);
    marks.replaceChildren(...visible.map((cluster) => mark(cluster, visible.length <= MAX_LABELS)));
  }

  function mark({ x, y, places }, hasLabel) {
    const worst = places.reduce((a, b) => ORDER.indexOf(b.state) < ORDER.indexOf(a.state) ? b : a);
    const trouble = places.reduce((sum, place) => sum + place.trouble, 0), chargers = places.reduce((sum, place) => sum + place.chargers, 0);
    const radius = 9 + Math.min(13, 2 * Math.sqrt(chargers));
    const made = places.length === 1 && places[0].url
      ? element("a", { href: places[0].url, tabindex: -1 }) : element("g", { class: "cluster" });
    made.classList.add(`s-${(worst.state || "none").replaceAll(" ", "-")}`);
    made.setAttribute("transform", `translate(${x} ${y})`);
    const title = element("title", {}), number = element("text", { dy: ".35em" });
    title.textContent = places.length === 1 ? `${places[0].name}: ${places[0].label}` : places.slice(0, 10).map((place) => place.name).join(", ");
    number.textContent = trouble ? `${trouble}!` : chargers;
    made.append(title, element("circle", { r: radius }), number);
    if (hasLabel) {
      const label = element("text", { class: "label", x: radius + 4, dy: ".35em" });
      label.textContent = places.length === 1 ? places[0].name.slice(0, 24) : `${places[0].name.slice(0, 18)} +${places.length - 1}`;
      made.append(label);
    }
    if (places.length > 1) made.addEventListener("click", () => { fit(places.map((place) => project(place.at)), MAX_SCALE); draw(); });
    return made;
  }

  function path(rings, isClosed) {
    return rings.map((ring) => {
      let longitude = 0, latitude = 0, text = "";
      for (let n = 0; n < ring.length; n += 2) {
        // An outline that crosses the 180th meridian goes on beyond it. That of Antarctica goes around the pole.
        const isCrossing = Math.abs(ring[n]) > 18000 && n > 0 && latitude > -6000;
        longitude += isCrossing ? ring[n] - 36000 * Math.sign(ring[n]) : ring[n];
        latitude += ring[n + 1];
        const [x, y] = project([longitude * 0.01, latitude * 0.01]);
        text += `${n ? "L" : "M"}${(x * UNITS).toFixed(2)} ${(y * UNITS).toFixed(2)}`;
      }
      return text + (isClosed ? "Z" : "");
    }).join("");
  }

  async function drawBase() {
    if (box.dataset.tiles) return;
    const answer = await fetch(box.dataset.base).catch(() => null);  // the page may be left meanwhile
    const outlines = answer?.ok ? await answer.json().catch(() => null) : null;
    if (!outlines) return;
    const { land, borders } = outlines;
    base.append(element("path", { class: "land", d: path(land, true) }), element("path", { class: "border", d: path(borders, false) }));
    box.dataset.drawn = "1";
  }

  function renew() {
    const text = document.getElementById("places")?.textContent ?? "";
    if (text === shown) return;
    if (!shown) fit(places().map((place) => project(place.at)));
    shown = text;
    draw();
  }

  // --- hands ---
  const pointers = new Map();
  let moved = 0;
  const position = (event) => { const at = box.getBoundingClientRect(); return [event.clientX - at.left, event.clientY - at.top]; };
  svg.addEventListener("pointerdown", (event) => { pointers.set(event.pointerId, position(event)); if (pointers.size === 1) moved = 0; });
  addEventListener("pointermove", (event) => {
    const former = pointers.get(event.pointerId);
    if (!former) return;
    const now = position(event), others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    pointers.set(event.pointerId, now);
    moved += Math.hypot(now[0] - former[0], now[1] - former[1]);
    if (others.length) {
      const distance = (at) => Math.hypot(at[0] - others[0][0], at[1] - others[0][1]) || 1;
      zoom(distance(now) / distance(former), others[0]);
    } else {
      view.x -= (now[0] - former[0]) / view.scale;
      view.y -= (now[1] - former[1]) / view.scale;
      draw();
    }
  });
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, (event) => pointers.delete(event.pointerId));
  svg.addEventListener("dragstart", (event) => event.preventDefault());
  svg.addEventListener("click", (event) => {
    if (moved > 5) { event.preventDefault(); event.stopPropagation(); return; }
    if ("picks" in box.dataset) pick(position(event));
  }, true);
  svg.addEventListener("dblclick", (event) => zoom(2, position(event)));
  svg.addEventListener("wheel", (event) => {  // alone it scrolls the page
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(2 ** (-event.deltaY / 100), position(event));
  }, { passive: false });
  box.querySelector(".zoom").addEventListener("click", (event) => {
    const wanted = event.target.dataset.zoom;
    if (wanted === "fit") { fit(places().map((place) => project(place.at))); draw(); }
    else if (wanted) zoom(wanted === "in" ? 2 : 0.5);
  });

  // --- the form of a site ---
  const inputs = ["longitude", "latitude"].map((name) => document.querySelector(`input[name=${name}]`));

  function pick([px, py]) {
    const [w, h] = size();
    const at = unproject(view.x + (px - w / 2) / view.scale, view.y + (py - h / 2) / view.scale);
    inputs.forEach((input, n) => { input.value = at[n].toFixed(6); });
    drawPicked();
  }

  function drawPicked() {
    const at = inputs.map((input) => input.value.trim() === "" ? NaN : Number(input.value.replace(",", ".")));
    if (at.some(Number.isNaN)) { marks.replaceChildren(); return null; }
    const point = project(at), [x, y] = onScreen(point);
    marks.replaceChildren(mark({ x, y, places: [{ name: "", state: "", label: "", chargers: 0, trouble: 0, at }] }, false));
    return point;
  }

  if ("picks" in box.dataset) {
    drawMarks = drawPicked;
    const point = drawPicked();
    if (point) fit([point]);
    for (const input of inputs) input.addEventListener("input", () => { const there = drawPicked(); if (there) { fit([there]); draw(); } });
  }
  draw();
  renew();
  drawBase();
  document.addEventListener("renewed", renew);
  new ResizeObserver(draw).observe(box);
})();
