// The button that spends money. A click shows at once, whatever the kernel does; it carries the texts as they stand in
// the page, since what was typed last may still be on its way, and the price that the person saw.

const FIELDS = ["prompt", "negative", "n", "max_images", "seed", "tags", "name"];

// What JupyterLab does to cells with Ctrl held; its other shortcuts with Ctrl (save, palette, …) are everybody's.
const CELL_KEYS = /^(Enter|Backspace|Arrow.*|[amAM])$/;

/**
 * Keep the notebook's shortcuts off the panel, in which keys have a meaning of their own: x would cut the cell, b add
 * one, an arrow move on instead of moving a slider, Ctrl+Enter run the cell again. JupyterLab looks for its attribute
 * on the focused element first, and a parent's counts for nothing there.
 */
function ownKeys(panel, signal) {
  const mark = (event) => {
    if (!(event.target instanceof Element) || !panel.contains(event.target)) return;
    const isOurs = !(event.ctrlKey || event.metaKey) || CELL_KEYS.test(event.key);
    if (isOurs) event.target.setAttribute("data-lm-suppress-shortcuts", "true");
    else event.target.removeAttribute("data-lm-suppress-shortcuts");
  };
  window.addEventListener("keydown", mark, { signal, capture: true }); // Notebook 7 listens on its way down
}

/** Bring a text field that Tab reached into sight as a whole: a browser does so for its first line only. */
function showWhole(event) {
  if (event.key === "Tab" && event.target.tagName === "TEXTAREA") event.target.scrollIntoView({ block: "nearest" });
}

function render({ model, el, signal }) {
  const root = make("div", "wan-run");
  const button = makeButton("", click, { className: "wan-run-button" });
  const detail = make("div", "wan-run-detail");
  const lines = make("div", "wan-run-lines");
  detail.id = `wan-run-${Math.random().toString(36).slice(2, 8)}`;
  button.setAttribute("aria-describedby", detail.id);
  lines.role = "alert";
  root.append(button, detail, lines);
  el.append(root);
  let clicked = 0; // the number of the click that the kernel has not answered yet

  const isWaiting = () => clicked > model.get("answered");

  function update() {
    const waiting = isWaiting();
    setText(button, waiting ? "Queued…" : model.get("label"));
    setDisabled(button, waiting || !model.get("enabled"));
    const rest = [model.get("detail"), model.get("running")].filter(Boolean).join(" · ");
    setText(detail, waiting ? "sent to the kernel; it starts as soon as the kernel can take it" : rest);
    setLines(lines, waiting ? [] : model.get("lines"));
    root.toggleAttribute("data-waiting", waiting);
  }

  function click() {
    if (isWaiting()) return;
    clicked = Math.max(clicked, model.get("answered")) + 1;
    const texts = {};
    const panel = el.closest(".wan-panel");
    for (const name of FIELDS) {
      const field = panel?.querySelector(`.wan-f-${name} textarea, .wan-f-${name} input`);
      if (field) texts[name] = field.value;
    }
    update();
    model.send({ kind: "generate", click: clicked, shown: model.get("label"), texts });
  }

  function onKey(event) {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.defaultPrevented) return;
    if (!event.target.closest?.(".wan-panel")?.contains(el)) return;
    event.preventDefault();
    event.stopPropagation();
    if (button.ariaDisabled !== "true") click();
  }

  listen(model, signal, "change", update);
  document.addEventListener("keydown", onKey, { signal, capture: true }); // stock fields let no key pass
  whenInPanel(el, signal, (panel) => {
    ownKeys(panel, signal);
    panel.addEventListener("keyup", showWhole, { signal, capture: true });
    panel.role = "region";
    panel.ariaLabel = "Wan 2.6 Image panel";
  });
  update();
}

export default { render };
