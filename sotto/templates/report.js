// The report's own script: sorting, filters, charts, tabs, details.  Text from data is only ever set as text.
"use strict";
const { rows, columns, nets, corpora, paradigms, plot: className } = JSON.parse(document.getElementById("data").textContent);
const table = document.getElementById("results"), body = table.tBodies[0], filters = document.getElementById("filters");
const known = new Map(rows.map(row => [row.id, row]));
const figure = (row, key) => row.cells[key][0];
const title = row => `${row.peer || row.paradigm + " " + row.mode}, ${row.model}`;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
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
  drawScatter("chart-accuracy", shown, "total", "loss");
  drawScatter("chart-bytes", shown, "bytes", "online");
  if (nets.length > 1) drawBars("chart-nets", inAllNets());
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

// -- charts, by Observable Plot ------------------------------------------------------------------------------------

const SYMBOLS = new Map(Object.entries({ mpc: "circle", he: "square", hashing: "diamond2", keyed: "triangle", adversarial: "star" }));
const symbol = { domain: paradigms, range: paradigms.map(name => SYMBOLS.get(name) ?? "cross") };
const color = { domain: paradigms, range: paradigms.map(name => `var(--${SYMBOLS.has(name) ? name : "other"})`) };
const hue = row => color.range[paradigms.indexOf(row.paradigm)];
const fixed = value => ({ value, scale: null });
const link = { href: row => `#${row.id}`, ariaLabel: row => `${title(row)} on ${row.net}: ${figureWords(row)}`, className: "marks" };
const figureWords = row => `accuracy ${row.cells.private[1]}, points lost ${row.cells.loss[1]}, ${row.cells.total[1]} in all, online ${row.cells.online[1]} and ${row.cells.bytes[1]}`;

// Panels by what is hidden, so that no front crowns what attacks break.
const PANELS = { yes: "speech hidden from Bob", partly: "partly hidden", no: "not hidden" };
const NARROW_PANELS = { yes: "hidden", partly: "partly", no: "not hidden" };
const scale = { nice: true, grid: true, tickSize: 0 };
const spaced = width => ({ tickSpacing: Math.max(80, width / 6) });
const grouped = d3.format(",");
const AXES = {
  online: { label: "online time of one query", type: "log", ...scale, tickFormat: v => v < 1000 ? `${v} ms` : `${grouped(v / 1000)} s` },
  total: { label: "one query, offline and online", type: "log", ...scale, tickFormat: v => v < 1000 ? `${v} ms` : `${grouped(v / 1000)} s` },
  bytes: { label: "bytes of one query, all parties", type: "log", ...scale, tickFormat: v => d3.format("~s")(v).replace(/(\D?)$/, " $1B") },
  loss: { label: "points of accuracy lost against the plaintext model", ...scale, tickFormat: v => `${Number(v.toFixed(1))}` },
};
const place = (row, key) => key === "loss" ? 100 * figure(row, key) : figure(row, key);
const drawable = (row, key) => figure(row, key) !== null && (figure(row, key) > 0 || AXES[key].type !== "log");

// Puts into the box what ``chart`` draws at the width there is, or says why there is none.
function draw(id, ariaLabel, empty, chart) {
  const box = document.getElementById(id);
  box.querySelector("svg, .empty")?.remove();
  if (empty) return void box.append(make("p", { class: "dim empty" }, empty));
  const width = Math.max(280, box.clientWidth - 36);
  const svg = Plot.plot({ className, ariaLabel, width, ...chart(width) });
  svg.setAttribute("role", "group");
  box.append(svg);
  thinOut(svg);
}

// The ends of an axis: what the points span; a single value gets room on both sides.
function span(points, key) {
  const [least, most] = d3.extent(points, row => place(row, key));
  if (AXES[key].type === "log") return d3.scaleLog().domain(least === most ? [least / 3, 3 * most] : [least, most]).nice().domain();
  return d3.scaleLinear().domain(least === most ? [least - 5, most + 5] : [least, most]).nice().domain();
}

