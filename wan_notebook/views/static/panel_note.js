// The line below a stock field: what is wrong with it, how long its text is, and its {names} resolved. It ties itself to
// the field for screen readers, which stock widgets do not do.

let noteCount = 0;

/** Count as the service does: by code points. */
const codePoints = (text) => [...text].length;

function render({ model, el, signal }) {
  const id = `wan-note-${(noteCount += 1)}-${Math.random().toString(36).slice(2, 8)}`;
  const root = make("div", "wan-note");
  const line = make("div", "wan-note-line");
  const text = make("div", "wan-note-text");
  text.id = id;
  text.role = "status";
  const count = make("div", "wan-note-count");
  const preview = make("div", "wan-note-preview");
  preview.hidden = true;
  line.append(text, count);
  root.append(line, preview);
  el.append(root);
  let field = null;

  /** Find the stock field beside this note; it may be put into the page later than the note. */
  function findField() {
    if (field?.isConnected) return field;
    field = el.closest(".wan-field")?.querySelector("textarea, select, input") ?? null;
    if (!field) return null;
    field.setAttribute("aria-describedby", id);
    if (model.get("limit")) field.addEventListener("input", updateCount, { signal });
    const placeholder = model.get("placeholder");
    if (placeholder) field.placeholder = placeholder;
    updateProblems();
    return field;
  }

  function updateProblems() {
    const problems = model.get("problems");
    const isWrong = problems.length > 0 && !model.get("soft");
    root.toggleAttribute("data-wrong", isWrong);
    setLines(text, problems.length ? problems : [model.get("hint")].filter(Boolean));
    field?.setAttribute("aria-invalid", String(isWrong));
  }

  function updateCount() {
    const limit = model.get("limit");
    if (!limit) return;
    const resolved = model.get("count"); // as the kernel knows it, names resolved; the browser counts what is typed since
    const typed = field?.value ?? "";
    const number = resolved !== null && model.get("typed") === typed ? resolved : codePoints(typed.trim());
    setText(count, `${number.toLocaleString("en")} / ${limit.toLocaleString("en")}`);
    count.toggleAttribute("data-over", number > limit);
  }

  function updatePreview() {
    const pieces = model.get("pieces");
    preview.hidden = pieces.length === 0;
    const nodes = pieces.map(([kind, piece]) => {
      const node = make(kind === "unknown" ? "mark" : kind === "value" ? "ins" : "bdi", "", piece);
      if (kind === "unknown") node.title = "no such variable";
      return node;
    });
    preview.replaceChildren(...(nodes.length ? [make("span", "wan-note-lead", "Sent as: "), ...nodes] : []));
  }

  function updateAll() {
    findField();
    updateProblems();
    updateCount();
    updatePreview();
  }

  listen(model, signal, "change", updateAll);
  updateAll();
  if (!field) {
    const observer = new MutationObserver(() => findField() && (updateAll(), observer.disconnect()));
    observer.observe(document.body, { childList: true, subtree: true });
    signal.addEventListener("abort", () => observer.disconnect());
  }
}

export default { render };
