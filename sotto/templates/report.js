// The report's own script: sorting, filters, charts as SVG, tabs, details.  Text from data is only ever set as text.
"use strict";
const { rows, nets } = JSON.parse(document.getElementById("data").textContent);
const table = document.getElementById("results"), body = table.tBodies[0], filters = document.getElementById("filters");
const figure = (row, key) => row.cells[key][0];
const title = row => `${row.peer || row.paradigm + " " + row.mode}, ${row.model}`;

function make(tag, attributes = {}, ...children) {
  const space = ["svg", "g", "path", "text", "line", "rect", "circle"].includes(tag) || attributes.svg;
  const element = space ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (name !== "svg") element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// -- filters -------------------------------------------------------------------------------------------------------

function visible() {
  const wanted = new FormData(filters), paradigms = new Set(wanted.getAll("paradigm"));
  const words = (wanted.get("words") || "").toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter(row => paradigms.has(row.paradigm)
    && (!wanted.get("net") || row.net === wanted.get("net"))
    && (!wanted.get("corpus") || row.corpus === wanted.get("corpus"))
    && words.every(word => haystack(row).includes(word)));
}

function haystack(row) {
  row.haystack ??= [row.paradigm, row.mode, row.model, row.peer, row.net, ...Object.values(row.cells).map(cell => cell[1])]
    .join(" ").toLowerCase();
  return row.haystack;
}

function update() {
  const shown = visible(), left = new Set(shown.map(row => row.id));
  for (const line of body.rows) line.hidden = !left.has(line.id);
  table.dataset.view = new FormData(filters).get("view");
  document.getElementById("count").textContent = `${shown.length} of ${rows.length} rows`;
  drawScatter("chart-accuracy", shown, { key: "online", name: "online time of one query", unit: "ms", log: true },
    { key: "private", name: "accuracy of the private answers", unit: "%", log: false, scale: 100, better: "more" });
  drawScatter("chart-bytes", shown, { key: "bytes", name: "bytes of one query, all parties", unit: "B", log: true },
    { key: "online", name: "online time of one query", unit: "ms", log: true });
  drawBars("chart-nets", inAllNets());
  drawLegend(shown);
}

// The bars compare networks, so the network filter does not touch them.
function inAllNets() {
  const select = filters.elements.net;
  if (!select) return visible();
  const before = select.value;
  select.value = "";
  const found = visible();
  select.value = before;
  return found;
}

// -- sorting -------------------------------------------------------------------------------------------------------

function sortBy(head) {
  const column = head.cellIndex, up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = line => {
    const cell = line.cells[column];
    return "v" in cell.dataset ? (cell.dataset.v === "" ? null : Number(cell.dataset.v)) : cell.textContent.trim();
  };
  const compare = (a, b) => typeof a === "string" ? a.localeCompare(b) : a - b;
  const sorted = [...body.rows].map(line => [key(line), line]).sort(([a], [b]) =>
    a === null || b === null ? (a === null) - (b === null) : compare(a, b) * (up ? 1 : -1));
  body.append(...sorted.map(([, line]) => line));
}

// -- charts --------------------------------------------------------------------------------------------------------

const SHAPES = {
  mpc: "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0", he: "M-5.5-5.5h11v11h-11z", hashing: "M0-7.5L7.5 0 0 7.5-7.5 0z",
  keyed: "M0-7L7 6H-7z", adversarial: "M0 7L-7-6H7z", other: "M-6-2h4v-4h4v4h4v4h-4v4h-4v-4h-4z",
};
const shapeOf = row => SHAPES[row.paradigm] || SHAPES.other;

function byteWords(v) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (v >= size) return `${v / size} ${unit}`;
  return `${v} B`;
}
function tickWords(v, unit) {
  if (unit === "B") return byteWords(v);
  if (unit === "ms") return v >= 1000 ? `${v / 1000} s` : `${v} ms`;
  return `${v} ${unit}`;
}

