// The record: the %%wan cell that asks what the panel asks, with a button that copies it.

function render({ model, el, signal }) {
  const root = make("section", "wan-cell");
  root.ariaLabel = "The equivalent cell";
  const head = make("div", "wan-cell-head");
  const title = make("span", "wan-label", "Equivalent cell");
  const copy = makeButton("Copy cell", onCopy);
  const text = make("pre", "wan-cell-text");
  text.dir = "ltr";
  text.tabIndex = 0; // it scrolls: the keyboard must reach it
  const hint = make("div", "wan-cell-hint");
  const said = makeSaid();
  head.append(title, copy);
  root.append(head, text, hint, said);
  el.append(root);
  let timer = 0;

  function update() {
    setText(text, model.get("text"));
    setLines(hint, [model.get("hint")].filter(Boolean));
  }

  async function onCopy() {
    const worked = await copyText(model.get("text"));
    const answer = worked ? "Copied" : "Not allowed: select the text instead";
    setText(copy, answer);
    setText(said, worked ? "The cell is on the clipboard." : answer);
    clearTimeout(timer);
    timer = setTimeout(() => setText(copy, "Copy cell"), 1800);
  }

  listen(model, signal, "change", update);
  signal.addEventListener("abort", () => clearTimeout(timer));
  update();
}

export default { render };
