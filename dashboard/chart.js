// The stacked chart of clicks per minute, as SVG. Knows groups of classes, nothing of the network.

export const GROUPS = [
  { id: "valid", title: "valid", codes: ["V"] },
  { id: "double", title: "duplicates", codes: ["D1", "D2"] },
  { id: "bot", title: "robots, bursts, previews",
    codes: ["G8", "G5", "G9", "G2", "G1", "G4", "G3", "S1"] },
  { id: "broken", title: "expired, inactive, stale", codes: ["T2", "T3", "T4"] },
  { id: "pending", title: "pending", codes: [] },
];

export const groupOf = (code) => GROUPS.find((group) => group.codes.includes(code)) ?? GROUPS[4];

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 48, right: 4, top: 10, bottom: 26 };

function node(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}

export function countOf(minute, group) {
  if (group.id === "pending") return minute.pending;
  return group.codes.reduce((sum, code) => sum + (minute.classes[code] ?? 0), 0);
}

// A round number at or above `value`, for the axis; its half is whole.
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 4)));
  const steps = power > 1 ? [1, 2, 3, 4, 5, 6, 8, 10] : [2, 4, 6, 8, 10];
  return steps.map((step) => step * power).find((step) => step >= value);
}

const clock = (ms) =>
  new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });

export function drawChart(host, minutes, format) {
  const { width, height } = host.getBoundingClientRect();
  if (width === 0 || minutes.length === 0) return;
  const held = host.querySelector(".column:focus")?.dataset.index;
  const inner = { width: width - MARGIN.left - MARGIN.right, base: height - MARGIN.bottom };
  const top = ceiling(Math.max(...minutes.map((minute) => minute.measured)));
  const y = (count) => inner.base - (count / top) * (inner.base - MARGIN.top);
  const step = inner.width / minutes.length;

  const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, role: "group" });
  svg.setAttribute("aria-label", summary(minutes, format));
  for (const part of [0, 0.5, 1]) drawGrid(svg, y(top * part), width, format(top * part));
  minutes.forEach((minute, index) => {
    const x = MARGIN.left + index * step;
    const column = drawColumn(svg, minute, { x, step, y, base: inner.base });
    column.dataset.index = index;
    column.setAttribute("aria-label", `${clock(minute.minute_ms)}: ${format(minute.measured)}`);
    const show = () => showTip(host, minute, x + step / 2, width, format);
    column.addEventListener("pointerenter", show);
    column.addEventListener("focus", show);
    if (host.dataset.tip === String(minute.minute_ms)) requestAnimationFrame(show);
    drawTime(svg, minute, x + step / 2, height, index, minutes.length, width);
  });
  svg.addEventListener("pointerleave", () => hideTip(host));
  svg.addEventListener("focusout", () => hideTip(host));
  host.querySelector("svg")?.remove();
  host.prepend(svg);
  if (held !== undefined) svg.querySelector(`[data-index="${held}"]`)?.focus();
}

function summary(minutes, format) {
  const total = minutes.reduce((sum, minute) => sum + minute.measured, 0);
  return `Clicks per minute over the last hour: ${format(total)} measured in total`;
}

function drawGrid(svg, y, width, label) {
  node("line", { class: "grid", x1: MARGIN.left, x2: width, y1: y, y2: y }, svg);
  const text = node("text", { x: MARGIN.left - 10, y: y + 4, "text-anchor": "end" }, svg);
  text.textContent = label;
}

function drawColumn(svg, minute, { x, step, y, base }) {
  const column = node("g", { class: "column", tabindex: "-1" }, svg);
  const gap = step > 8 ? 3 : 1;
  let stacked = 0;
  for (const group of GROUPS) {
    const count = countOf(minute, group);
    if (count === 0) continue;
    const [low, high] = [y(stacked), y(stacked + count)];
    const box = { x: x + gap / 2, y: high, width: Math.max(step - gap, 1), height: low - high };
    node("rect", { ...box, class: `g-${group.id}` }, column);
    stacked += count;
  }
  const line = minute.state === "sealed" ? "sealed-line" : "open-line";
  node("line", { class: line, x1: x, x2: x + step, y1: base + 3, y2: base + 3 }, column);
  node("rect", { class: "hit", x, y: MARGIN.top, width: step, height: base - MARGIN.top }, column);
  return column;
}

function drawTime(svg, minute, x, height, index, count, width) {
  const every = width < 560 ? 20 : 10;
  const last = index === count - 1;
  const whole = (minute.minute_ms / 60000) % every === 0 && index > 1 && index < count - 4;
  if (!last && !whole) return;
  const anchor = last ? "end" : "middle";
  const text = node("text", { x: last ? width : x, y: height - 5, "text-anchor": anchor }, svg);
  text.textContent = last ? "now" : clock(minute.minute_ms);
}

function showTip(host, minute, x, width, format) {
  const tip = host.querySelector(".tip") ?? host.appendChild(document.createElement("div"));
  tip.className = "tip";
  host.dataset.tip = minute.minute_ms;
  const head = document.createElement("h3");
  const mark = document.createElement("span");
  mark.className = "mark";
  mark.dataset.state = mark.textContent = minute.state;
  head.append(clock(minute.minute_ms), mark);
  const list = document.createElement("ul");
  for (const group of GROUPS) {
    const item = document.createElement("li");
    const key = document.createElement("span");
    key.className = `key g-${group.id}`;
    const count = document.createElement("b");
    count.textContent = format(countOf(minute, group));
    item.append(key, group.title, count);
    list.append(item);
  }
  tip.replaceChildren(head, list);
  const left = x + 14 + tip.offsetWidth > width ? x - 14 - tip.offsetWidth : x + 14;
  tip.style.left = `${Math.max(left, 0)}px`;
}

function hideTip(host) {
  host.querySelector(".tip")?.remove();
  delete host.dataset.tip;
}
