// The status page: asks the host every two seconds and draws what it says. Nothing is kept.

const byId = (id) => document.getElementById(id);
const EVERY_MS = 2000;
const SHOWN_ROWS = 300;
const HEIGHT_PX = 150;
const SHOWN_RECORDS = 64;

let status = null;
let selected = null;
let viewing = null;
let trace = [];
const rows = new Map();

// ---- asking -------------------------------------------------------------------------------

// Whole numbers that JavaScript would round stay exact.
const exact = (_, value, context) =>
  typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) &&
  context?.source && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

const pathOf = (name) => `api/exchanges/${encodeURIComponent(name)}`;

async function command(name, word) {
  const token = sessionStorage.getItem("token") ?? "";
  let told;
  try {
    const answer = await fetch(`${pathOf(name)}/${word}`, {
      method: "POST", headers: { Authorization: `Bearer ${token}` },
    });
    told = answer.ok ? `${word}: done` : `${word}: ${(await answer.json()).error}`;
  } catch (error) {
    told = `${word}: ${error.message}`;
  }
  say(`${name}: ${told}`);
  await refresh();
}

function say(text) {
  byId("told").textContent = text;
  byId("told").hidden = !text;
}

// ---- words --------------------------------------------------------------------------------

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function rounded(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 10000) return Math.round(value).toLocaleString("en");
  if (size >= 100) return value.toFixed(0);
  return size >= 10 || value === 0 ? value.toFixed(size ? 1 : 0) : value.toPrecision(2);
}

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0 s";
  if (value < 1e-3) return `${rounded(value * 1e6)} µs`;
  return value < 1 ? `${rounded(value * 1e3)} ms` : `${rounded(value)} s`;
}

const clock = (ns) => new Date(Number(ns) / 1e6).toISOString().replace("T", " ").replace("Z", "");

const health = (one) =>
  one.unhealthy ? "bad" : one.paused ? "warn" : one.state === "ON" ? "good"
    : one.state === "OPEN" || one.state === "CLOSE" ? "warn" : "rest";

const word = (one) =>
  one.unhealthy ? `${one.state}, ill` : one.paused ? `${one.state}, paused` : one.state;

// What tells one end from others of its type: what it is about, before whom it is asked of.
function label(component) {
  const { options } = component;
  const named = ["topic", "attribute_name", "path", "key", "device_name", "topics"];
  const found = named.filter((name) => typeof options[name] === "string").map((name) => options[name]);
  if (found.length) return found.slice(0, 2).join(" ");
  const [first, second] = [].concat(options.attributes ?? []);
  if (first?.attribute_name) return first.attribute_name + (second ? " …" : "");
  return Object.values(options).find((value) => typeof value === "string") ?? "";
}

const kind = (stage) => {
  const dtype = typeof stage.dtype === "string" ? stage.dtype : "struct";
  return stage.shape.length ? `${dtype} [${stage.shape.join(", ")}]` : dtype;
};

// ---- the list of exchanges ----------------------------------------------------------------

function node(stage) {
  const about = label(stage);
  const full = `${stage.stage}: ${stage.type}, ${kind(stage)}`;
  const small = element("small", {}, about ? `${about} · ${kind(stage)}` : kind(stage));
  return element("span", { class: "node", title: full, "data-stage": stage.stage }, stage.type, small);
}

function way(one) {
  const made = element("span", { class: "way" });
  const columns = [one.sources, ...one.pipes.map((pipe) => [pipe]), one.sinks];
  columns.forEach((stages, index) => {
    if (index) made.append(element("span", { class: "arrow", "aria-hidden": "true" }, "→"));
    made.append(element("span", { class: "stage" }, ...stages.map(node)));
  });
  return made;
}

function row(one) {
  const button = element("button", { type: "button", class: "row", "aria-pressed": "false" });
  const pill = element("span", { class: "pill" });
  const numbers = element("span", { class: "numbers" });
  const why = element("span", { class: "why" });
  const who = element("span", { class: "who" }, element("span", {}, one.name), " ", pill);
  button.append(who, way(one), numbers, why);
  button.dataset.exchange = one.name;
  button.addEventListener("click", () => select(one.name));
  return { item: element("li", {}, button), button, pill, numbers, why, made: "" };
}

