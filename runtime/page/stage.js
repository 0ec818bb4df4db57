/* The line is moved with a pointer, a finger or keys; the lenses bring both sides nearer at once. `element` is what
   Gradio shows the picture in; it stays while the pictures in it come and go. */
const MOST = 16, HANDLE = 28;
const seen = { line: 50, zoom: 1, x: 0, y: 0 };
const held = new Map();
let grip = null, last = null;

const stage = () => element.querySelector(".stage:not(.alone)");
const clamp = (value, least, most) => Math.min(most, Math.max(least, value));
/* Pixels of the screen for one of the picture, where nothing is enlarged. */
const fitting = () => stage().clientWidth / getComputedStyle(stage()).getPropertyValue("--width");
const most = () => Math.max(1, MOST / fitting());

function show() {
  const at = stage(), { clientWidth: width, clientHeight: height } = at;
  seen.x = clamp(seen.x, width * (1 - seen.zoom), 0);
  seen.y = clamp(seen.y, height * (1 - seen.zoom), 0);
  at.style.setProperty("--line", `${seen.line}%`);
  at.style.setProperty("--zoom", seen.zoom);
  at.style.setProperty("--x", `${seen.x}px`);
  at.style.setProperty("--y", `${seen.y}px`);
  at.classList.toggle("near", seen.zoom > 1);
  at.classList.toggle("grained", seen.zoom * fitting() >= 3);
  const slider = at.querySelector("input");
  slider.value = seen.line;
  slider.ariaValueText = `${Math.round(seen.line)}%`;
  element.querySelector(".lenses output").value = `${Math.round(100 * seen.zoom * fitting())} %`;
}

/* Zoom so that what is at a place of the stage stays there. */
function zoomTo(zoom, left = stage().clientWidth / 2, top = stage().clientHeight / 2) {
  const before = seen.zoom;
  seen.zoom = clamp(zoom, 1, most());
  seen.x = left - (left - seen.x) * seen.zoom / before;
  seen.y = top - (top - seen.y) * seen.zoom / before;
  show();
}

function place(event) {
  const { left, top } = stage().getBoundingClientRect();
  return { left: event.clientX - left, top: event.clientY - top };
}

function follow(event) {
  seen.line = clamp(100 * place(event).left / stage().clientWidth, 0, 100);
  show();
}

const spread = () => {
  const [a, b] = [...held.values()];
  return { size: Math.hypot(a.left - b.left, a.top - b.top), left: (a.left + b.left) / 2, top: (a.top + b.top) / 2 };
};

const steps = { in: () => zoomTo(seen.zoom * 1.5), out: () => zoomTo(seen.zoom / 1.5), fit: () => zoomTo(1),
                whole: () => zoomTo(1 / fitting()) };

element.addEventListener("click", event => {
  const lens = event.target.closest("[data-zoom]");
  if (lens && stage()) steps[lens.dataset.zoom]();
  if (stage()?.contains(event.target)) stage().querySelector("input").focus({ preventScroll: true });
});

element.addEventListener("input", event => {
  if (!event.target.matches(".stage input")) return;
  seen.line = Number(event.target.value);
  show();
});

element.addEventListener("keydown", event => {
  const step = { "+": "in", "=": "in", "-": "out", "0": "fit", "1": "whole" }[event.key];
  if (!step || !event.target.matches(".stage input")) return;
  event.preventDefault();
  steps[step]();
});

element.addEventListener("pointerdown", event => {
  const at = stage();
  if (!at || !at.contains(event.target)) return;
  at.setPointerCapture(event.pointerId);
  held.set(event.pointerId, place(event));
  last = place(event);
  if (held.size === 2) grip = { ...spread(), zoom: seen.zoom };
  const isAtLine = Math.abs(last.left - seen.line * at.clientWidth / 100) < HANDLE;
  if (held.size === 1) grip = seen.zoom > 1 && !isAtLine ? "picture" : "line";
  at.classList.toggle("held", grip === "picture");
  /* A finger that goes up or down scrolls the page, so the line waits until it goes sideways or is lifted. */
  if (grip === "line" && event.pointerType === "mouse" && event.detail < 2) follow(event);
});

element.addEventListener("pointermove", event => {
  if (!held.has(event.pointerId)) return;
  const now = place(event);
  held.set(event.pointerId, now);
  if (held.size === 2) {
    const { size, left, top } = spread();
    zoomTo(grip.zoom * size / grip.size, left, top);
  } else if (grip === "picture") {
    seen.x += now.left - last.left;
    seen.y += now.top - last.top;
    show();
  } else follow(event);
  last = now;
});

for (const end of ["pointerup", "pointercancel"]) {
  element.addEventListener(end, event => {
    if (!held.delete(event.pointerId) || !stage()) return;
    if (end === "pointerup" && grip === "line" && event.pointerType !== "mouse") follow(event);
    stage().classList.remove("held");
    /* The finger that is left of two goes on with the picture. */
    grip = "picture";
    last = [...held.values()][0];
  });
}

element.addEventListener("dblclick", event => {
  if (!stage()?.contains(event.target)) return;
  const { left, top } = place(event);
  zoomTo(seen.zoom > 1 ? 1 : Math.max(2, 1 / fitting()), left, top);
});

/* A wheel scrolls the page; with Ctrl, as two fingers on a touchpad are told too, it zooms. */
element.addEventListener("wheel", event => {
  if (!event.ctrlKey || !stage()?.contains(event.target)) return;
  event.preventDefault();
  const { left, top } = place(event);
  zoomTo(seen.zoom * Math.exp(-event.deltaY / 200), left, top);
}, { passive: false });

new ResizeObserver(() => { if (stage()) show(); }).observe(element);

watch("value", () => {
  Object.assign(seen, { line: 50, zoom: 1, x: 0, y: 0 });
  held.clear();
  if (stage()) show();
});