function scaleOf(values, axis, from, to) {
  let low = Math.min(...values), high = Math.max(...values), ticks = [];
  if (axis.log) {
    low = 10 ** Math.floor(Math.log10(low * 0.8)); high = 10 ** Math.ceil(Math.log10(high * 1.25));
    const decades = Math.round(Math.log10(high / low)), step = Math.max(1, Math.ceil(decades / (Math.abs(to - from) / 62)));
    for (let i = 0; i <= decades; i += step) ticks.push(Number((low * 10 ** i).toPrecision(3)));
    return { ticks, at: v => from + (to - from) * Math.log10(v / low) / Math.log10(high / low) };
  }
  const spread = Math.max(high - low, 5), step = [1, 2, 5, 10, 20].find(s => spread / s <= 6) || 25;
  low = Math.max(0, Math.floor((low - spread * 0.12) / step) * step);
  high = Math.min(100, Math.ceil((high + spread * 0.12) / step) * step);
  for (let v = low; v <= high; v += step) ticks.push(v);
  return { ticks, at: v => from + (to - from) * (v - low) / (high - low) };
}

function chartSpace(box, label, height) {
  box.querySelector("svg, .empty")?.remove();
  const width = Math.max(280, box.clientWidth - 36);
  return make("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label });
}

function drawScatter(id, shown, x, y) {
  const box = document.getElementById(id);
  const points = shown.filter(row => figure(row, x.key) > 0 && figure(row, y.key) !== null && (!y.log || figure(row, y.key) > 0));
  const width = Math.max(280, box.clientWidth - 36), height = Math.min(400, Math.max(290, width * 0.62));
  const svg = chartSpace(box, `${y.name} against ${x.name}: ${points.length} marks`, height);
  if (!points.length) return void box.append(make("p", { class: "dim empty" }, "No row that is left has both figures."));
  const value = (row, axis) => figure(row, axis.key) * (axis.scale || 1);
  const left = y.unit === "%" ? 62 : 74, bottom = height - 42;
  const sx = scaleOf(points.map(row => value(row, x)), x, left + 8, width - 14);
  const sy = scaleOf(points.map(row => value(row, y)), y, bottom - 8, 14);
  for (const tick of sx.ticks) svg.append(
    make("line", { class: "axis", x1: sx.at(tick), x2: sx.at(tick), y1: 10, y2: bottom }),
    make("text", { x: sx.at(tick), y: bottom + 17, "text-anchor": "middle" }, tickWords(tick, x.unit)));
  for (const tick of sy.ticks) svg.append(
    make("line", { class: "axis", x1: left, x2: width, y1: sy.at(tick), y2: sy.at(tick) }),
    make("text", { x: left - 7, y: sy.at(tick) + 4, "text-anchor": "end" }, tickWords(tick, y.unit)));
  svg.append(make("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle" }, x.name),
    make("text", { x: -bottom / 2, y: 11, transform: "rotate(-90)", "text-anchor": "middle" }, y.name));
  const place = row => [sx.at(value(row, x)), sy.at(value(row, y))];
  const cost = row => [value(row, x), y.better === "more" ? -value(row, y) : value(row, y)];
  const edge = { right: width, bottom: y.better === "more" ? bottom : 10 };
  const fronts = [...new Set(points.map(row => row.net + row.corpus))].map(of => front(points.filter(row => row.net + row.corpus === of), cost));
  for (const best of fronts) svg.append(stairs(best.map(place), edge));
  for (const row of points) svg.append(mark(row, ...place(row)));
  if (fronts.length === 1 && width > 480) for (const row of distinct(fronts[0])) {
    const [px, py] = place(row), before = px > width * 0.68;
    svg.append(make("text", { class: "label", x: px + (before ? -13 : 13), y: py + (y.better === "more" ? -9 : 20), "text-anchor": before ? "end" : "start", "aria-hidden": "true" }, title(row)));
  }
  box.append(svg);
}

