// Four small charts that move: each shows the last minute.
"use strict";

const SAMPLES = 300; // a minute
const SMOOTHED = 10;
const SIZE = { width: 240, height: 60 };

class Chart {
  constructor(place, title, names, show) {
    this.show = show;
    this.values = names.map(() => []);
    this.output = make("output", {}, "–");
    this.lines = names.map((_, n) => draw("polyline", { class: n ? "line second" : "line" }));
    const svg = draw("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...this.lines);
    this.top = make("span", { class: "top" });
    place.append(make("figure", { class: "chart" }, make("figcaption", {}, title, this.output), svg, this.top));
  }

  add(...values) {
    values.forEach((value, n) => {
      this.values[n].push(value);
      if (this.values[n].length > SAMPLES) this.values[n].shift();
    });
    const most = Math.max(...this.values.flat().filter((value) => value !== null), 0);
    this.top.textContent = most ? `up to ${this.show(most)}` : "";
    this.values.forEach((series, n) => {
      const points = [];
      series.forEach((value, place) => {
        if (value === null) return;
        const x = SIZE.width - (series.length - 1 - place) * (SIZE.width / (SAMPLES - 1));
        points.push(`${x.toFixed(1)},${(SIZE.height - 3 - (value / (most || 1)) * (SIZE.height - 8)).toFixed(1)}`);
      });
      this.lines[n].setAttribute("points", points.join(" "));
    });
    const now = this.values.map((series) => mean(series.slice(-SMOOTHED)));
    if (!now.includes(null)) this.output.textContent = now.map(this.show).join(", ");
  }
}

/** The mean of those that are known: one view alone is a fifth of a second. */
function mean(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}

class Charts {
  constructor(place) {
    const perSecond = (value) => `${value.toFixed(value < 10 ? 1 : 0)} /s`;
    this.requests = new Chart(place, "Requests", ["requests"], perSecond);
    this.hits = new Chart(place, "Found in cache", ["hits"], (value) => `${(100 * value).toFixed(0)} %`);
    this.latency = new Chart(place, "p50, p99 in ms", ["p50", "p99"], (value) => milliseconds(value).slice(0, -3));
    this.purchases = new Chart(place, "Purchases", ["purchases"], perSecond);
  }

  add(rates) {
    this.requests.add(rates.requests);
    this.hits.add(rates.hits);
    this.latency.add(rates.p50, rates.p99);
    this.purchases.add(rates.purchases);
  }
}