function drawScatter(id, shown, x, y) {
  const task = filters.elements.corpus?.value || corpora[0];  // events and emotions share no axis
  const points = shown.filter(row => row.corpus === task && drawable(row, x) && drawable(row, y));
  const panels = Object.keys(PANELS).filter(name => points.some(row => row.hides === name));
  const faded = row => y === "loss" && row.few;
  const fronts = d3.groups(points.filter(row => !faded(row)), row => row.hides + "\n" + row.net)
    .map(([, group]) => front(group, row => [figure(row, x), figure(row, y)]));
  const at = { x: row => place(row, x), y: row => place(row, y), fx: "hides" };
  const dashed = { className: "front", ariaHidden: true };
  draw(id, `${AXES[y].label} against ${AXES[x].label}: ${points.length} marks`,
    points.length ? "" : "No row that is left has both figures.", width => ({
      height: Math.min(360, Math.max(290, width * 0.4)), marginTop: 44, marginBottom: 40, marginLeft: 56, inset: 14, symbol,
      fx: { domain: panels, label: null, tickFormat: name => (width < 520 ? NARROW_PANELS : PANELS)[name], padding: 0.05 },
      x: { ...AXES[x], ...spaced(width / panels.length), domain: span(points, x) }, y: { ...AXES[y], tickSpacing: 50, domain: span(points, y) },
      marks: [
        // Along the front, and out to the edges of the chart, behind which nothing better was measured.
        Plot.line(fronts.flat(), { ...at, z: row => row.hides + "\n" + row.net, curve: "step-after", ...dashed }),
        Plot.ruleX(fronts.map(best => best[0]), { x: at.x, fx: at.fx, y1: null, y2: at.y, ...dashed }),
        Plot.ruleY(fronts.map(best => best.at(-1)), { y: at.y, fx: at.fx, x1: at.x, x2: null, ...dashed }),
        Plot.dot(points, { ...at, symbol: { value: "paradigm", scale: "symbol" }, r: fixed(row => row.peer ? 5.5 : 7),
          opacity: fixed(row => faded(row) ? 0.35 : 1), fill: fixed(row => row.peer ? "var(--card)" : row.broken ? `url(#hatch-${row.paradigm})` : hue(row)),
          stroke: fixed(row => row.peer || row.broken ? hue(row) : "var(--card)"), strokeWidth: fixed(row => row.broken ? 1.2 : 2), ariaHidden: true }),
        ...(width > 480 ? names(fronts.flat(), at) : []),
        Plot.dot(points, { ...at, r: 12, fill: "transparent", stroke: "transparent", ...link }),
      ],
    }));
}

// The rows that no other one beats in both figures (less is better in both).
function front(points, cost) {
  return d3.sort(points.filter(row => !points.some(other => {
    const [a, b] = cost(other), [c, d] = cost(row);
    return a <= c && b <= d && (a < c || b < d);
  })), row => cost(row)[0]);
}

// The rows on the fronts get their names written beside them; of names that would touch, the later ones go.
function names(best, at) {
  return [Plot.text(best, { ...at, text: row => `${row.peer || row.mode}, ${row.model}`, textAnchor: "start", dx: 11, dy: 13, className: "names",
    fill: "var(--ink)", stroke: "var(--card)", strokeWidth: 4, ariaHidden: true })];
}

function thinOut(svg) {
  const edge = svg.getBoundingClientRect(), kept = [];
  for (const text of svg.querySelectorAll(".names text")) {
    let box = text.getBoundingClientRect();
    if (box.right > edge.right) { text.setAttribute("text-anchor", "end"); text.setAttribute("dx", "-22"); box = text.getBoundingClientRect(); }
    const touches = kept.some(other => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom);
    if (touches || box.left < edge.left || box.right > edge.right) text.remove(); else kept.push(box);
  }
}

