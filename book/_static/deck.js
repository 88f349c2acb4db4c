// Shows the sections of a page one at a time. The address keeps the place: page.html#slide-3.
"use strict";

{
  const bar = document.querySelector(".cmr-deck-bar");
  const slides = [...bar.closest("section").querySelectorAll(":scope > section")];
  const start = bar.querySelector(".cmr-deck-start");
  let now = -1; // -1: the page

  const nav = document.createElement("nav");
  nav.className = "cmr-deck-nav";
  nav.setAttribute("aria-label", "Slides");
  const button = (label, text, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    nav.append(made);
  };
  button("previous slide", "←", () => show(now - 1));
  const place = document.createElement("span");
  place.setAttribute("role", "status");
  nav.append(place);
  button("next slide", "→", () => show(now + 1));
  button("back to the page", "✕", leave);

  function show(index) {
    slides[now]?.classList.remove("cmr-now");
    now = Math.min(Math.max(index, 0), slides.length - 1);
    document.documentElement.classList.add("cmr-presenting");
    document.body.append(nav);
    slides[now].classList.add("cmr-now");
    slides[now].tabIndex = -1;
    slides[now].focus({ preventScroll: true });
    slides[now].scrollTop = 0;
    place.textContent = `${now + 1} / ${slides.length}`;
    history.replaceState(null, "", `#slide-${now + 1}`);
  }

  function leave() {
    const left = slides[now];
    left.classList.remove("cmr-now");
    document.documentElement.classList.remove("cmr-presenting");
    nav.remove();
    now = -1;
    history.replaceState(null, "", `#${left.id}`);
    if (document.fullscreenElement) document.exitFullscreen();
    left.scrollIntoView();
    start.focus({ preventScroll: true });
  }

  const keys = {
    ArrowRight: () => show(now + 1),
    PageDown: () => show(now + 1),
    ArrowLeft: () => show(now - 1),
    PageUp: () => show(now - 1),
    Home: () => show(0),
    End: () => show(slides.length - 1),
    Escape: leave,
    f: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
  };
  document.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (now < 0 || !act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }, true);

  start.addEventListener("click", () => show(0));
  bar.hidden = false;
  const asked = location.hash.match(/^#slide-(\d+)$/);
  if (asked) show(Number(asked[1]) - 1);
}
