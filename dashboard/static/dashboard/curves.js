// Curves of readings, drawn by uPlot from JSON: {at: [seconds], name: [number or null], …}.
"use strict";
(() => {
  const PATIENCE = 15000, LONGEST_PAUSE = 30000;
  const drawn = new Map();  // element: plot
  const retries = new WeakMap();  // element: timer
  const colours = { power: "--power", energy: "--energy", soc: "--soc", connected: "--power" };
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const width = (element) => element.clientWidth || 300;
  const height = (element) => Number(element.dataset.height ?? 200);

  // Readings of one measurand are joined over moments that have another; where no minute was noted there is a gap.
  const lastDay = () => [Date.now() / 1000 - 86400, Date.now() / 1000];

  function spelt(element) {
    return element.dataset.series.split(",").map((text) => {
      const [name, unit, shape] = text.split(":");
      return { name, unit, shape };
    });
  }

  const AROUND = 300;  // seconds before and after a single reading; uPlot would have the axis end 86,400,000 s after it
  const around = ({ data: [[at]] }) => [at - AROUND, at + AROUND];

  // The zone of a page; in the admin that of a curve.
  const zoneOf = (element) => element.closest("[data-time-zone]").dataset.timeZone;

  // In the zone of the page, as this browser writes times; with the day, where it is another one than before.
  function when(timeZone, tick, before, step) {
    const day = (at) => new Date(at * 1000).toLocaleDateString([], { timeZone, day: "numeric", month: "short" });
    const time = new Date(tick * 1000).toLocaleTimeString([], { timeZone, hour: "numeric", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}) });
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
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),  // ticks are at whole hours of it
      scales: { ...(element.dataset.every ? { x: { range: lastDay } } : isSingle ? { x: { range: around } } : {}), ...Object.fromEntries(series.map(({ unit }, number) => [unit, {
        // Single points of several measurands would lie upon each other at the tops of their scales.
        range: (plot, least, most) => unit === "%" ? [0, 100] : [0, most > 0 ? most * (isSingle ? 1.1 + number / 2 : 1.1) : 1],
      }])) },
      axes: [times, ...series.map(({ unit }, number) => ({
        ...axis, scale: unit, side: number ? 1 : 3,
        size: (plot, ticks) => 18 + 7.5 * Math.max(...(ticks ?? [""]).map((tick) => tick.length)), grid: number ? { show: false } : grid,
        values: (plot, ticks) => ticks.map((tick) => `${tick.toLocaleString("en")} ${unit}`),
      }))],
      series: [{ value: (plot, at) => at === null ? "–" : new Date(at * 1000).toLocaleString([], { timeZone: zone }) },
        ...series.map(({ name, unit, shape }) => ({
          label: name === "soc" ? "state of charge" : name, scale: unit, spanGaps: !element.dataset.every, width: 2,
          stroke: style(colours[name]), points: isSingle ? { size: 8, fill: style(colours[name]) } : {}, fill: shape === "area" ? `${style(colours[name])}33` : undefined,
          value: (plot, value) => value === null ? "–" : `${value.toFixed(unit === "%" ? 0 : 2)} ${unit}`,
        }))],
    };
  }

  async function read(address) {  // null where it can't be had
    try {
      const answer = await fetch(address, { signal: AbortSignal.timeout(PATIENCE) });
      return answer.ok ? await answer.json() : null;
    } catch (error) {
      return null;
    }
  }

  // A curve that could not be read is marked, so that its page is not called live, and is read again.
  async function draw(element, pause = 1000) {
    clearTimeout(retries.get(element));
    const told = await read(element.dataset.curves);
    element.toggleAttribute("data-failed", !told);
    document.dispatchEvent(new Event("curves"));
    if (!told) {
      const again = () => element.isConnected && draw(element, Math.min(pause * 2, LONGEST_PAUSE));
      retries.set(element, setTimeout(again, pause));
      return;
    }
    const series = spelt(element).filter(({ name }) => told[name].some((value) => value !== null));
    drawn.get(element)?.destroy();
    drawn.delete(element);
    element.textContent = "";
    if (!series.length) {
      element.textContent = "Nothing was read yet.";
      return;
    }
    drawn.set(element, new uPlot(options(element, series, told.at.length === 1), [told.at, ...series.map(({ name }) => told[name])], element));
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