function drawBars(id, shown) {
  const setting = row => [title(row), row.cells.setting[1], corpora.length > 1 ? row.corpus : "–"].filter(part => part !== "–").join(", ");
  const measured = shown.filter(row => drawable(row, "online")), online = row => figure(row, "online");
  const groups = d3.groups(measured, row => [row.paradigm, row.peer, setting(row), row.corpus].join("\n"))
    .map(([, group]) => d3.sort(group, row => nets.indexOf(row.net)));
  const tint = row => `color-mix(in srgb, ${hue(row)} ${Math.max(20, 100 - 22 * nets.indexOf(row.net))}%, var(--card))`;
  const heading = group => `of ${group[0].id}`, domain = groups.flatMap(group => [heading(group), ...group.map(row => row.id)]);
  const [least] = d3.scaleLog().domain([d3.min(measured, online) * 0.8, d3.max(measured, online)]).nice().domain();
  draw(id, `${AXES.online.label} by network: ${measured.length} bars`, measured.length ? "" : "No row that is left has an online time.", width => ({
    height: 44 + 22 * domain.length, marginTop: 0, marginBottom: 40, marginLeft: 72, marginRight: 76,
    x: { ...AXES.online, ...spaced(width - 148) }, y: { domain, padding: 0.25, label: null, tickSize: 0, tickFormat: id => known.get(id)?.net },
    marks: [
      Plot.text(groups, { y: heading, text: group => setting(group[0]), frameAnchor: "left", dx: -72, dy: 4, fill: "var(--ink)",
        fontWeight: 600, lineWidth: width / 14, textOverflow: "ellipsis" }),
      Plot.barX(measured, { x1: () => least, x2: online, y: "id", rx: 3, fill: fixed(row => row.peer ? "var(--card)" : tint(row)), stroke: fixed(tint), ...link }),
      Plot.text(measured, { x: online, y: "id", text: row => row.cells.online[1], textAnchor: "start", dx: 7, fill: "var(--ink)", ariaHidden: true }),
    ],
  }));
}

function drawLegend(shown) {
  const seen = new Set(shown.map(row => row.paradigm)), legend = document.getElementById("legend");
  const of = scale => ({ domain: paradigms.filter(name => seen.has(name)), range: scale.range.filter((_, i) => seen.has(paradigms[i])) });
  legend.replaceChildren();
  if (seen.size) legend.append(Plot.legend({ className, symbol: of(symbol), color: of(color), fill: "color", r: 6, swatchSize: 18 }));
  for (const swatch of legend.querySelectorAll("svg")) swatch.setAttribute("aria-hidden", "true");
  if (shown.some(row => row.peer)) legend.append("hollow: another system (peer)");
}

// -- pointing at rows ----------------------------------------------------------------------------------------------

const tip = document.getElementById("tip");
function showTip(near, ...words) {
  tip.replaceChildren(...words);
  tip.hidden = false;
  const place = near.getBoundingClientRect(), own = tip.getBoundingClientRect();
  const above = place.top - own.height - 8;
  tip.style.left = `${Math.max(8, Math.min(innerWidth - own.width - 8, place.left + place.width / 2 - own.width / 2))}px`;
  tip.style.top = `${above > 8 ? above : place.bottom + 8}px`;
}
function hideTip() { tip.hidden = true; }

const pointed = event => event.target.closest(".marks a"), rowOf = mark => known.get(mark.href.baseVal.slice(1));
for (const box of document.querySelectorAll(".chart")) {
  for (const come of ["pointerover", "focusin"]) box.addEventListener(come, event => { 
    const mark = pointed(event), row = mark && rowOf(mark);
    if (row) showTip(mark, make("b", {}, title(row)), `${row.net}, ${row.corpus}`, make("br"), figureWords(row), ...(row.broken ? [make("br"), `broken: ${row.broken}`] : []));
  });
  for (const go of ["pointerout", "focusout"]) box.addEventListener(go, hideTip);
  box.addEventListener("click", event => {
    const mark = pointed(event);
    if (!mark) return;
    event.preventDefault();
    goTo(rowOf(mark));
  });
}

