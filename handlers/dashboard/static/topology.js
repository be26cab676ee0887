// The nodes - front ends on top, the orders to the left, the catalog to the right - and the feeds between
// them. The middle is free for the lines.
"use strict";

const BOX = { width: 176, height: 84 };
const GAP = { x: matchMedia("(max-width: 40rem)").matches ? 40 : 116, y: 58 };
const MARGIN = 4;
const BULGE = (BOX.width / 2 + 20) / 0.75; // by which a cubic curve leaves its box by 20
const SPOTS = [0.5, 0.42, 0.58, 0.46, 0.54, 0.38, 0.62, 0.34, 0.66]; // on a line, for a number
const APART = 15;
const ROLES = ["frontend", "order", "catalog"];

class Topology {
  constructor(svg, table, settings) {
    this.svg = svg;
    this.table = table;
    this.leaseS = settings.lease_s;
    this.feeds = svg.appendChild(draw("g"));
    this.way = svg.appendChild(draw("g")); // below the boxes, and its numbers above
    this.numbers = draw("g");
    this.nodes = new Map();
    const of = (role) => settings.nodes.filter((node) => node.role === role);
    const [fronts, orders, catalogs] = ROLES.map(of);
    const row = fronts.length * (BOX.width + GAP.x) - GAP.x;
    const width = Math.max(row, 2 * BOX.width + GAP.x);
    const left = (width - 2 * BOX.width - GAP.x) / 2;
    const rank = (place) => (place + 1) * (BOX.height + GAP.y);
    this.middle = width / 2;
    fronts.forEach(({ name }, place) => this.#node(name, (width - row) / 2 + place * (BOX.width + GAP.x), 0, "frontend"));
    orders.forEach(({ name }, place) => this.#node(name, left, rank(place), "order"));
    catalogs.forEach(({ name }, place) => this.#node(name, left + BOX.width + GAP.x, rank(place), "catalog"));
    const height = rank(Math.max(orders.length, catalogs.length)) - GAP.y;
    svg.setAttribute("viewBox", `${-MARGIN} ${-MARGIN} ${width + 2 * MARGIN} ${height + 2 * MARGIN}`);
    svg.append(this.numbers);
  }

  #node(name, x, y, role) {
    const { width, height } = BOX;
    const state = draw("text", { x: x + 12, y: y + 46, class: "state" }, "…");
    const seq = draw("text", { x: x + 12, y: y + 63, class: "state" });
    const bar = { x: x + 12, y: y + height - 13, height: 5, rx: 2.5 };
    const lease = draw("rect", { ...bar, width: 0, class: "lease" });
    const group = draw(
      "g", { class: "late" },
      draw("rect", { x, y, width, height, rx: 8, class: "box" }),
      draw("path", { d: `M${x} ${y} l${width} ${height} m0 ${-height} l${-width} ${height}`, class: "cross" }),
      draw("text", { x: x + 12, y: y + 26, class: "name" }, name),
      state, seq,
      draw("rect", { ...bar, width: width - 24, class: "lease-ground" }), lease,
    );
    this.svg.append(group);
    this.nodes.set(name, { group, state, seq, lease, role, x: x + width / 2, y: y + height / 2 });
  }

  show(view) {
    for (const node of view.nodes) this.#show(node);
    const lines = [];
    const impaired = new Set(view.links.map(({ between }) => between.join()));
    for (const feed of view.feeds) {
      if (impaired.has([feed.from, feed.to].sort().join())) continue; // it is drawn as its link
      const [from, to] = [this.nodes.get(feed.from), this.nodes.get(feed.to)];
      if (!from || !to) continue;
      const kind = feed.lag > 0 || feed.lease_s === 0 ? "feed behind" : "feed";
      lines.push(draw("path", { d: this.#line(from, to), class: kind },
        draw("title", {}, `${feed.from} feeds ${feed.to}: ${feed.lag} entries behind`)));
    }
    for (const { between, delay_ms } of view.links) {
      const [one, other] = between.map((name) => this.nodes.get(name));
      if (!one || !other) continue;
      const how = delay_ms === null ? "cut" : "slow";
      const line = draw("path", { d: this.#line(one, other), class: `link ${how}` },
        draw("title", {}, `The link between ${between.join(" and ")} is ${how}`));
      lines.push(line);
      if (how === "slow") continue;
      const { x, y } = line.getPointAtLength(line.getTotalLength() / 2);
      lines.push(draw("path", { d: `M${x - 7} ${y - 7} l14 14 m0 -14 l-14 14`, class: "link broken" }));
    }
    this.feeds.replaceChildren(...lines);
  }

  #show(node) {
    const shape = this.nodes.get(node.name);
    const lead = node.waits_s ? "lead waits" : "lead";
    shape.group.setAttribute("class", !node.up ? "dead" : node.primary ? lead : node.lease_s > 0 ? "sync" : "late");
    const state = !node.up ? "does not answer"
      : node.primary ? `primary, epoch ${node.epoch}`
      : node.role === "frontend" ? caching(node.leases)
      : node.leader ? `follows ${node.leader}` : "seeks a primary";
    shape.state.textContent = state;
    shape.seq.textContent = !node.up || node.seq === undefined ? ""
      : node.waits_s ? "writes wait for leases"
      : `entry ${node.seq}${node.lag ? `, ${node.lag} behind` : ""}`;
    const share = Math.min((node.waits_s || node.lease_s || 0) / this.leaseS, 1);
    shape.lease.setAttribute("width", (BOX.width - 24) * share);
    this.#row(node, state);
  }

  #row(node, state) {
    const row = this.table.querySelector(`[data-node="${node.name}"]`);
    const put = (name, text) => { row.querySelector(`[data-${name}]`).textContent = text; };
    put("state", state);
    put("seq", node.seq ?? "–");
    for (const button of row.querySelectorAll("button")) {
      button.setAttribute("aria-disabled", String(node.up === (button.dataset.do === "return")));
    }
    put("member", node.in_sync === undefined || node.in_sync === null ? "–" : node.in_sync ? "yes" : "no");
    put("lease", !node.up || node.lease_s == null ? "–" : node.lease_s > 0 ? `${node.lease_s.toFixed(2)} s` : "none");
    put("lag", node.lag ?? "–");
  }

  /** Draw the way of a request: each step that goes from one node to another, one after the other. */
  async showWay(steps) {
    const mine = (this.shown = {});
    this.way.replaceChildren();
    this.numbers.replaceChildren();
    const quick = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const placed = []; // numbers: none stands on another
    const hops = steps.filter((step) => this.nodes.has(step.at) && this.nodes.has(step.to));
    for (const [place, { at, to }] of hops.entries()) {
      const d = this.#line(this.nodes.get(at), this.nodes.get(to));
      const line = this.way.appendChild(draw("path", { d, class: "way" }));
      const spots = SPOTS.map((part) => line.getPointAtLength(line.getTotalLength() * part));
      const free = (spot) => placed.every((other) => Math.hypot(other.x - spot.x, other.y - spot.y) > APART);
      const { x, y } = spots.find(free) || spots[0];
      placed.push({ x, y });
      this.numbers.append(draw("text", { x, y: y + 5, class: "hop" }, String(place + 1)));
      if (!quick) await new Promise((done) => setTimeout(done, 200));
      if (this.shown !== mine) return; // another request was sent meanwhile
    }
  }

  /** The line between two nodes, the same in both directions, around all others. */
  #line(one, other) {
    const [from, to] = [one, other].sort((a, b) => ROLES.indexOf(a.role) - ROLES.indexOf(b.role) || a.y - b.y);
    const start = `M${from.x} ${from.y}`;
    if (from.role === "frontend") return `${start} C${this.middle} ${to.y / 2} ${this.middle} ${to.y} ${to.x} ${to.y}`;
    if (from.role !== to.role) return `${start} L${to.x} ${to.y}`;
    const inside = from.x + Math.sign(this.middle - from.x) * BULGE;
    return `${start} C${inside} ${from.y} ${inside} ${to.y} ${to.x} ${to.y}`;
  }
}

/** What a front end does, by its leases: one from each group. */
function caching(leases) {
  const without = Object.keys(leases).filter((role) => !(leases[role] > 0));
  if (!without.length) return "serves, and caches";
  if (without.length === Object.keys(leases).length) return "serves, without cache";
  return without[0] === "order" ? "caches no orders" : "caches no books";
}