function showRows() {
  const wanted = byId("filter").value.trim().toLowerCase();
  const matching = status.exchanges.filter((one) => !wanted || searchable(one).includes(wanted));
  const shown = matching.slice(0, SHOWN_ROWS);
  const names = new Set(shown.map((one) => one.name));
  for (const [name, known] of rows) if (!names.has(name)) { known.item.remove(); rows.delete(name); }
  shown.forEach((one, index) => {
    const shape = JSON.stringify([one.sources, one.pipes, one.sinks]);
    let known = rows.get(one.name);
    if (known && known.made !== shape) { known.item.remove(); known = undefined; }
    if (!known) { known = row(one); known.made = shape; rows.set(one.name, known); }
    if (byId("rows").children[index] !== known.item) byId("rows").insertBefore(known.item, byId("rows").children[index] ?? null);
    known.button.className = `row is-${health(one)}`;
    known.button.setAttribute("aria-pressed", String(one.name === selected));
    known.pill.className = `pill ${health(one)}`;
    known.pill.textContent = word(one);
    known.numbers.textContent = `${rounded(one.delivered_hz)}/s · ${seconds(one.latency_s)} · ${one.lag ? `${one.lag.toLocaleString("en")} behind · ` : ""}${one.gaps} gaps`;
    known.why.textContent = one.unhealthy ?? "";
    known.why.hidden = !one.unhealthy;
  });
  const hidden = matching.length - shown.length;
  byId("count").textContent = `${matching.length} of ${status.exchanges.length}${hidden ? `, the first ${SHOWN_ROWS} shown` : ""}`;
}

function searchable(one) {
  const parts = [...one.sources, ...one.pipes, ...one.sinks].map((each) => `${each.type} ${JSON.stringify(each.options)}`);
  return [one.name, one.group, word(one), one.unhealthy ?? "", ...parts].join(" ").toLowerCase();
}

// ---- plots --------------------------------------------------------------------------------

// A round number at or above `value`.
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

const drawings = new Map();

// Draws y over x into an element; null leaves a hole. `about`: from, to (of x), below, above (of y),
// text (of y), isTime (x is in seconds since 1970) and name. The arrow keys read the points.
function plot(place, xs, ys, about) {
  place.setAttribute("aria-label", about.name);
  const drawing = drawings.get(place) ?? begun(place, about);
  drawing.about = about;
  drawing.uplot.setData([xs, ys.map((y) => (Number.isFinite(y) ? y : null))]);
}

function begun(place, about) {
  const drawing = { about };
  drawing.uplot = new uPlot(looks(place, drawing), [[], []], place);
  drawings.set(place, drawing);
  place.uplot = drawing.uplot;
  place.addEventListener("keydown", (event) => step(drawing.uplot, event));
  resizing.observe(place);
  return drawing;
}

function looks(place, drawing) {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
  const axis = {
    stroke: () => colour("quiet"), grid: { stroke: () => colour("line"), width: 1 },
    ticks: { show: false }, font: "11px system-ui, sans-serif",
  };
  const shown = (value, text) => (value === null || value === undefined ? "–" : text(value));
  const peak = (ys) => ceiling(extremes(ys.filter((y) => y !== null))[1]);
  return {
    ...sizeOf(place),
    tzDate: (time) => uPlot.tzDate(new Date(time * 1e3), "Etc/UTC"),
    cursor: { drag: { x: false, y: false } },
    scales: {
      x: { time: Boolean(drawing.about.isTime), range: () => [drawing.about.from, drawing.about.to] },
      y: { range: (uplot) => [drawing.about.below ?? 0, drawing.about.above ?? peak(uplot.data[1])] },
    },
    axes: [
      { ...axis, size: 30, gap: 8, ...(drawing.about.isTime && { values: (_, times) => times.map(minute) }) },
      { ...axis, size: 62, gap: 4, values: (_, levels) => levels.map((level) => drawing.about.text(level)) },
    ],
    series: [
      drawing.about.isTime ? { label: "UTC", value: "{HH}:{mm}:{ss}" } : { label: "at", value: (_, x) => shown(x, String) },
      { label: "value", stroke: () => colour("blue"), width: 1.6, value: (_, y) => shown(y, drawing.about.text) },
    ],
  };
}

const minute = (time) => new Date(time * 1e3).toISOString().slice(11, 16);

const sizeOf = (place) => ({ width: Math.max(place.clientWidth, 200), height: HEIGHT_PX });

function step(uplot, event) {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const [xs, ys] = uplot.data;
  if (!by || !xs.length) return;
  event.preventDefault();
  const last = xs.length - 1;
  const index = Math.min(Math.max((uplot.cursor.idx ?? (by > 0 ? -1 : last + 1)) + by, 0), last);
  uplot.setCursor({ left: uplot.valToPos(xs[index], "x"), top: uplot.valToPos(ys[index] ?? 0, "y") });
}