// The rows that no other one beats in both figures (less is better in both).
function front(points, cost) {
  return points.filter(row => !points.some(other => {
    const [a, b] = cost(other), [c, d] = cost(row);
    return a <= c && b <= d && (a < c || b < d);
  })).sort((a, b) => cost(a)[0] - cost(b)[0]);
}

// A staircase along the front, out to the edges of the chart, behind which nothing better was measured.
function stairs(places, edge) {
  let path = `M${places[0][0].toFixed(1)} ${edge.bottom}`;
  for (const [px, py] of places) path += `H${px.toFixed(1)}V${py.toFixed(1)}`;
  return make("path", { class: "front", d: `${path}H${edge.right}`, "aria-hidden": "true" });
}

// At most five of them, spread over the front, get their names written beside them.
function distinct(best) {
  const step = Math.max(1, Math.ceil(best.length / 5));
  return best.filter((_, i) => i % step === 0);
}

function mark(row, x, y) {
  const link = make("a", { svg: true, href: `#${row.id}`, "aria-label": spoken(row), transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
    class: row.peer ? "peer" : "own" },
    make("circle", { class: "ring", r: 11 }), make("path", { class: "mark", d: shapeOf(row) }));
  link.dataset.paradigm = row.paradigm;
  for (const come of ["mouseenter", "focus"]) link.addEventListener(come, () => showTip(row, link));
  for (const go of ["mouseleave", "blur"]) link.addEventListener(go, hideTip);
  link.addEventListener("click", event => { event.preventDefault(); goTo(row); });
  return link;
}

const spoken = row => `${title(row)} on ${row.net}: accuracy ${row.cells.private[1]}, online ${row.cells.online[1]}, ${row.cells.bytes[1]}`;

function drawBars(id, shown) {
  const box = document.getElementById(id);
  const groups = new Map();
  for (const row of shown) {
    if (!(figure(row, "online") > 0)) continue;
    const key = [row.paradigm, row.mode, row.model, row.cells.setting[1], row.peer, row.corpus].join("\n");
    groups.set(key, [...(groups.get(key) || []), row]);
  }
  const width = Math.max(280, box.clientWidth - 36), narrow = width < 560, bar = 15;
  const lines = [...groups.values()], head = narrow ? 20 : 0;
  const height = 30 + lines.reduce((sum, group) => sum + head + 12 + group.length * (bar + 5), 0);
  const svg = chartSpace(box, `online time of one query by network: ${shown.length} bars`, height);
  if (!lines.length) return void box.append(make("p", { class: "dim empty" }, "No row that is left has an online time."));
  const left = narrow ? 60 : Math.min(330, width * 0.38), right = width - 74;
  const scale = scaleOf(lines.flat().map(row => figure(row, "online")), { log: true }, left, right);
  for (const tick of scale.ticks) svg.append(
    make("line", { class: "axis", x1: scale.at(tick), x2: scale.at(tick), y1: 4, y2: height - 24 }),
    make("text", { x: scale.at(tick), y: height - 8, "text-anchor": "middle" }, tickWords(tick, "ms")));
  let y = 8;
  for (const group of lines) {
    group.sort((a, b) => nets.indexOf(a.net) - nets.indexOf(b.net));
    svg.append(make("text", { class: "label", x: narrow ? 0 : left - 66, y: y + 12, "text-anchor": narrow ? "start" : "end" },
      clipped(title(group[0]), narrow ? width / 7 : (left - 70) / 6.6)));
    y += head;
    for (const row of group) {
      const end = scale.at(figure(row, "online"));
      const link = make("a", { svg: true, href: `#${row.id}`, "aria-label": spoken(row), class: row.peer ? "peer" : "own" },
        make("text", { x: left - 7, y: y + 12, "text-anchor": "end" }, row.net),
        make("rect", { class: "value", x: left, y, width: Math.max(2, end - left).toFixed(1), height: bar, rx: 3, opacity: 1 - 0.22 * Math.max(0, nets.indexOf(row.net)) }),
        make("text", { class: "label", x: end + 7, y: y + 12 }, row.cells.online[1]));
      link.dataset.paradigm = row.paradigm;
      for (const come of ["mouseenter", "focus"]) link.addEventListener(come, () => showTip(row, link));
      for (const go of ["mouseleave", "blur"]) link.addEventListener(go, hideTip);
      link.addEventListener("click", event => { event.preventDefault(); goTo(row); });
      svg.append(link);
      y += bar + 5;
    }
    y += 12;
  }
  box.append(svg);
}

