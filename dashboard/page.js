// The dashboard: reads /v1/live and /v1/status, follows /v1/stream. Shows what the server says and
// decides nothing. Everything that came from a click is put in as text, never as HTML.

import { GROUPS, drawChart, groupOf } from "./chart.js";

const FEED_ROWS = 8;
const FEED_EVERY_MS = 300;
const LIVE_EVERY_MS = 400;
const STATUS_EVERY_MS = 2000;
const SILENCE_MS = 3500;

const at = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const format = (value) => number.format(value);
let live = null;
let titles = {};
let lastEvent = 0;
const feed = new Map();

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

// Micro-units to a decimal, by text: no float ever holds money. Cents are large, what lies below
// them small but there: nothing is rounded. `aligned` keeps all six places, for columns.
function money(micros, currency, aligned) {
  const negative = micros.startsWith("-");
  const digits = micros.replace("-", "").padStart(7, "0");
  const whole = digits.slice(0, -6).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  const below = aligned ? digits.slice(-4) : digits.slice(-4).replace(/0+$/, "");
  const made = element("span", "money", `${negative ? "−" : ""}${whole}.${digits.slice(-6, -4)}`);
  if (below) made.append(element("span", "below", below));
  made.append(element("small", "", currency));
  return made;
}

function share(part, whole) {
  if (whole === 0) return "–";
  const percent = (100 * part) / whole;
  return `${percent > 0 && percent < 0.1 ? "<0.1" : percent.toFixed(1)}%`;
}

function span(ms) {
  if (ms < 1000) return `${ms} ms`;
  if (ms < 120000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 172800000) return `${Math.round(ms / 60000)} min`;
  return `${Math.round(ms / 86400000)} days`;
}

const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });
const minuteOf = (ms) => clock(ms).slice(0, 5);
const zone = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts()
  .find(({ type }) => type === "timeZoneName").value;

function showFreshness(asOf, now) {
  lastEvent = performance.now();
  at("as-of").textContent = `${clock(asOf)} ${zone}`;
  at("as-of").title = new Date(asOf).toISOString();
  at("behind").textContent = span(Math.max(now - asOf, 0));
}

function showConnection(on, word) {
  at("dot").dataset.on = on;
  at("connection").textContent = word;
}

// The last hour.

function sumHour(minutes) {
  const sum = { measured: 0, pending: 0, classes: {}, spend: {} };
  for (const minute of minutes) {
    sum.measured += minute.measured;
    sum.pending += minute.pending;
    for (const [code, count] of Object.entries(minute.classes)) {
      sum.classes[code] = (sum.classes[code] ?? 0) + count;
    }
    for (const [currency, micros] of Object.entries(minute.spend_micros)) {
      sum.spend[currency] = (sum.spend[currency] ?? 0n) + BigInt(micros);
    }
  }
  return sum;
}

function showLive() {
  const minutes = live.minutes;
  const sum = sumHour(minutes);
  const valid = sum.classes.V ?? 0;
  at("rate").textContent = format(minutes.at(-1)?.measured ?? 0);
  at("rate-before").textContent = format(minutes.at(-2)?.measured ?? 0);
  at("valid").textContent = format(valid);
  at("measured").textContent = format(sum.measured);
  at("valid-share").textContent = share(valid, sum.measured);
  at("invalid").textContent = format(sum.measured - sum.pending - valid);
  at("pending").textContent = format(sum.pending);
  showSpend(sum.spend);
  showReasons(sum);
  showAds(live.top_ads, live.ads);
  drawChart(at("chart"), minutes, format);
}

function showSpend(spend) {
  const sums = Object.entries(spend).sort((a, b) => (b[1] > a[1] ? 1 : b[1] < a[1] ? -1 : 0));
  const lines = sums.slice(0, 4).map(([currency, micros], index) =>
    element("p", index === 0 ? "big" : "next", money(String(micros), currency, false)));
  if (sums.length > 4) lines.push(element("p", "sub", `and ${sums.length - 4} more currencies`));
  at("spend").replaceChildren(...(lines.length > 0 ? lines : [element("p", "big", "0.00")]));
}

