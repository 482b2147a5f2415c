// Charts of readings, drawn by uPlot from JSON: {at: [seconds], name: [number or null], …}.
"use strict";
(() => {
  const FETCH_TIMEOUT_MS = 15000, MAX_RETRY_DELAY_MS = 30000;
  const drawn = new Map();  // element: plot
  const retries = new WeakMap();  // element: timer
  const colours = { power: "--power", energy: "--energy", soc: "--soc", connected: "--power", limit: "--power" };
  const labels = { power: "Power", energy: "Energy", soc: "State of charge", limit: "Limit" };
  // The language of the page, as it is used in the country of the user, such as en-GB.
  const pageLanguage = document.documentElement.lang || "en";
  const language = navigator.languages.find((tag) => tag.startsWith(pageLanguage)) ?? pageLanguage;
  // The admin loads this script without page.js, in English.
  const text = (english) => typeof translated === "function" ? translated(english) : english;
  const decimal = (value, digits) => value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const width = (element) => element.clientWidth || 300;
  const height = (element) => Number(element.dataset.height ?? 200);

  // Lines connect readings across times of other measurands; the chart of the fleet has a gap where a minute is missing.
  const lastDay = () => [Date.now() / 1000 - 86400, Date.now() / 1000];

  function seriesOf(element) {
    return element.dataset.series.split(",").map((text) => {
      const [name, unit, shape] = text.split(":");
      return { name, unit, shape };
    });
  }

  const MARGIN_S = 300;  // around a single reading, because uPlot would end the axis 86,400,000 s after it
  const around = ({ data: [[at]] }) => [at - MARGIN_S, at + MARGIN_S];

  // The page sets the time zone; in the admin the chart itself does.
  const zoneOf = (element) => element.closest("[data-time-zone]").dataset.timeZone;

  // Formats a tick in the time zone of the page; adds the day where it differs from the previous tick.
  function when(timeZone, tick, before, step) {
    const day = (at) => new Date(at * 1000).toLocaleDateString(language, { timeZone, day: "numeric", month: "short" });
    const time = new Date(tick * 1000).toLocaleTimeString(language, { timeZone, hour: "numeric", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}) });
    return before !== undefined && day(before) === day(tick) ? time : `${time}\n${day(tick)}`;
  }

  function options(element, series, isSingle) {
    const zone = zoneOf(element), ink = style("--muted"), grid = { stroke: style("--line"), width: 1 };
    const axis = { stroke: ink, grid, ticks: grid, font: "12px system-ui, sans-serif" };
    const times = { ...axis, space: 90, values: (plot, ticks, axis, space, step) => ticks.map((tick, n) => when(zone, tick, ticks[n - 1], step)) };
    return {
      width: width(element), height: height(element),
      cursor: { points: { size: 6 } },
      legend: { live: true },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),  // places ticks at whole hours of the zone
      scales: { ...(element.dataset.every ? { x: { range: lastDay } } : isSingle ? { x: { range: around } } : {}), ...Object.fromEntries(series.map(({ unit }, number) => [unit, {
        // Different margins keep single points of several measurands apart.
        range: (plot, least, most) => unit === "%" ? [0, 100] : [0, most > 0 ? most * (isSingle ? 1.1 + number / 2 : 1.1) : 1],
      }])) },
      axes: [times, ...series.map(({ unit }, number) => ({
        ...axis, scale: unit, side: number ? 1 : 3,
        size: (plot, ticks) => 18 + 7.5 * Math.max(...(ticks ?? [""]).map((tick) => tick.length)), grid: number ? { show: false } : grid,
        values: (plot, ticks) => ticks.map((tick) => `${tick.toLocaleString(language)} ${unit}`),
      }))],
      series: [{ label: text("Time"), value: (plot, at) => at === null ? "–" : new Date(at * 1000).toLocaleString(language, { timeZone: zone }) },
        ...series.map(({ name, unit, shape }) => ({
          label: text(labels[name]), scale: unit, spanGaps: !element.dataset.every && !("steps" in element.dataset), width: 2,
          stroke: style(colours[name]), points: isSingle ? { size: 8, fill: style(colours[name]) } : {}, fill: shape === "area" ? `${style(colours[name])}33` : undefined,
          value: (plot, value) => value === null ? "–" : `${decimal(value, unit === "%" ? 0 : 2)} ${unit}`,
        }))],
    };
  }

  async function read(address) {  // null after a failure
    try {
      const answer = await fetch(address, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
      return answer.ok ? await answer.json() : null;
    } catch (error) {
      return null;
    }
  }

  // Marks a chart whose fetch failed, so that the page does not count as live, and fetches it again later.
  async function draw(element, pause = 1000) {
    clearTimeout(retries.get(element));
    const readings = await read(element.dataset.curves);
    element.toggleAttribute("data-failed", !readings);
    document.dispatchEvent(new Event("curves"));
    if (!readings) {
      const again = () => element.isConnected && draw(element, Math.min(pause * 2, MAX_RETRY_DELAY_MS));
      retries.set(element, setTimeout(again, pause));
      return;
    }
    const series = seriesOf(element).filter(({ name }) => readings[name].some((value) => value !== null));
    drawn.get(element)?.destroy();
    drawn.delete(element);
    element.textContent = "";
    if (!series.length) {
      element.textContent = "steps" in element.dataset ? "" : text("No meter values yet");
      return;
    }
    drawn.set(element, new uPlot(options(element, series, readings.at.length === 1), [readings.at, ...series.map(({ name }) => readings[name])], element));
  }

  function drawAll(root) {
    for (const element of root.querySelectorAll("[data-curves]")) {
      if (drawn.has(element)) continue;
      draw(element);
      if (element.dataset.every) setInterval(() => document.hidden || draw(element), element.dataset.every * 1000);
    }
  }

  drawAll(document);
  document.addEventListener("renewed", (event) => drawAll(event.target));
  document.addEventListener("read", (event) => draw(event.target));
  document.addEventListener("themed", () => drawn.forEach((plot, element) => draw(element)));
  addEventListener("resize", () => drawn.forEach((plot, element) => plot.setSize({ width: width(element), height: height(element) })));
})();
