// A link to a place that is folded opens what it is folded in; on paper every appendix is open.
"use strict";

{
  function reveal() {
    const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!place) return;
    let closed = false;
    const open = (details) => { closed ||= !details.open; details.open = true; };
    const appendix = place.closest(".cmr-appendix")?.querySelector(":scope > details");
    if (appendix) open(appendix); // also where the place is its heading, outside of what is folded
    for (let e = place; e; e = e.parentElement) {
      if (e.localName === "details") open(e);
      if (!e.classList.contains("toggle-hidden")) continue;
      closed = true;
      e.querySelector(".toggle-button").click();
    }
    if (closed) place.scrollIntoView();
  }
  addEventListener("DOMContentLoaded", reveal);
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (click) => { // the same link again, after it was closed
    if (click.target.closest("a[href]")?.href === location.href) reveal();
  });

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll(".cmr-appendix > details:not([open])")];
    folded.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));
}
