// The demonstration's page: a clip, a wish, a run, and what came of it.  Text from outside is only ever set as text.
"use strict";
const $ = id => document.getElementById(id);
const token = takeToken();
let offer, clip = null, recorder = null;

// The token comes behind the # of the address; it is kept for this tab and taken out of the address.
function takeToken() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  return given || sessionStorage.getItem("token") || "";
}

async function call(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { "X-Sotto-Token": token }, signal: AbortSignal.timeout(60_000) });
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error);
  return value;
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
function problem(text) { $("problem").textContent = text; $("problem").hidden = !text; }
const words = text => make("p", {}, text);

// -- choosing a way ------------------------------------------------------------------------------------------------

function fill(select, values, label = value => value) {
  const before = select.value;
  select.replaceChildren(...values.map(value => make("option", { value }, label(value))));
  if (values.includes(before)) select.value = before;
}
const distinct = (cells, key) => [...new Set(cells.map(cell => cell[key]))];

function refill() {
  let cells = offer.cells.filter(cell => cell.paradigm === $("paradigm").value);
  fill($("mode"), distinct(cells, "mode"));
  cells = cells.filter(cell => cell.mode === $("mode").value);
  fill($("model"), distinct(cells, "model"));
  $("cheating").hidden = $("paradigm").value !== "mpc";
  if ($("cheating").hidden) $("cheat").checked = false;
  changed();
  relist();
}

// What came of the choice before is no answer to this one, and what is still asked for it is dropped.
function changed() {
  latest++;
  busy = false;
  $("outcome").hidden = $("progress").hidden = $("side-by-side").hidden = true;
  problem("");
  ready();
}

function relist() {
  $("place").replaceChildren();
  $("place-label").hidden = true;
  if ($("cheat").checked) listPlaces();
  ready();
}

function ready() {
  const cheats = $("cheat").checked;
  for (const id of ["paradigm", "mode", "model", "net", "sample", "cheat", "place"]) $(id).disabled = busy;
  $("go").disabled = !(clip || $("sample").value) || (cheats && !$("place").value) || busy;
  $("go").textContent = cheats ? "Ask, with a cheater" : "Ask privately";
  $("every").disabled = !(clip || $("sample").value) || busy;
  $("net").disabled ||= cheats;
}

// -- the clip ------------------------------------------------------------------------------------------------------

function take(blob, what) {
  clip = blob;
  $("sample").value = "";
  $("clip-state").textContent = what;
  const listen = $("listen");
  if (listen.src) URL.revokeObjectURL(listen.src);
  listen.src = URL.createObjectURL(blob);
  listen.hidden = false;
  changed();
  if ($("cheat").checked && !$("place").value) listPlaces();
}

// What cannot be taken leaves no older clip to ask about by mistake.
function reject(message) {
  clip = null;
  $("sample").value = $("file").value = "";
  $("listen").hidden = true;
  $("clip-state").textContent = "No clip: the last one was not taken.";
  changed();
  problem(message);
}

async function upload(file) {
  const start = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  const kind = String.fromCharCode(...start);
  if (kind === "RIFF" || kind === "fLaC") {
    if (file.size > 8 << 20) throw new Error("The file has more than 8 MB.");
    take(file, `${file.name}, as it is`);
  } else {
    take(await toWav(file), `${file.name}, decoded by the browser to 16 kHz`);
  }
}