const clipped = (text, most) => text.length > most ? text.slice(0, Math.max(8, most - 1)) + "…" : text;

function drawLegend(shown) {
  const list = document.getElementById("legend");
  list.replaceChildren();
  const seen = new Map(shown.map(row => [row.paradigm, row]));
  for (const [paradigm, row] of seen) {
    const item = make("li", {}, make("svg", { viewBox: "-9 -9 18 18", class: "chart", "aria-hidden": "true" }, make("path", { class: "mark", d: shapeOf(row) })), paradigm);
    item.dataset.paradigm = paradigm;
    item.firstChild.firstChild.style.fill = "var(--own)";
    list.append(item);
  }
  if (shown.some(row => row.peer)) list.append(make("li", {}, "hollow: another system (peer)"));
}

// -- pointing at rows ----------------------------------------------------------------------------------------------

const tip = document.getElementById("tip");
function showTip(row, near) {
  tip.replaceChildren(make("b", {}, title(row)), `${row.net}, ${row.corpus}`, make("br"),
    `accuracy ${row.cells.private[1]} · online ${row.cells.online[1]} · ${row.cells.bytes[1]}`);
  tip.hidden = false;
  const place = near.getBoundingClientRect(), own = tip.getBoundingClientRect();
  const above = place.top - own.height - 8;
  tip.style.left = `${Math.max(8, Math.min(innerWidth - own.width - 8, place.left + place.width / 2 - own.width / 2))}px`;
  tip.style.top = `${above > 8 ? above : place.bottom + 8}px`;
}
function hideTip() { tip.hidden = true; }

function goTo(row) {
  const line = document.getElementById(row.id), net = filters.elements.net;
  if (line.hidden && net) { net.value = row.net; update(); }
  for (const other of body.rows) other.classList.toggle("marked", other === line);
  line.scrollIntoView({ block: "center" });
  line.querySelector("button").focus({ preventScroll: true });
}

// -- details and tabs ----------------------------------------------------------------------------------------------

const dialog = document.getElementById("details");
function showDetails(row) {
  document.getElementById("details-title").textContent = title(row);
  const sheet = dialog.querySelector(".body");
  sheet.replaceChildren();
  const groups = row.attacks.length ? [["What attackers reached", row.attacks.map(line => ["", line])], ...row.details] : row.details;
  for (const [heading, lines] of groups) {
    sheet.append(make("h3", {}, heading));
    sheet.append(heading === "What attackers reached" ? make("ul", {}, ...lines.map(([, line]) => make("li", {}, line)))
      : make("dl", {}, ...lines.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
  }
  dialog.showModal();
}

function choose(tab, focus) {
  for (const other of tab.parentElement.children) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
}

const tabs = [...document.querySelectorAll("[role=tab]")];
tabs.forEach((tab, place) => {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", event => {
    const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(tabs[(to + tabs.length) % tabs.length], true);
  });
});
if (tabs.length) choose(tabs[0]);

table.tHead.addEventListener("click", event => { const head = event.target.closest("th"); if (head) sortBy(head); });
body.addEventListener("click", event => {
  if (event.target.closest(".more")) showDetails(rows[Number(event.target.closest("tr").dataset.row)]);
});
document.getElementById("details-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
filters.addEventListener("input", update);
filters.addEventListener("submit", event => event.preventDefault());
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; update(); } });
addEventListener("beforeprint", update);
addEventListener("keydown", event => { if (event.key === "Escape") hideTip(); });
update();