function showReasons(sum) {
  const line = (code, title, count, group) => {
    const row = element("tr", "");
    row.dataset.zero = count === 0 ? "yes" : "no";
    const name = element("td", "", element("span", `key g-${group.id}`), title);
    row.append(element("td", "code", code), name, element("td", "n", format(count)),
      element("td", "n", count === 0 ? "–" : share(count, sum.measured)));
    return row;
  };
  const codes = live.classes.map(({ code }) => code);
  const ordered = ["V", ...codes.filter((code) => code !== "V")];
  const rows = ordered.map((code) =>
    line(code, titles[code], sum.classes[code] ?? 0, groupOf(code)));
  rows.push(line("", "pending", sum.pending, GROUPS[4]));
  at("reasons").replaceChildren(...rows);
}

function showAds(ads, count) {
  const rows = ads.map((ad) => {
    const valid = ad.classes.V ?? 0;
    const name = element("span", "name", ad.ad_id);
    name.title = ad.ad_id;
    const spend = Object.entries(ad.spend_micros)
      .map(([currency, micros]) => element("div", "", money(micros, currency, true)));
    return element("tr", "", element("td", "", name), element("td", "n", format(valid)),
      element("td", "n", format(ad.measured - ad.pending - valid)),
      element("td", "n", ...(spend.length > 0 ? spend : ["–"])));
  });
  at("ads").replaceChildren(...rows);
  at("ads-empty").hidden = rows.length > 0;
  at("ads-count").textContent = count > rows.length
    ? `the first ${rows.length} of ${format(count)} ads with a click, by valid clicks` : "";
}

// Rows that change.

function feedItem(row, asOf) {
  const chips = element("div", "chips");
  const chip = (group, count, word, title) => {
    const made = element("span", "chip", element("span", `key g-${group.id}`),
      element("b", "", format(count)), word);
    made.title = title;
    chips.append(made);
  };
  for (const [code, count] of Object.entries(row.classes)) {
    if (count > 0) chip(groupOf(code), count, code === "V" ? "valid" : code, titles[code] ?? code);
  }
  if (row.pending > 0) chip(GROUPS[4], row.pending, "pending", "no final verdict yet");
  const name = element("span", "name", row.ad_id);
  name.title = row.ad_id;
  const minute = element("span", "when", `minute ${minuteOf(row.minute_ms)}`);
  minute.title = `${row.minute}, changed ${clock(asOf)}`;
  const mark = element("span", "mark", row.state);
  mark.dataset.state = row.state;
  const late = row.posted_minute_ms === null ? [] : [element("span", "mark", "late adjustment")];
  const head = element("div", "feed-head", name, ...late, minute, mark);
  const item = element("li", "fresh-row", head, chips);
  item.dataset.ad = row.ad_id;
  item.dataset.state = row.state;
  return item;
}

function takeRows(event) {
  for (const row of event.rows) {
    const key = [row.ad_id, row.minute_ms, row.posted_minute_ms, row.currency, row.campaign_id,
      row.advertiser_id].join("\n");
    feed.delete(key);
    feed.set(key, { row, asOf: event.as_of_ms, item: null });
  }
  while (feed.size > FEED_ROWS) feed.delete(feed.keys().next().value);
  showFeed();
}

const showFeed = throttled(() => {
  const items = [...feed.values()].reverse().map((entry) =>
    (entry.item ??= feedItem(entry.row, entry.asOf)));
  at("feed").replaceChildren(...items);
  at("feed-empty").hidden = items.length > 0 || (live?.minutes ?? []).some((m) => m.measured > 0);
}, FEED_EVERY_MS);

// Status.

function showStatus(status) {
  at("version").textContent = status.version;
  showFreshness(status.as_of_ms, status.now_ms);
  const notices = [...status.notices];
  if (status.not_ready.length > 0) {
    notices.unshift({ level: "error", message: `Not ready: ${status.not_ready.join("; ")}` });
  }
  at("notices").replaceChildren(...notices.map(({ level, message }) => {
    const notice = element("p", "notice", element("b", "", level), element("span", "", message));
    notice.dataset.level = level;
    return notice;
  }));
  showCheck(status.check);
  showEngine(status);
}