// Whatever the browser can decode, as 16-bit WAV of one channel at 16 kHz.
async function toWav(blob) {
  const context = new AudioContext();
  let decoded;
  try { decoded = await context.decodeAudioData(await blob.arrayBuffer()); }
  catch { throw new Error("The browser cannot decode this file."); }
  finally { context.close(); }
  if (decoded.duration > offer.most_seconds) throw new Error(`The clip has ${decoded.duration.toFixed(1)} s, at most ${offer.most_seconds} are taken.`);
  const offline = new OfflineAudioContext(1, Math.max(1, Math.ceil(decoded.duration * 16000)), 16000);
  const source = offline.createBufferSource();
  source.buffer = decoded;
  source.connect(offline.destination);
  source.start();
  const samples = (await offline.startRendering()).getChannelData(0);
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const ascii = (at, text) => [...text].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  ascii(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); ascii(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true); view.setUint32(24, 16000, true);
  view.setUint32(28, 32000, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  ascii(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => view.setInt16(44 + 2 * i, Math.round(32767 * Math.max(-1, Math.min(1, sample))), true));
  return new Blob([view], { type: "audio/wav" });
}

async function record() {
  if (recorder) return recorder.stop();
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const parts = [], started = Date.now();
  recorder = new MediaRecorder(stream);
  recorder.ondataavailable = event => parts.push(event.data);
  const limit = setTimeout(() => recorder?.stop(), 1000 * offer.most_seconds - 300);
  const clock = setInterval(() => { $("record").textContent = `Stop (${((Date.now() - started) / 1000).toFixed(0)} s)`; }, 250);
  recorder.onstop = () => {
    clearTimeout(limit); clearInterval(clock);
    stream.getTracks().forEach(track => track.stop());
    $("record").textContent = "Record again"; $("record").setAttribute("aria-pressed", "false");
    const whole = new Blob(parts, { type: recorder.mimeType });
    recorder = null;
    toWav(whole).then(wav => take(wav, "Recorded, 16 kHz")).catch(error => reject(error.message));
  };
  recorder.start();
  $("record").textContent = "Stop"; $("record").setAttribute("aria-pressed", "true");
  $("clip-state").textContent = "Recording. Press Stop when you are done.";
}

// -- a run ---------------------------------------------------------------------------------------------------------

let busy = false, latest = 0;  // requests are numbered: only what the latest one brings is shown

async function start(cheat, number) {
  const wish = new URLSearchParams({ paradigm: $("paradigm").value, mode: $("mode").value, model: $("model").value });
  if (!cheat) wish.set("net", $("net").value); else wish.set("cheat", cheat);
  if ($("sample").value) wish.set("sample", $("sample").value);
  const { id } = await call(`/api/runs?${wish}`, { method: "POST", body: $("sample").value ? undefined : clip });
  for (let seen = 0; number === latest;) {
    const { events, done } = await call(`/api/runs/${id}?after=${seen}`);
    seen += events.length;
    if (number !== latest) return;
    for (const event of events) {
      if (event.kind === "state") $("states").append(make("li", {}, event.text));
      else if (event.kind === "error") throw Object.assign(new Error(event.text), { clip: event.clip });
      else return event;
    }
    if (done) throw new Error("The run ended without a word.");
  }
}

// What came of a request; null when it failed, undefined when another one has taken its place.
async function run(cheat) {
  const number = ++latest, focused = document.activeElement;
  let result = null;
  busy = true; ready(); problem("");
  $("progress").hidden = false; $("states").replaceChildren();
  const started = Date.now(), clock = setInterval(() => { $("elapsed").textContent = `${((Date.now() - started) / 1000).toFixed(0)} s`; }, 500);
  $("elapsed").textContent = "";
  try { result = await start(cheat, number); }
  catch (error) {
    if (number === latest && error.clip) reject(error.message);
    else if (number === latest) problem(error.name === "TimeoutError" ? "The server gives no answer: is sotto demo still running?" : error.message);
  }
  clearInterval(clock);
  if (number !== latest) return undefined;
  busy = false; ready();
  if (document.activeElement === document.body) focused?.focus({ preventScroll: true });  // it was disabled meanwhile
  return result;
}

async function listPlaces() {
  if (!clip && !$("sample").value) {
    problem("Choose a clip first: what can be altered depends on the session."); $("cheat").checked = false;
    return ready();
  }
  const found = await run("list");
  if (found === undefined) return;
  if (!found) { $("cheat").checked = false; return ready(); }
  fill($("place"), found.places);
  // What the second activation opens counts in every answer; the first one's may not.
  $("place").value = ["bob:relu2.masked", "bob:relu", "bob:"].map(name => found.places.find(place => place.startsWith(name))).find(Boolean) ?? found.places[0];
  $("place-label").hidden = false;
  $("states").append(make("li", {}, `${found.places.length} messages could be altered`));
  ready();
}

// -- what came of it -----------------------------------------------------------------------------------------------

async function ask(event) {
  event.preventDefault();
  $("outcome").hidden = true;
  const paradigm = $("paradigm").value, result = await run($("cheat").checked ? $("place").value : "");
  if (!result) return;
  $("states").append(make("li", {}, "done"));
  $("outcome").hidden = false;
  $("outcome").dataset.paradigm = paradigm;
  $("h-out").textContent = result.title;
  (result.kind === "cheated" ? showCheat : showAnswer)(result);
  $("h-out").focus({ preventScroll: true });
  $("outcome").scrollIntoView({ block: "start" });
}

// One clip in the first mode of every paradigm, one after the other; what is chosen above stays as it was.
async function everyWay() {
  const before = ["paradigm", "mode", "model"].map(id => [id, $(id).value]);
  $("cheat").checked = false;
  const lines = [];
  for (const paradigm of distinct(offer.cells, "paradigm")) {
    $("paradigm").value = paradigm;
    refill();
    const result = await run("");
    if (result === undefined) return;
    if (result) lines.push(make("tr", {}, ...[[result.title, "text"], [result.answer, "text"], [hidden(result), "text"],
      [result.cost[0][1], ""], [result.cost[1][1], ""]].map(([value, kind]) => make("td", kind ? { class: kind } : {}, value))));
  }
  for (const [id, value] of before) { $(id).value = value; if (id === "paradigm") refill(); }
  $("ways").replaceChildren(...lines);
  $("side-by-side").hidden = false;
  $("side-by-side").scrollIntoView({ block: "start" });
}

const hidden = result => result.broken ? `${result.hides}: ${result.broken}` : result.hides;

function showAnswer(result) {
  const same = result.answer === result.plain_answer;
  const facts = make("dl", {}, ...result.cost.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  $("verdict").replaceChildren(make("h3", {}, "The answer"), make("p", { class: "big", id: "answer" }, result.answer),
    make("p", { class: same ? "good" : "bad" }, same ? "The plaintext model says the same." : `The plaintext model says ${result.plain_answer}.`),
    ...(result.notice ? [make("p", { class: "dim" }, result.notice)] : []), ...(result.truth ? [words(`The corpus says ${result.truth}.`)] : []), make("h3", {}, "What it cost"), make("p", { class: "dim" }, "One first query; the report has medians."), facts,
    make("h3", {}, "Whom to trust"), words(`Protects against ${result.adversary}; trusted: ${result.trusted}.`),
    make("h3", {}, "Speech hidden from Bob"), make("p", { class: { yes: "good", partly: "", no: "bad" }[result.hides] }, hidden(result)),
    make("h3", {}, "What leaks all the same"), words(`${result.leaks}.`));
  const [found, of] = result.exposed;
  const bob = side("What Bob saw", result.bob);
  bob.append(words(`Plain copies of neighbouring pairs of Alice's values in what Bob received: ${found} of ${of}.`));
  const sides = [side("What Alice has", result.alice), bob];
  if (result.attacker.length) sides.push(side("What an attacker makes of it", result.attacker));
  $("sides").replaceChildren(...sides);
  $("lanes-card").hidden = false;
  replay(result.parties, result.messages);
}

function side(heading, things) {
  const box = make("div", { class: "card figures" }, make("h3", {}, heading));
  for (const thing of things) {
    const figure = make("figure", {}, make("h4", {}, thing.title));
    if (thing.outline) {
      const step = 240 / Math.max(1, thing.outline.length - 1), upper = thing.outline.map(([, high], i) => `${i * step},${30 - 28 * high}`);
      const lower = thing.outline.map(([low], i) => `${i * step},${30.6 - 28 * low}`).reverse();
      figure.append(draw("svg", { class: "wave", viewBox: "0 0 240 60", preserveAspectRatio: "none", role: "img", "aria-label": `${thing.title}: waveform` },
        draw("polygon", { points: [...upper, ...lower].join(" ") })));
    }
    if (thing.picture) figure.append(make("img", { class: "picture", alt: `${thing.title}, as a picture`, src: `data:image/png;base64,${thing.picture}` }));
    if (thing.sound) figure.append(make("audio", { controls: "", preload: "none", "aria-label": thing.title, src: `data:audio/wav;base64,${thing.sound}` }));
    figure.append(make("figcaption", {}, thing.text));
    box.append(figure);
  }
  return box;
}

const size = count => count >= 1e6 ? `${(count / 1e6).toFixed(1)} MB` : count >= 1e3 ? `${(count / 1e3).toFixed(1)} kB` : `${count} B`;

// The messages in the order in which the processes sent them: drawn one after the other, slower than they were.
function replay(parties, messages) {
  const width = 560, top = 40, step = 19, height = top + messages.length * step + 20;
  const at = Object.fromEntries(parties.map((party, i) => [party, 70 + i * (width - 140) / Math.max(1, parties.length - 1)]));
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${messages.length} messages; the last one after ${messages.at(-1)?.ms.toFixed(1)} ms` });
  for (const party of parties) svg.append(draw("line", { class: "lane", x1: at[party], x2: at[party], y1: 28, y2: height - 8 }),
    draw("text", { class: "who", x: at[party], y: 20, "text-anchor": "middle" }, party[0].toUpperCase() + party.slice(1)));
  const groups = messages.map((message, i) => {
    const y = top + i * step + 8, from = at[message.from], to = at[message.to] ?? width, way = Math.sign(to - from);
    const group = draw("g", { class: message.online ? "" : "offline" },
      draw("path", { class: "message", d: `M${from} ${y}H${to - 7 * way}` }), draw("path", { class: "tip", d: `M${to} ${y}l${-8 * way}-4v8z` }),
      draw("text", { x: (from + to) / 2, y: y - 3, "text-anchor": "middle" }, `${message.name} · ${size(message.bytes)}`));
    group.dataset.paradigm = $("outcome").dataset.paradigm;
    svg.append(group);
    return group;
  });
  const first = messages.findIndex(message => message.online);
  if (first > 0) svg.append(draw("line", { class: "query", x1: 0, x2: width, y1: top + first * step - 5, y2: top + first * step - 5 }));
  const took = messages.at(-1)?.ms ?? 0;
  $("lanes-note").textContent = `${messages.length} messages in ${took.toFixed(1)} ms as the processes noted them, replayed slower. Above the dashed line: before the query.`;
  $("lanes").replaceChildren(svg);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  groups.forEach(group => group.classList.add("later"));
  const each = Math.min(260, 6000 / Math.max(1, groups.length));
  groups.forEach((group, i) => setTimeout(() => group.classList.remove("later"), 300 + i * each));
}

function showCheat(result) {
  const tone = { caught: "good", refused: "good", harmless: "" }[result.verdict] ?? "bad";
  $("verdict").replaceChildren(make("h3", {}, "A party cheated"),
    make("p", { class: `big ${tone}`, id: "answer" }, result.verdict), words(result.words),
    make("dl", {}, ...[["altered", result.altered], ["the honest party said", result.said], ["answer of an honest session", result.honest], ["taken here", result.taken ?? "none"]]
      .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
  const lines = result.sent.map(([name, count, altered]) => make("tr", altered ? { class: "altered" } : {},
    make("td", { class: "text" }, altered ? `${name}, altered` : name), make("td", {}, count.toLocaleString("en"))));
  $("sides").replaceChildren(make("div", { class: "card" }, make("h3", {}, "What the cheater sent"),
    make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "What the cheater sent" },
      make("table", { class: "messages" }, make("thead", {}, make("tr", {}, make("th", { class: "text", scope: "col" }, "message"), make("th", { scope: "col" }, "bytes"))), make("tbody", {}, ...lines)))));
  $("lanes-card").hidden = true;
}

// -- beginning -----------------------------------------------------------------------------------------------------

async function begin() {
  offer = await call("/api/offer");
  $("notice").textContent = offer.notice || ""; $("notice").hidden = !offer.notice;
  fill($("paradigm"), distinct(offer.cells, "paradigm"));
  fill($("net"), offer.nets);
  $("sample").append(...offer.samples.map(({ id, truth }) => make("option", { value: id }, truth ? `${id} (${truth})` : id)));
  const [first] = offer.samples;
  if (first) { $("sample").value = first.id; $("clip-state").textContent = `A test clip of ${offer.corpus}: take it, or one of your own.`; }
  refill();
  for (const id of ["paradigm", "mode", "model"]) $(id).addEventListener("change", refill);
  $("sample").addEventListener("change", () => {
    if ($("sample").value) { clip = null; $("clip-state").textContent = `A test clip of ${offer.corpus}.`; $("listen").hidden = true; }
    changed();
  });
  $("file").addEventListener("change", () => { const [file] = $("file").files; if (file) upload(file).catch(error => reject(error.message)); });
  $("record").addEventListener("click", () => record().catch(() => problem("The microphone cannot be used: allow it, or upload a file.")));
  $("cheat").addEventListener("change", () => { changed(); relist(); });
  for (const id of ["place", "net"]) $(id).addEventListener("change", changed);
  $("ask").addEventListener("submit", ask);
  $("every").addEventListener("click", everyWay);
}
begin().catch(error => problem(error.message));
