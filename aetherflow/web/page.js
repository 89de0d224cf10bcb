"use strict";
// Filters, zoom, copying, unfolding. Without it the page shows the same.
document.documentElement.classList.add("js");
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const later = (work) => { let timer; return () => { clearTimeout(timer); timer = setTimeout(work, 120); }; };
const LEVELS = ["debug", "info", "warning", "error"];

// What a link leads to may be folded.
const unfold = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  target.scrollIntoView({ block: "start" });
};
addEventListener("hashchange", unfold);
unfold();

for (const button of all(".copy")) button.addEventListener("click", () => {
  const line = button.parentElement.querySelector(".line");
  const done = () => { button.textContent = "copied"; setTimeout(() => { button.textContent = "copy"; }, 1500); };
  const select = () => { getSelection().selectAllChildren(line); };
  if (navigator.clipboard) navigator.clipboard.writeText(line.textContent).then(done, select); else select();
});

for (const button of all("[data-zoom]")) button.addEventListener("click", () => {
  const block = button.closest(".graph-block"), graph = block.querySelector(".graph");
  const [, , width, height] = graph.getAttribute("viewBox").split(" ").map(Number);
  const now = graph.getAttribute("width") / width, room = block.querySelector(".graph-frame").clientWidth - 4;
  const wanted = { "+": now * 1.25, "-": now / 1.25, "1": 1, "fit": Math.min(room / width, 1.5) }[button.dataset.zoom];
  const scale = Math.min(Math.max(wanted, 0.1), 3);
  graph.setAttribute("width", width * scale);
  graph.setAttribute("height", height * scale);
});

const events = document.querySelector("#events-table");
if (events) {
  const rows = all("tbody tr", events), words = document.querySelector('[data-filter="events"]');
  const level = document.querySelector('select[data-level="events"]');
  const found = document.querySelector('[data-found="events"]');
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean), least = LEVELS.indexOf(level.value);
    let number = 0;
    rows.forEach((row, at) => {
      const isEvent = row.dataset.level !== undefined;
      const fits = isEvent ? LEVELS.indexOf(row.dataset.level) >= least && wanted.every((word) => texts[at].includes(word))
        : !wanted.length && least < 1;
      row.hidden = !fits;
      number += isEvent && fits;
    });
    found.textContent = wanted.length || level.value ? `${number} shown` : "";
  };
  words.addEventListener("input", later(filter));
  level.addEventListener("change", filter);
}

const logs = document.querySelector("#log-tails");
if (logs && logs.children.length) {
  const field = document.querySelector('[data-filter="logs"]'), found = document.querySelector('[data-found="logs"]');
  const tails = all(".log", logs).map((log) => {
    const pre = log.querySelector("pre");
    return { log, pre, text: pre.textContent, wasOpen: log.open };
  });
  field.addEventListener("input", later(() => {
    const word = field.value.toLowerCase();
    let lines = 0;
    for (const { log, pre, text, wasOpen } of tails) {
      if (word.length < 2) { pre.textContent = text; log.hidden = false; log.open = wasOpen; continue; }
      const hits = text.split("\n").filter((line) => line.toLowerCase().includes(word));
      lines += hits.length;
      log.hidden = !hits.length;
      log.open = hits.length > 0;
      pre.textContent = "";
      for (const line of hits.slice(0, 500)) {
        let at = 0, low = line.toLowerCase();
        for (let hit = low.indexOf(word); hit >= 0 && low.length === line.length; hit = low.indexOf(word, at)) {
          const mark = document.createElement("mark");
          mark.textContent = line.slice(hit, hit + word.length);
          pre.append(line.slice(at, hit), mark);
          at = hit + word.length;
        }
        pre.append(line.slice(at) + "\n");
      }
    }
    found.textContent = word.length < 2 ? "" : `${lines} lines`;
  }));
}

// What is folded cannot be printed.
let opened = [];
addEventListener("beforeprint", () => { opened = all("details:not([open])"); for (const one of opened) one.open = true; });
addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
