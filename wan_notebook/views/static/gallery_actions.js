// What can be done with a picture: the same buttons below the toolbar and in the full view.

const ACTIONS = [
  ["star", "☆ Star", "Star this picture (S)"],
  ["reject", "Reject", "Reject this picture: it is hidden, and stays in the history (X)"],
  ["use", "Use as input", "Add it to the pictures of the next request"],
  ["edit", "Edit this", "Make it the only picture, and write what to change"],
  ["recall", "Recall", "Fill the form with what made it; nothing runs"],
  ["newseed", "New seed", "Fill the form with what made it, without the seed"],
  ["seed", "Use its seed", "Take over its seed only"],
  ["copy", "Copy as cell", "Put the %%wan cell that made it on the clipboard"],
  ["download", "Download", "Save the file, with its recipe inside"],
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
  for (const [what, text, title] of ACTIONS) {
    const button = makeButton(text, () => item && act(what, item, button), { className: "wan-small", title });
    buttons.set(what, button);
    bar.append(button);
  }

  return {
    bar,
    buttons,
    set(next) {
      item = next;
      for (const button of buttons.values()) setDisabled(button, !item);
      const star = buttons.get("star");
      setText(star, item?.star ? "★ Starred" : "☆ Star");
      star.ariaPressed = String(Boolean(item?.star));
      buttons.get("reject").ariaPressed = String(Boolean(item?.rej));
      setText(buttons.get("reject"), item?.rej ? "Rejected" : "Reject");
      setDisabled(buttons.get("seed"), !item || item.seed === null);
      buttons.get("open").hidden = false;
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
  const root = String(config.serverRoot ?? "").replace(/\/+$/, "");
  const path = root && paths.find((one) => one.startsWith(`${root}/`));
  if (!path || !config.baseUrl) return "";
  return `${config.baseUrl}files/${path.slice(root.length + 1).split("/").map(encodeURIComponent).join("/")}`;
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
