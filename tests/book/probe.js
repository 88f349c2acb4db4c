// Looks at a page as it is laid out. Each check returns sentences; none means that all is well.
window.cmrProbe = (function () {
  const name = (e) => {
    const id = e.id ? "#" + e.id : "";
    const kind = typeof e.className === "string" && e.className ? "." + e.className.trim().split(/\s+/).join(".") : "";
    return (e.tagName.toLowerCase() + id + kind).slice(0, 90);
  };
  const shown = (e) => {
    const style = getComputedStyle(e), box = e.getBoundingClientRect();
    return style.visibility === "visible" && style.display !== "none" && box.width > 0 && box.height > 0;
  };
  const main = () => document.querySelector("article") || document.body;

  function unfold() {
    document.querySelectorAll("article details").forEach((e) => { e.open = true; });
    document.querySelectorAll(".toggle-hidden").forEach((e) => e.classList.remove("toggle-hidden"));
    const still = document.createElement("style");
    still.textContent = "* { transition: none !important; animation: none !important; }";
    document.head.append(still);
  }

  // The page must not scroll sideways.
  function overflow() {
    const root = document.scrollingElement, wide = root.scrollWidth - root.clientWidth;
    if (wide <= 1) return [];
    const scrolls = (e) => {
      for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
        if (getComputedStyle(p).overflowX !== "visible") return true;
      return false;
    };
    const guilty = [...document.querySelectorAll("body *")].filter(
      (e) => shown(e) && e.getBoundingClientRect().right > root.clientWidth + 1 && !scrolls(e));
    return ["the page is " + wide + " px wider than its window: " + guilty.slice(0, 4).map(name).join(", ")];
  }

  // Code is never cut off; tables are whole in a wide window. In a narrow one they scroll within their box.
  function cut() {
    const found = [];
    for (const e of main().querySelectorAll("pre"))
      if (shown(e) && e.scrollWidth > e.clientWidth + 1)
        found.push("code is cut off by " + (e.scrollWidth - e.clientWidth) + " px: " + e.textContent.trim().slice(0, 50));
    for (const e of main().querySelectorAll("table")) {
      if (!shown(e)) continue;
      let over = e.getBoundingClientRect().right - e.closest("article, body").getBoundingClientRect().right;
      for (let p = e; p && p !== document.body; p = p.parentElement)
        if (getComputedStyle(p).overflowX !== "visible") over = Math.max(over, p.scrollWidth - p.clientWidth);
      if (over > 1 && innerWidth > 1000)
        found.push("a table is cut off by " + Math.round(over) + " px: " + e.textContent.trim().replace(/\s+/g, " ").slice(0, 50));
    }
    return found;
  }

  function alt() {
    const images = [...main().querySelectorAll("img")].filter((e) => !(e.alt || "").trim() && e.getAttribute("role") !== "presentation");
    const drawn = [...main().querySelectorAll("svg[role=img]")].filter((e) => !e.getAttribute("aria-label") && !e.querySelector("title") && !e.closest("mjx-container"));
    return [...images, ...drawn].map((e) => "a picture without alt text: " + (e.getAttribute("src") || name(e)).slice(-60));
  }

  // A table has a caption; one that a notebook hands to another page has the paragraph above it.
  function captions() {
    const found = [];
    for (const e of main().querySelectorAll("table")) {
      if ((e.caption && e.caption.textContent.trim()) || !shown(e)) continue;
      const pasted = e.closest(":is(section, .cmr-appendix > details) > .output.text_html"), above = pasted && pasted.previousElementSibling;
      if (!(above && above.tagName === "P" && above.textContent.trim()))
        found.push("a table without a caption: " + e.textContent.trim().replace(/\s+/g, " ").slice(0, 50));
    }
    return found;
  }

  const formulas = () => [...document.querySelectorAll("[data-mjx-error]")].map((e) => "a formula with a mistake: " + e.dataset.mjxError);

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  function rgba(text) {  // any CSS colour, as 0 to 255 and alpha 0 to 1
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = "rgba(0,0,0,0)"; canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  }
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
  function luminance(c) {
    const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function ground(e) {  // the colour behind an element, or null where a picture is
    const layers = [];
    for (let p = e; p; p = p.parentElement) {
      const style = getComputedStyle(p);
      if (style.backgroundImage !== "none") return null;
      const colour = rgba(style.backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  }
  function contrast() {
    const worst = new Map(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const e = walker.currentNode.parentElement;
      if (!walker.currentNode.textContent.trim() || !e || e.closest("script, style, noscript, mjx-container, svg")) continue;
      if (!shown(e) || e.closest("[aria-hidden=true], [hidden], [disabled]")) continue;
      const behind = ground(e);
      if (!behind) continue;
      const style = getComputedStyle(e), colour = rgba(style.color);
      for (let p = e; p; p = p.parentElement) colour[3] *= +getComputedStyle(p).opacity;
      const a = luminance(over(colour, behind)), b = luminance(behind);
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
      if (ratio < (large ? 3 : 4.5) - 0.005) {
        const key = name(e) + " " + style.color;
        if (!worst.has(key)) worst.set(key, "contrast " + ratio.toFixed(2) + " : 1 of '" + walker.currentNode.textContent.trim().slice(0, 30) + "' in " + name(e));
      }
    }
    return [...worst.values()];
  }

  const ids = () => [...document.querySelectorAll("[id]")].map((e) => e.id);
  const hrefs = () => [...document.querySelectorAll("a[href]")].map((e) => e.href).filter((h) => h.startsWith("file:"));
  return { unfold, overflow, cut, alt, captions, formulas, contrast, ids, hrefs };
})(), 1;
