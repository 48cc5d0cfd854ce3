// The panel: its parts put together, its two tabs, the keys that are its own, and the end of its kernel.

// What JupyterLab does to cells with Ctrl held; its other shortcuts with Ctrl (save, palette, …) are everybody's.
const CELL_KEYS = /^(Enter|Backspace|Arrow.*|[amAM])$/;

/**
 * Keep the notebook's shortcuts off the panel, in which keys have a meaning of their own: x would cut the cell, b add
 * one. JupyterLab looks for its attribute on the focused element, and a parent's counts for nothing there.
 */
function ownKeys(root, signal, press) {
  const options = { signal, capture: true };
  window.addEventListener("keydown", (event) => {
    if (!(event.target instanceof Element) || !root.contains(event.target)) return;
    const hasCtrl = event.ctrlKey || event.metaKey;
    if (!hasCtrl || CELL_KEYS.test(event.key)) event.target.setAttribute("data-lm-suppress-shortcuts", "true");
    else event.target.removeAttribute("data-lm-suppress-shortcuts");
    if (event.key !== "Enter" || !hasCtrl) return;
    event.preventDefault();
    event.stopPropagation();
    press();
  }, options); // Notebook 7 listens on its way down
  // JupyterLab allows no new line (Enter, Shift+Enter) in the text fields of a cell.
  root.addEventListener("beforeinput", (event) => event.stopPropagation(), options);
  root.addEventListener("keyup", ({ key, target }) => {
    // A browser brings only the first line of a text field that Tab reached into sight.
    if (key === "Tab" && target.tagName === "TEXTAREA") target.scrollIntoView({ block: "nearest" });
  }, options);
}

/** Hand bytes to the browser's downloads under a file name. */
function saveBytes(bytes, name) {
  const url = URL.createObjectURL(new Blob([bytes]));
  const anchor = make("a");
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function render({ model, el, signal }) {
  const link = makeLink(model, signal);
  const pictures = makePictures(link);
  const picker = makePicker(link, pictures);
  const gallery = makeGallery(link, pictures, showForm);
  const form = makeForm(link, picker.root, gallery.seedOf);
  const run = makeRun(link);
  const left = makeBox("div", "wan-left", form, run.root);
  const right = makeBox("div", "wan-right", makeJobs(link, model), makeCell(link), gallery.root);
  const create = makeBox("div", "wan-columns", left, right);
  const history = makeBox("div", "wan-page", makeHistory(link, pictures, showForm));
  const tabs = makeTabs(["Create", "History"], (at) => {
    create.hidden = at !== 0;
    history.hidden = at === 0;
  }, "wan-tab");
  const service = make("span", "wan-service wan-cut wan-muted");
  const head = makeBox("header", "wan-head", make("b", "", "Wan Image"), service, tabs.bar);
  const body = makeBox("div", "wan-body", head, create, history);
  const gone = make("div", "wan-gone", "The kernel was restarted. Run this cell again.");
  gone.role = "alert";
  const root = makeBox("section", "wan-panel", body, gone);
  root.ariaLabel = "Wan Image panel";

  /** Show the form, with what was filled in. */
  function showForm(writes = false) {
    tabs.open(0);
    const prompt = form.querySelector("textarea");
    if (writes) prompt.focus();
    else prompt.scrollIntoView({ block: "nearest" });
  }

  /** Without its kernel the panel can do nothing, and does not look as if it could. */
  function setGone(isGone) {
    gone.hidden = !isGone;
    body.inert = isGone;
    root.toggleAttribute("data-gone", isGone);
  }

  link.follow(["fixed"], () => setText(service, link.get("fixed").service ?? ""));
  link.on("comm_live_update", () => setGone(true));
  link.on("change msg:custom", () => root.hasAttribute("data-gone") && setGone(false));
  link.onMessage("save", ({ name }, buffers) => saveBytes(buffers[0], name));
  ownKeys(root, signal, run.press);
  watchFiles(root, signal, picker.takeFiles);
  setGone(false);
  tabs.open(0);
  el.classList.add("wan-panel-view");
  el.append(root);
}

export default { render };
