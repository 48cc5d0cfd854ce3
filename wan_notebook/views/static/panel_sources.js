// Where pictures come from: the notebook's variables, earlier results, files (chosen, dropped or pasted), URLs and paths.

const PART_BYTES = 2_000_000; // a notebook server takes messages of up to 10 MB
const FILE_MAX_BYTES = 200_000_000;
const TABS = [
  ["variables", "Variables", "No variable holds a picture yet: open one in a cell, and it appears here."],
  ["results", "Results", "No picture was made yet."],
];

/** Send a file in pieces; the kernel puts them together. */
async function sendFile(model, file, how) {
  const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`;
  const parts = Math.max(1, Math.ceil(file.size / PART_BYTES));
  for (let part = 0; part < parts; part += 1) {
    const bytes = await file.slice(part * PART_BYTES, (part + 1) * PART_BYTES).arrayBuffer();
    model.send({ kind: "upload", id, name: file.name, part, parts, how }, undefined, [bytes]);
  }
}

/** Thumbnails by key, asked for together and kept as long as the view. */
function makeThumbs(model, signal) {
  const urls = makeUrls(signal);
  const waiting = new Map();
  const ask = makeBatch((keys) => model.send({ kind: "thumbs", keys }));
  listen(model, signal, "msg:custom", (message, buffers) => {
    if (message?.kind !== "thumbs") return;
    message.keys.forEach((key, i) => {
      const url = urls.set(key, buffers[i], "image/webp");
      for (const image of waiting.get(key) ?? []) if (url) image.src = url;
      waiting.delete(key);
    });
  });
  return (image, key) => {
    if (urls.has(key)) {
      if (urls.get(key)) image.src = urls.get(key);
      return;
    }
    if (!waiting.has(key)) waiting.set(key, []);
    waiting.get(key).push(image);
    ask(key);
  };
}

function render({ model, el, signal }) {
  const root = make("section", "wan-sources");
  root.ariaLabel = "Input pictures";
  const thumbOf = makeThumbs(model, signal);
  const chips = makeChips(model, { thumbOf, onChange: choose });
  const note = make("div", "wan-note-text");
  note.role = "status";
  const offer = make("div", "wan-offer");
  offer.role = "status";
  const tabs = make("div", "wan-tabs");
  tabs.role = "tablist";
  tabs.ariaLabel = "Where to choose from";
  const strip = make("div", "wan-strip");
  strip.role = "tabpanel";
  const file = make("input");
  file.type = "file";
  file.accept = "image/*";
  file.multiple = true;
  file.hidden = true;
  const place = make("input", "wan-place");
  place.type = "text";
  place.placeholder = "URL or path";
  place.ariaLabel = "URL or path of a picture";
  place.spellcheck = false;
  const tools = make("div", "wan-source-tools");
  const upload = makeButton("Upload…", () => file.click(), { className: "wan-small", title: "Choose files; dropping and pasting work too" });
  const add = makeButton("Add", addPlace, { className: "wan-small", label: "Add this URL or path" });
  let tab = "variables";
  let uploading = 0;

  TABS.forEach(([name, text]) => {
    const button = makeButton(text, () => ((tab = name), update()), { className: "wan-tab" });
    button.role = "tab";
    button.dataset.name = name;
    tabs.append(button);
  });
  tools.append(tabs, upload, place, add, file);
  root.append(make("div", "wan-label", "Input pictures"), chips.list, note, offer, tools, strip);
  el.append(root);

  function choose(next) {
    model.set("chosen", next);
    model.save_changes();
    update();
  }

  function addPlace() {
    const text = place.value.trim();
    if (!text) return place.focus();
    model.send({ kind: "place", text });
    place.value = "";
  }

  function drawStrip() {
    const choices = model.get(tab);
    const key = JSON.stringify([tab, choices, model.get("chosen")]);
    if (strip.dataset.key === key) return;
    strip.dataset.key = key;
    const scroll = strip.scrollLeft;
    const focused = strip.contains(document.activeElement) ? document.activeElement.dataset.expression : null;
    const [, label, empty] = TABS.find(([name]) => name === tab);
    strip.ariaLabel = label;
    strip.replaceChildren(...(choices.length ? choices.map(makeChoice) : [make("div", "wan-strip-empty", empty)]));
    strip.scrollLeft = scroll;
    if (focused !== null) [...strip.children].find((child) => child.dataset.expression === focused)?.focus();
  }

  function makeChoice(choice, at) {
    const isOn = model.get("chosen").includes(choice.expression);
    const button = makeButton("", () => toggle(choice.expression), { className: "wan-choice", title: `${choice.label}${choice.size ? ` · ${choice.size}` : ""}` });
    button.dataset.expression = choice.expression;
    button.ariaPressed = String(isOn);
    button.ariaLabel = `${choice.label}${choice.size ? `, ${choice.size}` : ""}`;
    button.tabIndex = at ? -1 : 0;
    const image = make("img");
    image.alt = "";
    thumbOf(image, choice.key);
    button.append(image, make("bdi", "wan-choice-name", choice.label));
    return button;
  }

  function toggle(expression) {
    const now = model.get("chosen");
    choose(now.includes(expression) ? now.filter((other) => other !== expression) : [...now, expression]);
  }

  function drawOffer() {
    const found = model.get("offer");
    offer.hidden = !found.id;
    if (!found.id || offer.dataset.id === found.id) return;
    offer.dataset.id = found.id;
    const text = make("div");
    text.append(make("b", "", "This picture carries its recipe: "), make("bdi", "", found.text));
    const answer = (what) => () => {
      offer.hidden = true;
      model.send({ kind: "offer", id: found.id, what });
    };
    const bar = make("div", "wan-bar");
    bar.append(
      makeButton("Recall its settings", answer("recall"), { className: "wan-small" }),
      makeButton("Use as picture", answer("use"), { className: "wan-small" }),
      makeButton("Leave it", answer("leave"), { className: "wan-small" }),
    );
    offer.replaceChildren(text, bar);
  }

  function update() {
    chips.update();
    drawStrip();
    drawOffer();
    for (const button of tabs.children) {
      button.ariaSelected = String(button.dataset.name === tab);
      button.tabIndex = button.dataset.name === tab ? 0 : -1;
    }
    const problems = model.get("problems");
    root.toggleAttribute("data-wrong", problems.length > 0);
    setLines(note, [...(uploading ? ["Uploading…"] : []), ...(problems.length ? problems : [model.get("note")])].filter(Boolean));
  }

  async function takeFiles(files, how) {
    const pictures = [...files].filter((one) => one.size <= FILE_MAX_BYTES);
    uploading += 1;
    update();
    try {
      for (const one of pictures) await sendFile(model, one, how);
    } finally {
      uploading -= 1;
      update();
    }
  }

  file.addEventListener("change", () => {
    takeFiles(file.files, "chosen");
    file.value = "";
  });
  place.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) addPlace();
  });
  rove(strip, ".wan-choice");
  rove(tabs, ".wan-tab", { onMove: (button) => button.click() });
  listen(model, signal, "change", update);
  watchPanel(el, signal, takeFiles);
  update();
}

/** Take files that are dropped or pasted anywhere on the panel; what is pasted into a text field as text stays there. */
function watchPanel(el, signal, takeFiles) {
  const inPanel = (event) => {
    const panel = el.closest(".wan-panel") ?? el;
    return panel.contains(event.target) ? panel : null;
  };
  const hasFiles = (data) => [...(data?.types ?? [])].includes("Files");
  const mark = (panel, isOn) => panel?.toggleAttribute("data-dropping", isOn);
  document.addEventListener("dragover", (event) => {
    const panel = inPanel(event);
    if (!panel || !hasFiles(event.dataTransfer)) return mark(el.closest(".wan-panel"), false);
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = "copy";
    return mark(panel, true);
  }, { signal, capture: true });
  document.addEventListener("dragleave", (event) => !event.relatedTarget && mark(el.closest(".wan-panel"), false), { signal });
  document.addEventListener("drop", (event) => {
    const panel = inPanel(event);
    mark(el.closest(".wan-panel"), false);
    if (!panel || !hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    event.stopPropagation();
    takeFiles(event.dataTransfer.files, "dropped");
  }, { signal, capture: true });
  document.addEventListener("paste", (event) => {
    const files = event.clipboardData?.files;
    if (!inPanel(event) || !files?.length) return;
    event.preventDefault();
    event.stopPropagation();
    takeFiles(files, "pasted");
  }, { signal, capture: true });
}

export default { render };
