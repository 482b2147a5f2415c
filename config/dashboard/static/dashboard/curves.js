// Curves of readings, drawn by uPlot from JSON: {at: [seconds], name: [number or null], …}.
"use strict";
(() => {
  const drawn = new Map();  // element: plot
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

  // As this browser writes times; with the day, where it is another one than before.
  function when(tick, before, step) {
    const day = (at) => new Date(at * 1000).toLocaleDateString([], { day: "numeric", month: "short" });
    const time = new Date(tick * 1000).toLocaleTimeString([], { hour: "numeric", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}) });
    return before !== undefined && day(before) === day(tick) ? time : `${time}\n${day(tick)}`;
  }

  function options(element, series) {
    const ink = style("--muted"), grid = { stroke: style("--line"), width: 1 };
    const axis = { stroke: ink, grid, ticks: grid, font: "12px system-ui, sans-serif" };
    const times = { ...axis, values: (plot, ticks, axis, space, step) => ticks.map((tick, n) => when(tick, ticks[n - 1], step)) };
    return {
      width: width(element), height: height(element),
      cursor: { points: { size: 6 } },
      legend: { live: true },
      scales: { ...(element.dataset.every ? { x: { range: lastDay } } : {}), ...Object.fromEntries(series.map(({ name, unit }) => [unit, {
        range: (plot, least, most) => unit === "%" ? [0, 100] : [0, most > 0 ? most * 1.1 : 1],
      }])) },
      axes: [times, ...series.map(({ unit }, number) => ({
        ...axis, scale: unit, side: number ? 1 : 3,
        size: (plot, ticks) => 18 + 7.5 * Math.max(...(ticks ?? [""]).map((tick) => tick.length)), grid: number ? { show: false } : grid,
        values: (plot, ticks) => ticks.map((tick) => `${tick.toLocaleString("en")} ${unit}`),
      }))],
      series: [{ value: (plot, at) => at === null ? "–" : new Date(at * 1000).toLocaleString() },
        ...series.map(({ name, unit, shape }) => ({
          label: name === "soc" ? "state of charge" : name, scale: unit, spanGaps: !element.dataset.every, width: 2,
          stroke: style(colours[name]), fill: shape === "area" ? `${style(colours[name])}33` : undefined,
          value: (plot, value) => value === null ? "–" : `${value.toFixed(unit === "%" ? 0 : 2)} ${unit}`,
        }))],
    };
  }

  async function draw(element) {
    let told;
    try {
      const answer = await fetch(element.dataset.curves);
      if (!answer.ok) return;
      told = await answer.json();
    } catch (error) {
      return;  // it is drawn with the next reading
    }
    const series = spelt(element).filter(({ name }) => told[name].some((value) => value !== null));
    drawn.get(element)?.destroy();
    drawn.delete(element);
    element.textContent = "";
    if (!series.length) {
      element.textContent = "Nothing was read yet.";
      return;
    }
    drawn.set(element, new uPlot(options(element, series), [told.at, ...series.map(({ name }) => told[name])], element));
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
