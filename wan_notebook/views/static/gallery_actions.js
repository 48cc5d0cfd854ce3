// What can be done with a picture: the same buttons below the toolbar and in the full view. One tab stop, then arrows.

const MARKS = [
  ["star", "☆ Star", "Star this picture (S)"],
  ["reject", "✕ Reject", "Reject this picture: it is hidden, and stays in the history (X)"],
];
const FIRST = [
  ["use", "Use as input", "Add it to the pictures of the next request"],
  ["recall", "Recall", "Fill the form with what made it; nothing runs"],
  ["copy", "Copy as cell", "Put the %%wan cell that made it on the clipboard"],
  ["download", "Download", "Save the file, with its recipe inside"],
];
const REST = [
  ["edit", "Edit this", "Make it the only picture, and write what to change"],
  ["newseed", "New seed", "Fill the form with what made it, without the seed"],
  ["seed", "Use its seed", "Take over its seed only"],
  ["clean", "Save clean copy", "Save the bytes as the service sent them, without a recipe"],
  ["open", "Open file", "Open the full picture in a tab of its own"],
];

/** Make the bar; `act(what, item)` is called for a click. */
function makeActions(act) {
  const bar = make("div", "wan-actions");
  bar.role = "toolbar";
  bar.ariaLabel = "What to do with this picture";
  let item = null;
  const buttons = new Map();
  const group = (className, label, all) => {
    const box = make("div", `wan-actions-group ${className}`);
    box.role = "group";
    box.ariaLabel = label;
    for (const [what, text, title] of all) {
      const button = makeButton(text, () => item && act(what, item, button), { className: "wan-small", title });
      button.tabIndex = -1;
      buttons.set(what, button);
      box.append(button);
    }
    return box;
  };
  const marks = group("wan-actions-marks", "Marks", MARKS);
  const first = group("wan-actions-first", "Use", FIRST);
  const rest = group("wan-actions-rest", "More", REST);
  rest.id = `wan-more-${Math.random().toString(36).slice(2, 8)}`;
  const more = makeButton("More ▾", () => disclose(rest.hidden), { className: "wan-small wan-actions-more", title: "Seeds, editing, files" });
  more.tabIndex = -1;
  more.setAttribute("aria-controls", rest.id);
  marks.firstElementChild.tabIndex = 0; // the bar's one tab stop
  first.append(more);
  bar.append(marks, first, rest);
  disclose(false);
  rove(bar, ".wan-b");

  function disclose(isOpen) {
    rest.hidden = !isOpen;
    more.ariaExpanded = String(isOpen);
    setText(more, isOpen ? "Less ▴" : "More ▾");
    if (!isOpen && rest.querySelector("[tabindex='0']")) more.tabIndex = 0;
  }

  return {
    bar,
    buttons,
    set(next) {
      item = next;
      for (const button of buttons.values()) setDisabled(button, !item);
      const star = buttons.get("star");
      const reject = buttons.get("reject");
      setText(star, item?.star ? "★ Star" : "☆ Star"); // a toggle's name stays, its state says the rest
      for (const [button, isOn] of [[star, item?.star], [reject, item?.rej]]) button.ariaPressed = String(Boolean(isOn));
      setDisabled(buttons.get("seed"), !item || item.seed === null);
    },
  };
}

/** Return the address under which the page's own server gives a file, if the page says which folder it serves. */
function servedAddress(paths) {
  let config = {};
  try {
    config = JSON.parse(document.getElementById("jupyter-config-data")?.textContent || "{}");
  } catch {
    return "";
  }
  const served = servedRoot(config);
  if (!served || !config.baseUrl) return ""; // Voilà says nothing
  const root = served.replace(/\/*$/, "/");
  const path = paths.find((one) => one.startsWith(root));
  if (!path) return "";
  const parts = path.slice(root.length).split("/");
  if (parts.some((part) => part.startsWith("."))) return ""; // Jupyter serves no dot-folder
  return `${config.baseUrl}files/${parts.map(encodeURIComponent).join("/")}`;
}

/** Return the folder that the server serves; Notebook 7 says it only as an address. */
function servedRoot(config) {
  if (config.serverRoot) return String(config.serverRoot);
  try {
    return decodeURIComponent(new URL(config.rootUri).pathname);
  } catch {
    return "";
  }
}

/**
 * Open a tab for a picture that is still to come: a browser allows one with the click, none later. Return what takes
 * the tab to the picture, or null where the browser allows no tab.
 */
function openTab(name) {
  const tab = window.open("", "_blank");
  if (!tab) return null;
  tab.opener = null;
  tab.document.title = name;
  tab.document.body.textContent = "The picture comes as soon as the kernel is free.";
  return (url) => {
    if (tab.closed) return;
    if (url) tab.location.replace(url);
    else tab.document.body.textContent = "The file is missing.";
  };
}

/** Say on a button what became of a click, for a moment. */
function answerOn(button, text, signal) {
  const before = button.dataset.text ?? button.textContent;
  button.dataset.text = before;
  setText(button, text);
  const timer = setTimeout(() => {
    setText(button, button.dataset.text);
    delete button.dataset.text;
  }, 1600);
  signal.addEventListener("abort", () => clearTimeout(timer));
}
