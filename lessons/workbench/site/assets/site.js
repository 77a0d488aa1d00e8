// What a page does beyond being read.  Without this file every page is complete, only unlit.
"use strict";

(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const { body } = document;
  document.documentElement.classList.add("js");

  // ---- terms: one name lights in the equation, the code, the hints and the messages

  const marked = all("[data-term]");
  const places = new Map(); // name -> its elements
  for (const place of marked) {
    const name = place.dataset.term;
    if (!places.has(name)) places.set(name, []);
    places.get(name).push(place);
  }
  // A variable is met on every other line: by keyboard one stops only where it gets its value, else where it first is.
  // Symbols of formulas are passed, too: there are many.
  for (const found of places.values()) {
    const inCode = found.filter((place) => place.closest(".code"));
    const stops = inCode.some((place) => place.matches(".def")) ? inCode.filter((p) => p.matches(".def")) : inCode.slice(0, 1);
    for (const place of found) {
      const formula = place.closest("math") !== null;
      if (!formula) place.setAttribute("role", "button");
      if (!formula) place.setAttribute("aria-pressed", "false");
      const passed = place.matches(".symbol") || (inCode.includes(place) && !stops.includes(place));
      place.setAttribute("tabindex", passed ? "-1" : "0");
      if (!formula) place.setAttribute("title", "Light this term everywhere (Escape: off)");
    }
  }

  let lit = null;
  function light(name) {
    if (name === lit) return;
    for (const place of places.get(lit) || []) shine(place, false);
    lit = places.has(name) ? name : null;
    for (const place of places.get(lit) || []) shine(place, true);
    body.classList.toggle("has-lit", lit !== null);
  }
  function shine(place, on) {
    place.classList.toggle("lit", on);
    if (place.hasAttribute("aria-pressed")) place.setAttribute("aria-pressed", String(on));
    const line = place.closest(".code .l, .terminal .l, .equations tr");
    if (line) line.classList.toggle("lit-line", on);
  }

  const termAt = (target) => (target instanceof Element ? target.closest("[data-term]") : null);
  let pressed = false; // a click focuses first; the focus must not light what the click then turns off
  document.addEventListener("pointerdown", (event) => { pressed = termAt(event.target) !== null; });
  document.addEventListener("click", (event) => {
    const term = termAt(event.target);
    pressed = false;
    if (term) light(lit === term.dataset.term ? null : term.dataset.term);
  });
  document.addEventListener("focusin", (event) => {
    const term = termAt(event.target);
    if (term && !pressed) light(term.dataset.term);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") light(null);
    const term = termAt(event.target);
    if (!term || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    light(lit === term.dataset.term ? null : term.dataset.term);
  });

  // ---- the place in the address: what is folded around it opens, and a term there is lit

  function arrive() {
    const anchor = decodeURIComponent(location.hash.slice(1));
    const target = anchor && document.getElementById(anchor);
    if (!target) return;
    let opened = false;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) {
      opened = opened || !fold.open;
      fold.open = true;
    }
    if (target.matches("[data-term]")) light(target.dataset.term);
    if (opened) target.scrollIntoView();
  }
  window.addEventListener("hashchange", arrive);
  window.addEventListener("DOMContentLoaded", arrive);

  // ---- boxes that scroll by themselves can be reached and scrolled by keyboard, and say what they are

  function reachable() {
    for (const box of all(".scrolls")) {
      const scrolls = box.scrollWidth > box.clientWidth + 1;
      box.classList.toggle("is-wider", scrolls);
      if (scrolls) {
        box.tabIndex = 0;
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", `${box.dataset.label || "Box"}, scrolls sideways`);
      } else {
        for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
      }
    }
  }

  // ---- notes stay beside a long piece of code, where they are shorter than the window

  function beside() {
    for (const prose of all(".row > .prose")) {
      prose.classList.toggle("fits", prose.offsetHeight < window.innerHeight - 120);
    }
  }

  // ---- the list of sections: the one that is being read is marked

  const contents = document.querySelector(".contents");
  const links = contents ? all("a", contents) : [];
  const sections = links.map((link) => document.getElementById(decodeURIComponent(link.hash.slice(1))));
  const fold = contents && contents.querySelector("details");
  const wide = window.matchMedia("(min-width: 100rem)");

  function settle() {
    if (fold) fold.open = wide.matches;
  }
  function whereWeAre() {
    const line = window.innerHeight * 0.3;
    let current = -1;
    sections.forEach((section, k) => {
      if (section && section.getBoundingClientRect().top < line) current = k;
    });
    links.forEach((link, k) => {
      if (k === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
    const read = document.documentElement;
    const share = read.scrollTop / Math.max(1, read.scrollHeight - window.innerHeight);
    read.style.setProperty("--read", String(Math.min(1, share)));
  }
  if (fold) {
    settle();
    wide.addEventListener("change", settle);
    contents.addEventListener("click", (event) => {
      if (event.target.closest("a") && !wide.matches) fold.open = false;
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !wide.matches) fold.open = false;
    });
  }

  let waiting = false;
  function soon(work) {
    return () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        work();
      });
    };
  }
  window.addEventListener("scroll", soon(whereWeAre), { passive: true });
  window.addEventListener("resize", soon(() => { beside(); reachable(); whereWeAre(); }));
  document.addEventListener("toggle", (event) => { if (event.target.open) reachable(); }, true);

  // ---- commands can be copied

  for (const command of all("code.command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy: ${command.textContent}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(command.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(command);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    command.after(button);
  }

  // ---- on paper nothing is folded

  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = all("main details:not([open])");
    for (const each of folded) each.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const each of folded) each.open = false;
  });

  beside();
  reachable();
  whereWeAre();
  window.addEventListener("load", () => { beside(); reachable(); whereWeAre(); });
})();
