
const root = document.documentElement;
root.dataset.before = "bicubic";

for (const choice of document.querySelectorAll("[name=before]")) {
  choice.addEventListener("change", () => { root.dataset.before = choice.value; });
}

for (const stage of document.querySelectorAll(".stage")) {
  const slider = stage.querySelector("input");
  for (const side of ["width", "height"]) {
    stage.parentElement.style.setProperty(`--${side}`, stage.querySelector("img").getAttribute(side));
  }
  const show = () => {
    stage.style.setProperty("--line", `${slider.value}%`);
    slider.ariaValueText = `${Math.round(slider.value)}%`;
  };
  const follow = event => {
    const { left, width } = stage.getBoundingClientRect();
    slider.value = 100 * (event.clientX - left) / width;
    show();
  };
  slider.addEventListener("input", show);
  /* A finger that goes up or down scrolls the page, so the line waits until it goes sideways or is lifted. */
  stage.addEventListener("pointerdown", event => {
    stage.setPointerCapture(event.pointerId);
    if (event.pointerType === "mouse") follow(event);
  });
  stage.addEventListener("pointermove", event => {
    if (stage.hasPointerCapture(event.pointerId)) follow(event);
  });
  stage.addEventListener("click", event => {
    slider.focus({ preventScroll: true });
    if (event.pointerType) follow(event);
  });
  show();
}
