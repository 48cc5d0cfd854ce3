// The form: fields with what is wrong beside them, the button with its price, and the equivalent cell.

/** Return what the chosen model has: sizes, limits, modes; and the names of what acts in the form's own mode. */
function modelOf(link) {
  const { model, interleave, sequential, images } = link.get("values");
  const { sizes = {}, modes = {}, limits = {} } = link.get("fixed").models?.[model] ?? {};
  const wanted = interleave ? "illustrated text" : sequential ? "picture set" : "";
  const mode = wanted in modes ? wanted : images.length ? "edit" : "text to image";
  return { model, sizes, modes, limits, acts: modes[mode] ?? [] };
}

/** Make a field: its label, its control, and a line for what is wrong, a hint and the length of the text. */
function makeField(link, name, label, type, { placeholder = "", beside = [] } = {}) {
  const control = makeInput(type, label, { placeholder });
  control.rows = name === "prompt" ? 5 : 2;
  const title = make("label", "wan-label", label);
  const note = makeSaid("wan-note");
  const count = make("span", "wan-count");
  control.id = `wan-${name}-${crypto.randomUUID()}`;
  title.htmlFor = control.id;
  note.id = `${control.id}-note`;
  control.setAttribute("aria-describedby", note.id);
  const row = makeBox("div", "wan-row", control, ...beside);
  const root = makeBox("div", `wan-f-${name}`, title, row, makeBox("div", "wan-note-line", note, count));
  control.addEventListener("input", () => link.fill({ [name]: control.value }));
  link.follow(["check", "values", "fixed"], () => {
    const { problems = {}, hints = {} } = link.get("check");
    const value = String(link.get("values")[name] ?? "");
    const { models = {}, services = [] } = link.get("fixed");
    const { limits, modes } = modelOf(link);
    if (name === "provider") setOptions(control, [["", "as set"], ...services.map((one) => [one, one])]);
    if (name === "model") setOptions(control, Object.keys(models).map((one) => [one, one]));
    if (name === "negative_prompt") root.hidden = !value && !Object.values(modes).flat().includes(name);
    if (control.value !== value) control.value = value;
    const wrong = problems[name] ?? [];
    root.toggleAttribute("data-wrong", wrong.length > 0);
    control.ariaInvalid = String(wrong.length > 0);
    setLines(note, wrong.length ? wrong : [hints[name]].filter(Boolean));
    if (!limits[name]) return;
    const length = [...value.trim()].length; // as the service counts: by code points
    setText(count, `${length.toLocaleString("en")} / ${limits[name].toLocaleString("en")}`);
    count.toggleAttribute("data-over", length > limits[name]);
  });
  return root;
}

function makeCheckbox(link, name, text) {
  const input = make("input");
  input.type = "checkbox";
  input.addEventListener("change", () => link.fill({ [name]: input.checked }));
  const root = makeBox("label", "wan-check", input, text);
  link.follow(["values", "fixed"], () => {
    const { modes, acts } = modelOf(link);
    const mode = { interleave: "illustrated text", sequential: "picture set" }[name];
    input.checked = Boolean(link.get("values")[name]);
    if (name === "watermark") return;
    root.hidden = mode ? !(mode in modes) : !Object.values(modes).flat().includes(name);
    input.disabled = !mode && !acts.includes(name);
  });
  return root;
}

/** Make a button that takes over a seed; `seedOf` gives it, null if there is none. */
function makeSeedButton(link, text, title, seedOf) {
  const button = makeButton(text, () => {
    const seed = seedOf();
    if (seed === null) answerOn(button, "None");
    else link.fill({ seed: String(seed) });
  }, { title });
  return button;
}

