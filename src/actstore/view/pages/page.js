// Copies text; where a browser does not allow that, the text is selected instead.
const said = document.getElementById("said");
for (const button of document.querySelectorAll("button[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copies);
    try {
      await navigator.clipboard.writeText(source.textContent);
      said.textContent = button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      said.textContent = button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; said.textContent = ""; }, 2000);
  });
}