const resizing = new ResizeObserver((changes) => {
  for (const { target } of changes) {
    drawings.get(target)?.uplot.setSize(sizeOf(target));
  }
});

// Colours are looked up when something is drawn.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const { uplot } of drawings.values()) uplot.redraw(false, true);
});

function showHistory(prefix, history) {
  const now = status.time_s;
  const known = history.time_s[0] ?? now;
  const minutes = Math.min(60, 5 * Math.ceil(Math.max(now - known, 1) / 300));
  const hour = { from: now - 60 * minutes, to: now, isTime: true };
  plot(byId(`plot-${prefix}-rate`), history.time_s, history.delivered_hz, { ...hour, text: rounded, name: "Delivered records per second over the last hour" });
  plot(byId(`plot-${prefix}-latency`), history.time_s, history.latency_s, { ...hour, text: seconds, name: "Latency over the last hour" });
  const last = (values) => values.findLast((value) => value !== null);
  byId(`${prefix}-rate`).textContent = `${rounded(last(history.delivered_hz))}/s`;
  byId(`${prefix}-latency`).textContent = seconds(last(history.latency_s));
}

// ---- one exchange -------------------------------------------------------------------------

function select(name) {
  selected = name === selected ? null : name;
  say("");
  viewing?.abort();
  viewing = null;
  byId("detail").hidden = selected === null;
  showRows();
  if (selected === null) return;
  const one = status.exchanges.find((each) => each.name === selected);
  const stages = [...one.sources, ...one.pipes, ...one.sinks];
  byId("stage").replaceChildren(...stages.map((each) => element("option", { value: each.stage }, `${each.stage}: ${each.type}`)));
  byId("stage").value = one.sinks[0]?.stage ?? stages[0].stage;
  byId("part").value = "";
  view();
  showDetail();
  refreshSlowly();
  byId("detail").scrollIntoView({ block: "nearest" });
}

function showDetail() {
  const one = status.exchanges.find((each) => each.name === selected);
  byId("h-detail").textContent = selected;
  byId("trouble").hidden = Boolean(one) && !one.unhealthy;
  if (!one) { byId("trouble").textContent = "This exchange is gone."; return; }
  byId("trouble").textContent = one.unhealthy ?? "";
  byId("controls").hidden = !status.controls || !sessionStorage.getItem("token");
  for (const button of byId("controls").children) {
    const fits = { pause: !one.paused, resume: one.paused, restart: true }[button.dataset.command];
    button.disabled = !fits;
  }
  const told = {
    received: one.received, delivered: one.delivered, dropped: one.dropped,
    "dead letters": one.dead_lettered, "in flight": one.in_flight, ...(one.lag !== null && { "waiting at the far end": one.lag }), gaps: one.gaps,
    "records lost in them": one.records_lost,
  };
  const lines = Object.entries(told).map(([name, value]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", { class: "n" }, value.toLocaleString("en"))));
  if (one.last_failure) lines.push(element("tr", {}, element("th", { scope: "row" }, "last failure"), element("td", {}, `${clock(one.last_failure_s * 1e9)}: ${one.last_failure}`)));
  byId("counts").tBodies[0].replaceChildren(...lines);
}

// Looks at the records of the chosen stage until another one is chosen.
async function view() {
  viewing?.abort();
  const mine = viewing = new AbortController();
  trace = [];
  byId("value").replaceChildren(element("p", { class: "quiet" }, "Nothing has passed since you look."));
  byId("value-about").textContent = "";
  const query = new URLSearchParams({ stage: byId("stage").value, max_items: "65536" });
  if (byId("part").value.trim()) query.set("select", byId("part").value.trim());
  try {
    const answer = await fetch(`${pathOf(selected)}/tap?${query}`, { signal: mine.signal });
    if (!answer.ok) throw new Error((await answer.json()).error);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      const records = lines.filter(Boolean).map((line) => JSON.parse(line, exact));
      if (records.length && viewing === mine) showValue(records);
    }
  } catch (error) {
    if (mine.signal.aborted) return;
    byId("value-about").textContent = error.message;
  }
  // The host has gone, or the exchange was replaced: look again, unless somebody looks elsewhere.
  setTimeout(() => { if (viewing === mine && selected) view(); }, EVERY_MS);
}

const isNumber = (value) => typeof value === "number" || typeof value === "bigint" || ["NaN", "Infinity", "-Infinity"].includes(value);

function showValue(records) {
  const last = records.at(-1);
  for (const { value } of records) if (isNumber(value)) trace.push(Number(value));
  trace = trace.slice(-600);
  const place = byId("value");
  const { value } = last;
  if (isNumber(value)) {
    const number = element("p", { class: "number" }, String(value));
    const line = place.querySelector(".plot") ?? canvasFor(place);
    place.querySelector(".number")?.remove();
    place.prepend(number);
    curve(line, trace, "Values since you look");
  } else if (Array.isArray(value) && value.length && value.every(isNumber)) {
    place.querySelector(".number")?.remove();
    curve(place.querySelector(".plot") ?? canvasFor(place), value.map(Number), "Spectrum", last.step ?? 1);
  } else if (Array.isArray(value) && value.length && value.every((line) => Array.isArray(line) && line.length && line.every(isNumber))) {
    image(place, value.map((line) => line.map(Number)));
  } else if (isFlat([].concat(value))) {
    fields(place, value);
  } else {
    place.replaceChildren(element("pre", { tabindex: "0" }, typeof value === "string" ? value : JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part), 2)));
  }
  const parts = [last.error ?? "", last.time ?? "no time stamp", last.quality, last.position ?? ""];
  if (last.shape) parts.push(`${last.dtype.startsWith("[") ? "struct" : last.dtype} [${last.shape.join(", ")}]`);
  if (last.step) parts.push(`every ${last.step}th item along each axis`);
  if (last.key !== null) parts.push(`key ${last.key}`);
  if (last.skipped) parts.push(`${last.skipped} records not shown`);
  byId("value-about").textContent = parts.filter(Boolean).join(" · ");
}

