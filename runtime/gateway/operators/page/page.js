"use strict";
// The live view: one stream of server-sent events, read with fetch so that a key can go into a header.

const KEPT = 300; // seconds that charts show
const SERIES = ["--a", "--b", "--c", "--d"];
const CHARTS = [
  { title: "Requests and rounds a second", lines: [["arrived", "arrived"], ["matched", "matches"], ["declined", "declined"], ["rounds", "rounds"]], show: (v) => number(v, 1) },
  { title: "Seconds to the first token", lines: [["median", "wait_p50"], ["95 %", "wait_p95"]], show: seconds },
  { title: "Prompt tokens found in caches", lines: [["measured", "hit"], ["predicted", "said_hit"]], show: share, top: 1 },
  { title: "Credits charged a request", lines: [["price", "price"]], show: credits },
  { title: "Requests inside", lines: [["running", "running"], ["waiting", "waiting"]], show: (v) => number(v, 0) },
  { title: "Milliseconds to decide a round", lines: [["mean", "decide_ms"]], show: (v) => number(v, 2) },
];
const TILES = [
  ["rounds", (p) => number(p.rounds, 1), "/s"],
  ["matches", (p) => number(p.matches, 1), "/s"],
  ["price, mean", (p) => credits(p.price), "cr"],
  ["KV hits", (p) => share(p.hit), ""],
  ["first token", (p) => seconds(p.wait_p50), ""],
  ["running", (p) => number(p.running, 0), ""],
  ["waiting", (p) => number(p.waiting, 0), ""],
  ["declined", (p) => number(p.declined, 1), "/s"],
  ["surplus", (p, totals) => credits(totals.surplus), "cr"],
];

let points = [];
let charts = [];
let key = sessionStorage.getItem("iemas-key") || "";
const $ = (id) => document.getElementById(id);

function number(value, digits) {
  return value === null || value === undefined ? "–" : value.toLocaleString("en", { minimumFractionDigits: 0, maximumFractionDigits: digits });
}
function share(value) {
  return value === null || value === undefined ? "–" : `${number(100 * value, 1)} %`;
}
function seconds(value) {
  if (value === null || value === undefined) return "–";
  return value < 1 ? `${number(1000 * value, 0)} ms` : `${number(value, 2)} s`;
}
function credits(value) {
  if (value === null || value === undefined) return "–";
  return value !== 0 && Math.abs(value) < 0.01 ? value.toPrecision(2) : number(value, 3);
}
function clock(unix) {
  return new Date(1000 * unix).toLocaleTimeString("en-GB");
}
// The last second in which something was measured, of the last ten.
function latest() {
  const found = { ...points[points.length - 1] };
  for (const one of points.slice(-10).reverse()) for (const [name, value] of Object.entries(one)) found[name] ??= value;
  return found;
}
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function buildTiles() {
  $("tiles").replaceChildren(...TILES.map(([name, , unit]) =>
    made("div", { class: "tile" }, made("b", {}, "–", made("small", {}, unit)), made("span", {}, name))));
}

function buildCharts() {
  for (const chart of charts) chart.plot.destroy();
  $("charts").replaceChildren();
  charts = CHARTS.map((spec) => {
    const values = spec.lines.map(() => made("b", {}, "–"));
    const legend = made("div", { class: "legend" }, ...spec.lines.map(([label], k) =>
      made("span", {}, made("i", { class: `k${k}` }), label, values[k])));
    const place = made("div", { class: "plot" });
    $("charts").append(made("section", { class: "card" }, made("h2", {}, spec.title), legend, place));
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const plot = new uPlot({
      width: place.clientWidth, height: 170, legend: { show: false }, cursor: { y: false, points: { size: 6 } },
      scales: { x: { time: true }, y: { range: (u, low, high) => [0, spec.top || Math.max((high || 0) * 1.1, 1e-6)] } },
      axes: [{ ...axis, size: 28, space: 90, values: (u, ticks) => ticks.map(clock) }, { ...axis, size: 58, values: (u, ticks) => ticks.map(spec.show) }],
      series: [{}, ...spec.lines.map(([label], k) => ({
        label, stroke: colour(SERIES[k]), width: 1.75, spanGaps: true, points: { show: false, size: 4, fill: colour(SERIES[k]), filter: lonely },
        fill: k === 0 && spec.lines.length === 1 ? `${colour(SERIES[0])}22` : undefined,
      }))],
      hooks: { setCursor: [(u) => legendAt(u.cursor.idx)] },
    }, [[], ...spec.lines.map(() => [])], place);
    return { spec, plot, values, place };
  });
  draw();
}

