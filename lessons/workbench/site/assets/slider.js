// Figures with sliders.  Each position has a picture of its own, drawn when the lesson was run; here the range inputs,
// which browsers make usable by keyboard, only choose which one is shown.  Without this file the still is there.
"use strict";

(() => {
  for (const figure of document.querySelectorAll("figure.slider")) prepare(figure);

  function prepare(figure) {
    const picture = figure.querySelector("img");
    const controls = figure.querySelector(".slider-controls");
    const axes = [...controls.querySelectorAll("input[type=range]")].map((input) => ({
      input,
      output: controls.querySelector(`output[for="${CSS.escape(input.id)}"]`),
      shown: JSON.parse(input.dataset.values),
      start: Number(input.getAttribute("value")),
    }));
    const frames = figure.dataset.frames.split(" "); // the last axis runs fastest
    const still = picture.getAttribute("src");
    const loaded = new Map(); // frame -> its Image, kept so that the browser keeps its pixels
    let wanted = still;

    for (const { output, shown } of axes) {
      // As wide as the longest value, so that nothing moves while the value changes.
      output.style.minWidth = `${Math.max(...shown.map((text) => text.length))}ch`;
      output.setAttribute("aria-live", "off"); // the range says its value itself
    }
    controls.addEventListener("pointerenter", loadAll, { once: true });
    controls.addEventListener("focusin", loadAll, { once: true });
    controls.addEventListener("input", show);
    window.addEventListener("pageshow", show); // a browser may have restored a position
    controls.hidden = false;
    show();

    function show() {
      for (const { input, output, shown } of axes) {
        output.textContent = shown[input.value];
        input.setAttribute("aria-valuetext", shown[input.value]);
      }
      const place = axes.reduce((before, { input, shown }) => before * shown.length + Number(input.value), 0);
      const atStart = axes.every(({ input, start }) => Number(input.value) === start);
      wanted = atStart ? still : frames[place]; // the still is sharper than its frame
      if (wanted !== picture.getAttribute("src") && load(wanted).complete) picture.src = wanted;
    }

    function loadAll() {
      frames.forEach(load);
    }

    function load(frame) {
      if (!loaded.has(frame)) {
        const image = new Image();
        // The old picture stays until the new one is there; by then another may be wanted.
        image.addEventListener("load", () => { if (wanted === frame) picture.src = frame; });
        image.src = frame;
        loaded.set(frame, image);
      }
      return loaded.get(frame);
    }
  }
})();