// Whether values are objects, with at least one field, whose fields are all texts or numbers.
const isFlat = (values) => values.length > 0 && values.every((one) =>
  one !== null && typeof one === "object" && !Array.isArray(one) && Object.keys(one).length > 0 &&
  Object.values(one).every((part) => part === null || typeof part !== "object"));

// A line for each field of a structured value, a column for each of its rows. The name of a field
// shows it alone: as a line where there are several rows.
function fields(place, value) {
  const records = [].concat(value).slice(0, SHOWN_RECORDS);
  const lines = Object.keys(records[0]).map((name) => {
    const button = element("button", { type: "button", class: "field", title: `Show ${name} alone` }, name);
    button.addEventListener("click", () => {
      byId("part").value = `${Array.isArray(value) ? "[]." : ""}${JSON.stringify(name)}`;
      view();
    });
    const cells = records.map((one) => element("td", { class: isNumber(one[name]) ? "n" : "" }, String(one[name])));
    return element("tr", {}, element("th", { scope: "row" }, button), ...cells);
  });
  const table = element("table", {}, element("tbody", {}, ...lines));
  const left = Array.isArray(value) ? value.length - records.length : 0;
  const focused = place.contains(document.activeElement) ? document.activeElement.textContent : null;
  const { scrollLeft, scrollTop } = place.firstChild ?? {};
  place.replaceChildren(element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Fields" }, table), left ? `and ${left} more` : "");
  place.firstChild.scrollTo(scrollLeft ?? 0, scrollTop ?? 0);
  [...place.querySelectorAll("button")].find((button) => button.textContent === focused)?.focus();
}

function extremes(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) if (Number.isFinite(value)) { least = Math.min(least, value); most = Math.max(most, value); }
  return least <= most ? [least, most] : [0, 1];
}

// Where the last value is drawn as a line from now on.
function canvasFor(place) {
  const made = element("div", { class: "plot", role: "group", tabindex: "0" });
  place.replaceChildren(made);
  for (const [former, { uplot }] of drawings) {
    if (former.isConnected) continue;
    resizing.unobserve(former);
    uplot.destroy();
    drawings.delete(former);
  }
  return made;
}

function curve(place, values, name, every = 1) {
  const [least, most] = extremes(values);
  const size = Math.max(Math.abs(least), Math.abs(most));
  const span = most - least;
  // Steps that are lost beside the values themselves could not be marked on the axis.
  const margin = span > size * 1e-9 ? span * 0.05 : size * 0.05 || 1;
  const digits = (value) => String(Number(value.toPrecision(4)));
  const xs = values.map((_, index) => index * every);
  plot(place, xs, values, { from: 0, to: Math.max(xs.length - 1, 1) * every, below: least - margin, above: most + margin, text: digits, name });
}

// Dark blue over green to yellow: even steps are seen as even, also by the colour-blind.
const STOPS = [[38, 20, 72], [44, 74, 138], [30, 130, 140], [70, 180, 110], [245, 225, 60]];