// A figure that was measured neither a second before nor a second after is a dot: no line would show it.
function lonely(u, k) {
  const values = u.data[k], there = (at) => values[at] !== null && values[at] !== undefined;
  return values.flatMap((_, at) => there(at) && !there(at - 1) && !there(at + 1) ? [at] : []);
}

function legendAt(index) {
  const at = index === null || index === undefined ? latest() : points[index];
  if (!at) return;
  for (const { spec, values } of charts) spec.lines.forEach(([, field], k) => { values[k].textContent = spec.show(at[field]); });
}

function draw() {
  const times = points.map((one) => one.at);
  for (const { spec, plot } of charts) plot.setData([times, ...spec.lines.map(([, field]) => points.map((one) => one[field]))]);
  const over = charts.find(({ plot }) => plot.cursor.idx !== null && plot.cursor.left >= 0);
  legendAt(over ? over.plot.cursor.idx : null);
}

function show(said) {
  const last = latest();
  [...$("tiles").children].forEach((tile, k) => { tile.firstChild.firstChild.data = TILES[k][1](last, said.totals); });
  $("agents").tBodies[0].replaceChildren(...said.agents.map(agentRow));
  const t = said.totals;
  bars($("ended"), [
    ["served", t.served], ["declined: worth too little", t.declined.too_low], ["declined: too late", t.declined.late],
    ["declined: no room", t.declined.no_room], ["failed", t.failed], ["hung up", t.abandoned],
  ]);
  const words = { body: "the body", header: "a header", service_tier: "a service tier", key: "the key", operator: "nobody: the operator's default" };
  bars($("stated"), Object.entries(t.stated).map(([name, count]) => [words[name] || name, count]));
  $("since").textContent = `${number(t.arrived, 0)} requests, ${number(t.rounds, 0)} rounds, ${number(t.matches, 0)} matches, ${number(t.contested, 0)} contested`;
}

function agentRow(one) {
  const dot = made("span", { class: one.up ? "dot up" : "dot", title: one.up ? "in the market" : "left out for now" });
  const cells = [one.running, one.waiting, one.served, one.failed].map((value) => number(value, 0));
  cells.push(share(one.hit), share(one.said_hit), seconds(one.wait), share(one.latency_error), credits(one.price), credits(one.charges));
  return made("tr", { "data-agent": one.name, "data-up": one.up }, made("td", {}, dot, one.name, one.up ? "" : " (out)"),
    made("td", { class: "model" }, one.model), ...cells.map((text) => made("td", { class: "n" }, text)));
}

function bars(list, rows) {
  const total = rows.reduce((sum, [, count]) => sum + count, 0);
  list.replaceChildren(...rows.flatMap(([name, count]) => [
    made("dt", {}, name), made("progress", { max: Math.max(total, 1), value: count, "aria-label": name }),
    made("dd", {}, total ? `${number(count, 0)}  (${number((100 * count) / total, 1)} %)` : "0"),
  ]));
}

function state(name, text) {
  $("state").dataset.state = name;
  $("state").textContent = text;
}

function take(kind, said) {
  if (kind === "hello") points = said.history;
  else points.push(said.point);
  points = points.slice(-KEPT);
  state("live", "live");
  draw();
  show(said);
}

// Reads one connection to its end; what an event holds is one line of JSON.
async function listen(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const fields = Object.fromEntries(event.split("\n").map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
      if (fields.data) take(fields.event, JSON.parse(fields.data));
    }
  }
}

let attempt = 0;
async function connect() {
  const mine = ++attempt;
  for (let pause = 1; mine === attempt;) {
    try {
      const response = await fetch("/iemas/v1/events", { headers: key ? { authorization: `Bearer ${key}` } : {}, cache: "no-store" });
      if (response.status === 401) return askForKey();
      if (response.ok) {
        $("ask").hidden = true;
        $("view").hidden = false;
        if (key) sessionStorage.setItem("iemas-key", key);
        if (!charts.length) buildCharts();
        pause = 1;
        await listen(response);
      }
    } catch (error) {
      if (!(error instanceof TypeError)) console.error(error);
    }
    if (mine !== attempt) return;
    state("gone", "not reached; trying again");
    await new Promise((resolve) => setTimeout(resolve, 1000 * pause));
    pause = Math.min(2 * pause, 10);
  }
}

function askForKey() {
  state("gone", "a key is needed");
  $("refused").textContent = key ? "This is no key of this gateway." : "";
  key = "";
  sessionStorage.removeItem("iemas-key");
  $("view").hidden = true;
  $("ask").hidden = false;
  $("key").focus();
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value.trim();
  $("key").value = "";
  connect();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.length && buildCharts());
new ResizeObserver(() => charts.forEach(({ plot, place }) => plot.setSize({ width: place.clientWidth, height: 170 }))).observe($("charts"));
buildTiles();
connect();
