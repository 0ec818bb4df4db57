/* A browser lends its clipboard to pages of its own machine and to those under https; elsewhere the text is selected. */
element.addEventListener("click", async event => {
  const button = event.target.closest(".copy");
  if (!button) return;
  const text = button.closest("section").querySelector("code");
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(text);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});