function showCheck(check) {
  at("check").hidden = check === null;
  if (check === null) return;
  for (const name of ["acknowledged", "measured", "lost", "double"]) {
    at(`check-${name}`).textContent = format(check[name]);
  }
  // Read at two instants: a click counts as measured once its verdict is final, a second later.
  const waiting = Math.max(check.acknowledged - check.measured - check.lost, 0);
  at("check-waiting").textContent = format(waiting);
  const good = check.lost === 0 && check.double === 0;
  at("check").dataset.good = good ? "yes" : "no";
  at("check-word").textContent = good ? "Nothing lost, nothing double" : "Counts differ";
  at("check-kills").textContent =
    `server killed ${format(check.kills)} ${check.kills === 1 ? "time" : "times"} so far`;
}

function showEngine({ engine, tracker, now_ms: now, as_of_ms: asOf }) {
  const facts = [
    ["Watermark W", clock(asOf)],
    ["W is behind by", span(Math.max(now - asOf, 0))],
    ["Measured in all", format(engine.measured)],
    ["Pending", format(engine.pending)],
    ["Arriving beyond W", format(engine.arriving)],
    ["Missing records", format(engine.gaps), engine.gaps > 0],
    ["Undecodable records", format(engine.dead_letters), engine.dead_letters > 0],
    ["Re-sent records dropped", format(engine.repeats)],
    ["Rows open", format(engine.rows_open)],
    ["Rows to be stored", format(engine.rows_waiting)],
    ["Claims remembered", format(engine.claims)],
    ["Stored up to", engine.store_mark_ms === 0 ? "–" : clock(engine.store_mark_ms)],
    ["Checkpoint", engine.checkpoint_ms === 0 ? "–" : clock(engine.checkpoint_ms)],
    ["Partitions", format(engine.partitions)],
  ];
  if (tracker !== null && "unlogged" in tracker) {
    facts.push(["Unlogged redirects", format(tracker.unlogged), tracker.unlogged > 0]);
  }
  at("engine").replaceChildren(...facts.map(([name, value, alarm]) =>
    element("div", alarm ? "alarm" : "", element("dt", "", name), element("dd", "", value))));
}

// The network.

async function read(path) {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  if (response.status === 401) location.assign("/login");
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

// Runs `work` at most once per `every` ms, and once more if asked meanwhile.
function throttled(work, every) {
  let running = false;
  let again = false;
  return async function ask() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    again = false;
    try {
      await work();
    } catch {
      showConnection("no", "reconnecting");
    }
    setTimeout(() => {
      running = false;
      if (again) ask();
    }, every);
  };
}

const refreshLive = throttled(async () => {
  live = await read("/v1/live?top=10");
  titles = Object.fromEntries(live.classes.map(({ code, title }) => [code, title]));
  showLive();
}, LIVE_EVERY_MS);

const refreshStatus = throttled(async () => showStatus(await read("/v1/status")), 500);

function follow() {
  const stream = new EventSource("/v1/stream?view=ad");
  stream.addEventListener("open", () => {
    showConnection("yes", "live");
    refreshLive();
    refreshStatus();
  });
  stream.addEventListener("error", () => {
    showConnection("no", "reconnecting");
    if (stream.readyState === EventSource.CLOSED) {
      setTimeout(follow, 1000);
      refreshStatus();
    }
  });
  stream.addEventListener("rows", (message) => {
    const event = JSON.parse(message.data);
    showFreshness(event.as_of_ms, event.now_ms);
    takeRows(event);
    refreshLive();
  });
  stream.addEventListener("time", (message) => {
    const event = JSON.parse(message.data);
    showFreshness(event.as_of_ms, event.now_ms);
    if (live !== null && event.as_of_ms >= live.as_of_ms + 10000) refreshLive();
  });
  stream.addEventListener("reset", () => {
    feed.clear();
    refreshLive();
  });
}

at("origin").textContent = location.origin;
at("legend").append(...GROUPS.map((group) =>
  element("li", "", element("span", `key g-${group.id}`), group.title)));
setInterval(() => {
  if (performance.now() - lastEvent > SILENCE_MS) showConnection("no", "no news");
  else if (at("dot").dataset.on === "no") showConnection("yes", "live");
}, 1000);
setInterval(refreshStatus, STATUS_EVERY_MS);
new ResizeObserver(() => live !== null && drawChart(at("chart"), live.minutes, format))
  .observe(at("chart"));
refreshLive();
refreshStatus();
follow();
