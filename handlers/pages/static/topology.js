// The nodes in columns - front ends, the orders and the catalog - and the feeds between them.
"use strict";

const BOX = { width: 190, height: 84 };
const COLUMNS = { frontend: 10, order: 265, catalog: 520 };
const HEIGHT = 430;

class Topology {
  constructor(svg, table, settings) {
    this.svg = svg;
    this.table = table;
    this.leaseS = settings.lease_s;
    this.feeds = svg.appendChild(draw("g"));
    this.way = svg.appendChild(draw("g")); // below the boxes, and its numbers above
    this.numbers = draw("g");
    this.nodes = new Map();
    for (const role of Object.keys(COLUMNS)) {
      const group = settings.nodes.filter((node) => node.role === role);
      group.forEach((node, place) => {
        const y = (HEIGHT * (place + 0.5)) / group.length - BOX.height / 2;
        this.nodes.set(node.name, this.#node(node.name, COLUMNS[role], y));
      });
    }
    svg.append(this.numbers);
  }

  #node(name, x, y) {
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
    return { group, state, seq, lease, x: x + width / 2, y: y + height / 2 };
  }

  show(view) {
    for (const node of view.nodes) this.#show(node);
    const lines = [];
    for (const feed of view.feeds) {
      const [from, to] = [this.nodes.get(feed.from), this.nodes.get(feed.to)];
      if (!from || !to) continue;
      const kind = feed.lag > 0 || feed.lease_s === 0 ? "feed behind" : "feed";
      lines.push(draw("path", { d: curve(from, to), class: kind },
        draw("title", {}, `${feed.from} feeds ${feed.to}: ${feed.lag} entries behind`)));
    }
    this.feeds.replaceChildren(...lines);
  }

  #show(node) {
    const shape = this.nodes.get(node.name);
    const fits = node.role === "frontend" ? node.lease_s > 0 : node.primary || (node.in_sync && node.lease_s > 0);
    shape.group.setAttribute("class", !node.up ? "dead" : node.primary ? "lead" : fits ? "sync" : "late");
    const state = !node.up ? "does not answer"
      : node.primary ? `primary, epoch ${node.epoch}`
      : node.role === "frontend" ? (node.lease_s > 0 ? "serves, and caches" : "serves without its cache")
      : node.leader ? `follows ${node.leader}` : "seeks a primary";
    shape.state.textContent = state;
    shape.seq.textContent = node.up && node.seq !== undefined
      ? `entry ${node.seq}${node.lag ? `, ${node.lag} behind` : ""}` : "";
    const share = Math.min((node.lease_s || 0) / this.leaseS, 1);
    shape.lease.setAttribute("width", (BOX.width - 24) * share);
    this.#row(node, state);
  }

  #row(node, state) {
    const row = this.table.querySelector(`[data-node="${node.name}"]`);
    const put = (name, text) => { row.querySelector(`[data-${name}]`).textContent = text; };
    put("state", state);
    put("seq", node.seq ?? "–");
    put("sync", node.in_sync === undefined || node.in_sync === null ? "–" : node.in_sync ? "yes" : "no");
    put("lease", !node.up || node.primary ? "–" : node.lease_s > 0 ? `${node.lease_s.toFixed(2)} s` : "none");
    put("lag", node.lag ?? "–");
  }

  /** Draw the way of a request: each step that goes from one node to another, one after the other. */
  async showWay(steps) {
    this.way.replaceChildren();
    this.numbers.replaceChildren();
    const quick = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let number = 0;
    const hops = steps.filter((step) => step.to && this.nodes.has(step.at) && this.nodes.has(step.to));
    for (const { at, to } of hops) {
      const [from, goal] = [this.nodes.get(at), this.nodes.get(to)];
      number += 1;
      const part = 0.3 + 0.4 * ((number % 4) / 3);
      this.way.append(draw("path", { d: `M${from.x} ${from.y} L${goal.x} ${goal.y}`, class: "way" }));
      const x = from.x + (goal.x - from.x) * part - 4;
      const y = from.y + (goal.y - from.y) * part - 4;
      this.numbers.append(draw("text", { x, y, class: "hop" }, String(number)));
      if (!quick) await new Promise((done) => setTimeout(done, 200));
    }
  }
}

/** Between two boxes of one column the line goes around to the side, so that it is seen. */
function curve(from, to) {
  if (from.x !== to.x) return `M${from.x} ${from.y} L${to.x} ${to.y}`;
  const side = from.x + BOX.width / 2 + 8;
  return `M${from.x} ${from.y} C${side + 20} ${from.y} ${side + 20} ${to.y} ${to.x} ${to.y}`;
}
