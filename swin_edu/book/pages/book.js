/* What a page of the book does besides its explorers: dark mode, folds, scrolling boxes, copying, printing, search. */

const wide = matchMedia("(min-width: 70rem)"), darkSystem = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement, theme = document.getElementById("theme");

/* Dark mode follows the system until the reader chooses. */
const isDark = () => (root.dataset.theme || (darkSystem.matches ? "dark" : "light")) === "dark";
function showTheme() {
  theme.setAttribute("aria-pressed", String(isDark()));
  darken(isDark());
}
/* Some pictures have a dark version, which would follow the system only. */
function darken(dark) {
  for (const source of document.querySelectorAll("picture source")) source.media = dark ? "all" : "not all";
}
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a browser may forbid it */ }
  showTheme();
});
darkSystem.addEventListener("change", showTheme);
showTheme();

/* Lists of chapters and headings are open where there is room for them. */
const fold = () => document.querySelectorAll(".fold").forEach((list) => (list.open = wide.matches));
wide.addEventListener("change", fold);
fold();
document.querySelector(".columns > nav [aria-current]")?.scrollIntoView({ block: "nearest" });

/* A box that scrolls must be reachable by keyboard; one that does not must not be in the way. */
function reachable() {
  for (const box of document.querySelectorAll("main pre, .scroll, .explorer .frame")) {
    const scrolls = box.scrollWidth > box.clientWidth;
    for (const [name, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", "scrolls sideways"]]) {
      scrolls ? box.setAttribute(name, value) : box.removeAttribute(name);
    }
  }
}
addEventListener("load", reachable);
addEventListener("resize", reachable);
document.addEventListener("toggle", reachable, true);

/* A link into a folded answer opens it; so does printing. */
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
}
addEventListener("hashchange", unfold);
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("main details:not([open])")];
  for (const answer of opened) answer.open = true;
  darken(false);
});
addEventListener("afterprint", () => {
  for (const answer of opened) answer.open = false;
  showTheme();
});

for (const code of document.querySelectorAll(".highlight")) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "copy", textContent: "Copy" });
  button.setAttribute("aria-label", "Copy this code");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.querySelector("pre").textContent);
      button.textContent = "Copied";
    } catch { // not every browser lets a page from a file copy
      getSelection().selectAllChildren(code.querySelector("pre"));
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  code.append(button);
}

/* Search: a section is found when it holds all words; those with the words in the heading come first. */
const form = document.getElementById("search"), query = document.getElementById("query");
const panel = document.getElementById("results"), MOST = 40;
let reading = null;

/* A script, since a page from a file may not fetch; it is read when it is first needed. */
function read() {
  reading ??= new Promise((done) => {
    const script = Object.assign(document.createElement("script"), { src: "files/passages.js" });
    script.addEventListener("load", () => done(window.passages.map(([address, anchor, page, heading, text]) => {
      const [lowPage, lowHeading, low] = [page, heading, text].map((one) => one.toLowerCase());
      return { address, anchor, page, heading, text, lowPage, lowHeading, low };
    })));
    document.head.append(script);
  });
  return reading;
}

function score({ lowPage, lowHeading, low }, words, phrase) {
  let sum = 30 * lowHeading.includes(phrase) + 10 * low.includes(phrase);
  for (const word of words) {
    const often = low.split(word).length - 1, named = 20 * lowHeading.includes(word) + 3 * lowPage.includes(word);
    if (!often && !named) return 0;
    sum += named + Math.min(often, 10);
  }
  return sum;
}

async function find() {
  const phrase = query.value.trim().toLowerCase(), words = phrase.split(/\s+/).filter(Boolean);
  const passages = await read();
  if (phrase !== query.value.trim().toLowerCase()) return; // typed on
  const scored = passages.map((passage) => [score(passage, words, phrase), passage]);
  const found = words.length ? scored.filter(([value]) => value).sort(([a], [b]) => b - a) : [];
  panel.hidden = !words.length;
  panel.querySelector("[role=status]").textContent = !found.length ? "Nothing found." : found.length > MOST ? `The best ${MOST} of ${found.length} sections` : `${found.length} section${found.length > 1 ? "s" : ""}`;
  panel.querySelector("ol").replaceChildren(...found.slice(0, MOST).map(([, passage]) => result(passage, words)));
}

function result({ address, anchor, page, heading, text, low }, words) {
  const item = document.createElement("li"), link = document.createElement("a"), title = document.createElement("strong"), snippet = document.createElement("span");
  const places = words.map((word) => low.indexOf(word)).filter((place) => place >= 0), start = Math.max(0, Math.min(...places, text.length) - 60);
  link.href = `${address}#${encodeURIComponent(anchor)}`;
  title.textContent = heading === page ? page : `${page.split(": ")[0]} › ${heading}`;
  snippet.append(start ? "… " : "", ...marked(text.slice(places.length ? start : 0, start + 180), words), " …");
  link.append(title, snippet);
  item.append(link);
  return item;
}

/* The text with the words marked, as nodes. */
function marked(text, words) {
  const any = new RegExp(`(${words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "gi");
  return text.split(any).map((part, i) => (i % 2 ? Object.assign(document.createElement("mark"), { textContent: part }) : part));
}

function close() {
  panel.hidden = true;
}

query.addEventListener("focus", read, { once: true });
query.addEventListener("input", find);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  await find();
  panel.querySelector("a")?.click();
});
panel.addEventListener("click", close);
document.addEventListener("click", (event) => event.target.closest("search") || close());
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    query.focus();
  }
  if (!event.target.closest("search")) return;
  if (event.key === "Escape") close(), query.focus();
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], stops = [query, ...panel.querySelectorAll("a")];
  if (!step || panel.hidden) return;
  event.preventDefault();
  stops[Math.min(stops.length - 1, Math.max(0, stops.indexOf(document.activeElement) + step))].focus();
});