function goTo(row) {
  const line = document.getElementById(row.id), net = filters.elements.net;
  if (line.hidden && net) { net.value = row.net; update(); }
  for (const other of body.rows) other.classList.toggle("marked", other === line);
  line.scrollIntoView({ block: "center" });
  line.querySelector("button").focus({ preventScroll: true });
}

// What a column means stands behind its heading.
for (const button of table.tHead.querySelectorAll("button[title]")) {
  const meaning = button.title;
  button.removeAttribute("title");
  button.setAttribute("aria-description", meaning);
  for (const come of ["pointerenter", "focus"]) button.addEventListener(come, () => showTip(button, make("b", {}, button.textContent), meaning));
  for (const go of ["pointerleave", "blur"]) button.addEventListener(go, hideTip);
}

// -- saving what is shown ------------------------------------------------------------------------------------------

const WRITERS = {
  CSV: (head, lines) => [head, ...lines].map(line => line.map(cell => /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell).join(",")).join("\n"),
  JSON: (head, lines) => JSON.stringify(lines.map(line => Object.fromEntries(line.map((cell, i) => [head[i], cell]))), null, 1),
  LaTeX: (head, lines) => [`\\begin{tabular}{${"l".repeat(head.length)}}`, "\\hline",
    ...[head, ...lines].map(line => line.map(inLatex).join(" & ") + " \\\\"), "\\hline", "\\end{tabular}"].join("\n"),
};
const SUFFIX = { CSV: "csv", JSON: "json", LaTeX: "tex" };
const inLatex = cell => cell.replace(/[\\&%$#_{}~^]/g, sign => ({ "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" })[sign] ?? `\\${sign}`);

function written(kind) {
  const shown = columns.filter(([key]) => { const cell = body.querySelector(`td[data-key=${key}]`); return cell && getComputedStyle(cell).display !== "none"; });
  const lines = [...body.rows].filter(line => !line.hidden).map(line => known.get(line.id));
  return WRITERS[kind](["Paradigm", "Mode", "Model", "Network", ...shown.map(([, heading]) => heading)],
    lines.map(row => [row.peer || row.paradigm, row.mode, row.model, row.net, ...shown.map(([key]) => row.cells[key][1])]));
}

for (const button of document.querySelectorAll("button.save")) {
  button.addEventListener("click", () => {
    const address = URL.createObjectURL(new Blob([written(button.value)], { type: "text/plain" }));
    make("a", { href: address, download: `sotto.${SUFFIX[button.value]}` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  });
}

// -- details and tabs ----------------------------------------------------------------------------------------------

const dialog = document.getElementById("details");
const entry = (name, meaning, value, note) => [
  make("dt", {}, name, ...(meaning ? [make("small", {}, meaning)] : [])), make("dd", {}, value, ...(note ? [make("small", {}, note)] : []))];
function showDetails(row) {
  document.getElementById("details-title").textContent = title(row);
  const page = dialog.querySelector(".body");
  const figures = columns.flatMap(([key, heading, meaning]) => entry(heading, meaning, row.cells[key][1], row.why[key]));
  page.replaceChildren(make("h3", {}, "Figures"), make("dl", {}, ...figures));
  if (row.attacks.length) page.append(make("h3", {}, "What attackers reached"), make("ul", {}, ...row.attacks.map(line => make("li", {}, line))));
  for (const [heading, lines] of row.details) {
    page.append(make("h3", {}, heading), make("dl", {}, ...lines.flatMap(([name, value]) => entry(name, "", value))));
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

// A shadow at the right edge of the table says that there are more columns.
const frame = document.getElementById("sheet");
const cue = () => frame.toggleAttribute("data-rest", frame.scrollWidth - frame.clientWidth - frame.scrollLeft > 1);
frame.addEventListener("scroll", cue, { passive: true });
const watch = new ResizeObserver(cue);
watch.observe(frame); watch.observe(table);

table.tHead.addEventListener("click", event => { const head = event.target.closest("th"); if (head) sortBy(head); });
body.addEventListener("click", event => {
  if (!getSelection().toString()) showDetails(rows[Number(event.target.closest("tr").dataset.row)]);
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
