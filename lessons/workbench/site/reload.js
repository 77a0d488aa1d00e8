// Added to each page by `minigrad site --serve --watch`, and by nothing else: asks which build is on show, and loads the page
// anew when that is another one.
const ask = async () => (await fetch("/-/build", { cache: "no-store" })).text();

const watch = async (first) => {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? 3000 : 700));
    try {
      const now = await ask();
      first ??= now;
      if (now !== first) return location.reload();
    } catch {
      // The server has ended or starts again: ask later.
    }
  }
};

watch(document.currentScript.dataset.build);