function colour(share) {
  const place = share * (STOPS.length - 1);
  const index = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[index].map((start, part) => start + (STOPS[index + 1][part] - start) * (place - index));
}

function image(place, lines) {
  let canvas = place.querySelector(":scope > canvas");
  if (!canvas) {
    canvas = element("canvas", { role: "img" });
    place.replaceChildren(canvas, element("p", { class: "quiet" }));
  }
  canvas.width = lines[0].length;
  canvas.height = lines.length;
  const [least, most] = extremes(lines.flat());
  const pixels = new ImageData(canvas.width, canvas.height);
  lines.flat().forEach((value, index) => {
    const share = most > least ? (value - least) / (most - least) : 0.5;
    if (Number.isFinite(share)) pixels.data.set([...colour(Math.min(Math.max(share, 0), 1)), 255], 4 * index);
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  const about = `from ${least} (dark) to ${most} (bright)`;
  canvas.setAttribute("aria-label", `Image, ${about}`);
  place.lastChild.textContent = about;
}

// ---- the rest of the page -----------------------------------------------------------------

function showHost() {
  byId("name").textContent = status.name;
  document.title = `${status.healthy ? "" : "⚠ "}${status.name} ${status.state}`;
  byId("state").textContent = status.state;
  byId("state").className = `pill ${{ ON: "good", FAULT: "bad", OPEN: "warn", CLOSE: "warn" }[status.state] ?? "rest"}`;
  byId("health").textContent = status.healthy ? "well" : "ill";
  byId("health").className = `pill ${status.healthy ? "good" : "bad"}`;
  const faults = status.groups.filter((group) => group.fault).map((group) => `group ${group.name} failed: ${group.fault}`);
  const trouble = [status.trouble, ...faults].filter(Boolean);
  const up = `up since ${clock(status.started_s * 1e9).slice(0, 19)} UTC`;
  byId("about").textContent = [`Queue Connector ${status.version}`, up, ...trouble].join(" · ");
  byId("read-only").hidden = status.controls;
  byId("token-form").hidden = !status.controls;
}

function showGaps(gaps) {
  byId("gap-count").textContent = gaps.length ? `the latest ${gaps.length}` : "nothing is known to be missing";
  byId("gaps").parentElement.hidden = !gaps.length;
  const lines = gaps.toReversed().slice(0, 200).map((gap) => {
    const records = gap.records === null ? "unknown" : gap.is_exact ? String(gap.records) : `about ${gap.records}`;
    const until = gap.to_ns === null ? "goes on" : clock(gap.to_ns);
    const cells = [gap.exchange, gap.source, gap.reason, clock(gap.from_ns), until];
    return element("tr", {}, ...cells.map((cell) => element("td", {}, cell)), element("td", { class: "n" }, records), element("td", {}, gap.text));
  });
  byId("gaps").tBodies[0].replaceChildren(...lines);
}

function showConfiguration(found) {
  const lines = found.documents.map((one) => `${one.source} ${one.version} ${one.rejected ? `rejected: ${one.rejected}` : one.result}`);
  byId("documents").textContent = lines.join("; ") || "Nothing is configured.";
  const text = JSON.stringify(found.groups, null, 2);
  if (byId("configuration").textContent !== text) byId("configuration").textContent = text;
}

async function refresh() {
  try {
    status = await ask("api/status");
    byId("offline").hidden = true;
    showHost();
    showRows();
    if (selected) showDetail();
  } catch (error) {
    byId("offline").textContent = `The host does not answer (${error.message}); what you see is old.`;
    byId("offline").hidden = false;
  }
}

async function refreshSlowly() {
  try {
    showHistory("all", await ask("api/history"));
    if (selected) showHistory("one", await ask(`api/history?exchange=${encodeURIComponent(selected)}`));
    showGaps(await ask("api/gaps"));
    showConfiguration(await ask("api/configuration"));
  } catch {
    // `refresh` tells that the host does not answer.
  }
}

// Asks, then waits: a slow host is never asked twice at once.
async function forever(action, everyMs) {
  for (;;) {
    if (!document.hidden) await action();
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

byId("filter").addEventListener("input", () => status && showRows());
byId("stage").addEventListener("change", view);
byId("part").addEventListener("change", view);
byId("controls").addEventListener("click", (event) => {
  const asked = event.target.dataset.command;
  if (asked) command(selected, asked);
});
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", byId("token").value);
  byId("token").value = "";
  say("The token is kept until this tab is closed; the controls stand at the chosen exchange.");
  if (selected) showDetail();
});

await refresh();
forever(refresh, EVERY_MS);
forever(refreshSlowly, 5000);
