// The search box.  Its index, a script of its own, is loaded when the box is first used.
"use strict";

(() => {
  const box = document.getElementById("search");
  const root = box.dataset.root; // the way to the site's first page
  const SHOWN = 12;
  // How much it counts that a word stands in a title of this kind.
  const WEIGHTS = { lesson: 3, function: 2.2, exercise: 2, term: 2, section: 1.5, erratum: 1.5 };
  const ELSEWHERE = 0.3; // a word that only the title of the place's page has
  const KINDS = { index: "page", errata: "page", api: "page", page: "page" };

  const input = document.createElement("input");
  Object.assign(input, { type: "search", placeholder: "Search  /", autocomplete: "off", spellcheck: false });
  input.setAttribute("aria-label", "Search lessons, terms, errata and functions");
  input.setAttribute("aria-keyshortcuts", "/");
  const results = document.createElement("ul");
  results.hidden = true;
  const said = document.createElement("p");
  said.setAttribute("role", "status"); // read out when it changes
  said.hidden = true;
  box.append(input, said, results);
  box.hidden = false;

  // ---- the index

  let loading = null;
  function load() {
    loading ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${root}assets/search-index.js`;
      script.onload = () => resolve(globalThis.MINIGRAD_SEARCH);
      script.onerror = reject;
      document.head.append(script);
    });
    return loading;
  }

  // As fold() in anchors.py: no case, no accents.
  const fold = (text) => text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ");
  const wordsOf = (text) => fold(text).match(/[\p{L}\p{N}]+/gu) ?? [];

  // The entries that a word finds, with how well: 1 for the word itself, less for a longer word that begins with it.
  function found(index, word, asBeginning) {
    const hits = new Map();
    const add = (whole) => {
      for (const entry of index.words[whole]) {
        hits.set(entry, Math.max(hits.get(entry) ?? 0, whole === word ? 1 : 0.4 + 0.4 * (word.length / whole.length)));
      }
    };
    if (!asBeginning) Object.hasOwn(index.words, word) && add(word);
    else for (const whole of Object.keys(index.words)) if (whole.startsWith(word)) add(whole);
    return hits;
  }

  const stem = (url) => wordsOf(url.replace(/^.*\/|\.html$/g, "")).join("");

  // The numbers of the entries that have all words, the best first.  The last word may be the beginning of one, since
  // it is being typed.  A word may stand in the title of the entry's page instead, but not all of them.
  function search(index, text) {
    const typed = wordsOf(text);
    const words = typed.filter((word, k) => k === typed.length - 1 || !index.skipped.includes(word));
    const hits = words.map((word, k) => found(index, word, k === words.length - 1));
    if (words.length > 1 && index.skipped.includes(words.at(-1)) && hits.at(-1).size === 0) hits.pop();
    const ofPages = hits.map((hit) => {
      const pages = new Map();
      for (const [entry, quality] of hit) if (index.entries[entry][1] === "") pages.set(index.entries[entry][0], quality);
      return pages;
    });
    const scores = [];
    for (const entry of new Set(hits.flatMap((hit) => [...hit.keys()]))) {
      const [page, anchor, title, kind] = index.entries[entry];
      const own = hits.map((hit) => hit.get(entry) ?? 0);
      const here = own.map((quality, k) => quality || ELSEWHERE * (ofPages[k].get(page) ?? 0));
      if (here.some((quality) => quality === 0)) continue;
      // How much of the title was typed; of a page's title all of it, if the name of the page was: "rnn".
      const isName = anchor === "" && stem(index.pages[page][0]) === typed.join("");
      const share = isName ? 1 : Math.min(1, own.filter((quality) => quality > 0).length / wordsOf(title).length);
      const sum = here.reduce((a, b) => a + b, 0);
      scores.push([entry, (WEIGHTS[kind] ?? 1) * sum * (0.4 + 0.6 * share)]);
    }
    return scores.sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([entry]) => entry);
  }

  // ---- the list

  function item(index, entry) {
    const [page, anchor, text, kind] = index.entries[entry];
    const [url, title] = index.pages[page];
    const link = document.createElement("a");
    link.href = root + url + (anchor && `#${encodeURIComponent(anchor)}`);
    for (const [name, content] of [["kind", KINDS[kind] ?? kind], ["what", text], ["where", text === title ? "" : title]]) {
      const part = document.createElement("span");
      part.className = name;
      part.textContent = content;
      if (content) link.append(part, " ");
    }
    const line = document.createElement("li");
    line.append(link);
    return line;
  }

  let turn = 0; // a list that was closed while the index loaded stays closed

  async function show() {
    const asked = input.value;
    if (!asked.trim()) return close();
    const mine = ++turn;
    let index;
    try {
      index = await load();
    } catch {
      return say("The search index cannot be loaded.");
    }
    if (turn !== mine) return; // more was typed while it loaded
    const entries = search(index, asked);
    results.replaceChildren(...entries.slice(0, SHOWN).map((entry) => item(index, entry)));
    results.hidden = entries.length === 0;
    const more = entries.length > SHOWN ? `, the best ${SHOWN} below` : "";
    say(entries.length === 0 ? "Nothing found." : `${entries.length} ${entries.length === 1 ? "result" : "results"}${more}`);
  }

  function say(text) {
    said.textContent = text;
    said.hidden = false;
  }

  function close() {
    turn++;
    results.hidden = said.hidden = true;
    results.replaceChildren();
    said.textContent = "";
  }

  const links = () => [...results.querySelectorAll("a")];

  input.addEventListener("focus", () => { load().catch(() => {}); if (input.value) show(); });
  input.addEventListener("input", show);
  box.addEventListener("keydown", (event) => {
    const all = links();
    const at = all.indexOf(document.activeElement); // -1: in the box
    if (event.key === "ArrowDown" && all.length) (all[at + 1] ?? all[at]).focus();
    else if (event.key === "ArrowUp" && at >= 0) (all[at - 1] ?? input).focus();
    else if (event.key === "Enter" && at < 0 && all.length) all[0].click();
    else if (event.key === "Escape") {
      if (results.hidden && said.hidden) return;
      event.stopPropagation(); // it closes the list, and no light
      input.focus();
      close();
    } else return;
    event.preventDefault();
  });
  results.addEventListener("click", () => close()); // a link into this page leaves the list otherwise
  box.addEventListener("focusout", (event) => { if (!box.contains(event.relatedTarget)) close(); });
  document.addEventListener("pointerdown", (event) => { if (!box.contains(event.target)) close(); });

  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
})();