function makeForm(link, picker, seedOf) {
  const beside = [
    makeSeedButton(link, "New", "Empty the field: every picture gets a new seed", () => ""),
    makeSeedButton(link, "Newest", "Take the seed of the newest picture in the gallery", () => seedOf("newest")),
    makeSeedButton(link, "Selected", "Take the seed of the selected picture", () => seedOf("selected")),
  ];
  const checks = [
    ...[["interleave", "Illustrated text"], ["sequential", "Picture set"], ["prompt_extend", "Rewrite prompt"]],
    ...[["thinking", "Thinking"], ["watermark", "Watermark"]],
  ];
  const field = (...args) => makeField(link, ...args);
  const hint = "What the picture shows. {names} of variables are filled in.";
  const prompt = field("prompt", "Prompt", "textarea", { placeholder: hint });
  const preview = make("div", "wan-note-preview");
  prompt.append(preview);
  const n = field("n", "How many", "number");
  const most = field("max_images", "How many at most", "number");
  const names = [field("tags", "Tags", "text", { placeholder: "one, two" }), field("name", "Variable", "text")];
  link.follow(["check", "values", "fixed"], () => {
    const { preview: text = "" } = link.get("check");
    preview.hidden = !text;
    setText(preview, `Sent as: ${text}`);
    n.hidden = modelOf(link).acts.includes("max_images");
    most.hidden = !n.hidden;
  });
  return makeBox(
    "div",
    "wan-form",
    prompt,
    picker,
    field("model", "Model", "select"),
    makeSize(link),
    makeBox("div", "wan-pair", n, most, field("provider", "Service", "select")),
    field("seed", "Seed", "text", { placeholder: "new each time", beside }),
    makeBox("div", "wan-row wan-checks", ...checks.map(([name, text]) => makeCheckbox(link, name, text))),
    field("negative_prompt", "Negative prompt", "textarea", { placeholder: "What to avoid" }),
    makeBox("div", "wan-pair", ...names),
  );
}

/** Make the button that spends money: a click shows at once, and carries the terms that were seen. */
function makeRun(link) {
  const button = makeButton("", click, { className: "wan-run-button" });
  const detail = makeSaid("wan-run-detail wan-muted");
  const lines = make("div", "wan-bad");
  lines.role = "alert";
  let clicked = 0; // the number of the click that the kernel has not answered yet

  function update() {
    const { label = "Generate", detail: text = "", problems = {}, is_ready: isReady } = link.get("check");
    const { running = 0 } = link.get("jobs");
    const isWaiting = clicked > link.get("answered");
    const facts = [text, running ? `${running} job${running === 1 ? "" : "s"} running` : ""].filter(Boolean);
    setText(button, isWaiting ? "Queued…" : label);
    setDisabled(button, isWaiting || !isReady);
    setText(detail, isWaiting ? "sent to the kernel; it starts as soon as the kernel is free" : facts.join(" · "));
    setLines(lines, isWaiting ? [] : [...(problems[""] ?? []), ...link.get("notice")]);
  }

  function click() {
    clicked = Math.max(clicked, link.get("answered")) + 1;
    update();
    link.send("form", "generate", { click: clicked, terms: link.get("check").terms, values: link.get("values") });
  }

  link.follow(["check", "answered", "jobs", "notice"], update);
  return { root: makeBox("div", "wan-go", button, detail, lines), press: () => button.click() };
}

/** Make the record: the cell that asks what the panel asks, with a button that copies it. */
function makeCell(link) {
  const text = make("pre", "wan-cell-text");
  text.dir = "ltr";
  text.tabIndex = 0; // it scrolls: the keyboard must reach it
  const hint = make("div", "wan-cell-hint wan-muted");
  const copy = makeButton("Copy cell", () => copyText(link.get("check").cell, copy));
  const head = makeBox("div", "wan-row wan-cell-head", make("span", "wan-label", "Equivalent cell"), copy);
  const root = makeBox("section", "wan-cell wan-frame", head, text, hint);
  root.ariaLabel = "The equivalent cell";
  link.follow(["check"], () => {
    setText(text, link.get("check").cell ?? "");
    setLines(hint, link.get("check").notes ?? []);
  });
  return root;
}
