// Input pictures: the chosen ones as ordered chips "image 1 … 4", and where others come from: the notebook's variables,
// files (chosen, dropped or pasted), paths and URLs; earlier results come from the gallery.

const PIECE_BYTES = 2_000_000; // a notebook server takes messages of up to 10 MB
const CHIP_TYPE = "application/x-wan-chip";
const NO_VARIABLE = "No variable holds a picture yet: open one in a cell, and it appears here.";
const NO_INPUT = "No picture: text to image. Choose one below, or drop a file here, to edit it.";

/** Make the chosen pictures: moved by dragging or by buttons, and removed. */
function makeChips(link, pictures) {
  const list = make("ol", "wan-chips");
  list.ariaLabel = "Chosen pictures, in order";
  const chosen = () => link.get("values").images ?? [];

  function change(images, focusAt, selector) {
    link.fill({ images });
    list.children[focusAt]?.querySelector(selector)?.focus();
  }

  function move(from, to, selector) {
    const next = [...chosen()];
    if (to < 0 || to >= next.length || from === to) return;
    next.splice(to, 0, ...next.splice(from, 1));
    change(next, to, selector);
  }

  function remove(at) {
    const next = chosen().toSpliced(at, 1);
    change(next, Math.min(at, next.length - 1), ".wan-chip-remove");
  }

  function makeChip(expression, at, all) {
    const facts = link.get("check").images?.[at] ?? { label: expression };
    const who = `image ${at + 1}, ${facts.label}`;
    const button = (text, className, label, onClick, isOff) => {
      const made = makeButton(text, onClick, { className: `wan-plain ${className}`, label });
      setDisabled(made, isOff);
      return made;
    };
    const mover = (text, to, className, label) => {
      return button(text, className, label, () => move(at, to, `.${className}`), to < 0 || to === all.length);
    };
    const buttons = [
      mover("‹", at - 1, "wan-chip-earlier", `Move ${who} forward`),
      mover("›", at + 1, "wan-chip-later", `Move ${who} back`),
      button("✕", "wan-chip-remove", `Remove ${who}`, () => remove(at), false),
    ];
    const chip = makeBox(
      "li",
      "wan-chip wan-frame",
      pictures.makeImage(facts.key),
      make("span", "wan-badge", `image ${at + 1}`),
      make("bdi", "wan-cut", facts.label),
      makeBox("div", "wan-row", ...buttons.slice(all.length > 1 ? 0 : 2)),
    );
    chip.title = expression;
    const isChip = (event) => event.dataTransfer.types.includes(CHIP_TYPE);
    chip.draggable = true;
    chip.addEventListener("dragstart", (event) => event.dataTransfer.setData(CHIP_TYPE, String(at)));
    chip.addEventListener("dragover", (event) => isChip(event) && event.preventDefault());
    chip.addEventListener("drop", (event) => {
      if (!isChip(event)) return;
      event.preventDefault();
      move(Number(event.dataTransfer.getData(CHIP_TYPE)), at, ".wan-chip-earlier");
    });
    return chip;
  }

  link.follow(["values", "check"], () => {
    const all = chosen();
    const key = JSON.stringify([all, link.get("check").images]);
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const [at, name] = [[...list.children].indexOf(focused?.closest("li")), focused?.classList.item(2)];
    list.replaceChildren(...(all.length ? all.map(makeChip) : [make("li", "wan-empty", NO_INPUT)]));
    if (at >= 0) list.children[Math.min(at, all.length - 1)]?.querySelector(`.${name}`)?.focus();
  });
  return list;
}

/** Make a row of pictures to choose from; `update` takes what can be chosen (id, label, key) and what is chosen. */
function makeStrip(pictures, label, onPick) {
  const strip = make("div", "wan-strip");
  strip.ariaLabel = label;
  rove(strip, ".wan-choice");

  function makeChoice({ id, label: name, key }, at) {
    const button = makeButton("", () => onPick(id), { className: "wan-choice wan-plain", label: name });
    button.dataset.expression = id;
    button.tabIndex = at ? -1 : 0;
    button.append(pictures.makeImage(key), make("bdi", "wan-cut", name));
    return button;
  }

  strip.update = (choices, chosen, empty) => {
    const key = JSON.stringify([choices, empty]);
    if (strip.dataset.key !== key) {
      strip.dataset.key = key;
      const focused = strip.contains(document.activeElement) ? document.activeElement.dataset.expression : null;
      const { scrollLeft } = strip;
      strip.replaceChildren(...(choices.length ? choices.map(makeChoice) : [make("div", "wan-empty", empty)]));
      strip.scrollLeft = scrollLeft;
      if (focused) [...strip.children].find((child) => child.dataset.expression === focused)?.focus();
    }
    for (const child of strip.children) child.ariaPressed = String(chosen.includes(child.dataset.expression));
  };
  return strip;
}

function makePicker(link, pictures) {
  const file = makeInput("file", "Pictures to upload");
  file.accept = "image/*,.json";
  file.multiple = true;
  file.hidden = true;
  const options = { className: "wan-place", placeholder: "path, URL" };
  const place = makeInput("text", "Variable, path or URL of a picture", options);
  place.spellcheck = false;
  const note = makeSaid("wan-note");
  const strip = makeStrip(pictures, "Pictures to choose from", toggle);
  let uploading = 0;
  const upload = makeButton("Upload…", () => file.click(), { title: "Choose files; dropping and pasting work too" });
  const add = makeButton("Add", addPlace, { label: "Add this picture" });
  const tools = makeBox("div", "wan-row", upload, place, add, file);
  const title = make("div", "wan-label", "Input pictures");
  const root = makeBox("section", "", title, makeChips(link, pictures), note, tools, strip);
  root.ariaLabel = "Input pictures";

  function toggle(expression) {
    const { images } = link.get("values");
    const isChosen = images.includes(expression);
    link.fill({ images: isChosen ? images.filter((other) => other !== expression) : [...images, expression] });
  }

  function addPlace() {
    if (place.value.trim()) link.send("picker", "place", { text: place.value });
    else place.focus();
    place.value = "";
  }

  function update() {
    strip.update(link.get("choices").variables ?? [], link.get("values").images ?? [], NO_VARIABLE);
    const wrong = link.get("check").problems?.images ?? [];
    root.toggleAttribute("data-wrong", wrong.length > 0);
    setLines(note, uploading ? ["Uploading…", ...wrong] : wrong);
  }

  /** Send files in pieces, which the kernel puts together; `how` is chosen, dropped or pasted. */
  async function takeFiles(files, how) {
    uploading += 1;
    update();
    for (const one of files) {
      const id = crypto.randomUUID();
      const parts = Math.max(1, Math.ceil(one.size / PIECE_BYTES));
      for (let part = 0; part < parts; part += 1) {
        const bytes = await one.slice(part * PIECE_BYTES, (part + 1) * PIECE_BYTES).arrayBuffer();
        link.send("picker", "upload", { id, name: one.name, part, parts, how }, [bytes]);
      }
    }
    uploading -= 1;
    update();
  }

  file.addEventListener("change", async () => {
    await takeFiles([...file.files], "chosen");
    file.value = "";
  });
  place.addEventListener("keydown", (event) => event.key === "Enter" && !event.ctrlKey && !event.metaKey && addPlace());
  link.follow(["choices", "values", "check"], update);
  return { root, takeFiles };
}

/** Take files that are dropped or pasted anywhere on the panel; what is pasted into a field as text stays there. */
function watchFiles(panel, signal, takeFiles) {
  const options = { signal, capture: true };
  const isOurs = ({ target, dataTransfer }) => panel.contains(target) && dataTransfer?.types.includes("Files");
  const claim = (event) => {
    event.preventDefault();
    event.stopPropagation();
  };
  document.addEventListener("dragover", (event) => {
    panel.toggleAttribute("data-dropping", isOurs(event));
    if (isOurs(event)) claim(event);
  }, options);
  const leave = ({ relatedTarget }) => relatedTarget || panel.removeAttribute("data-dropping");
  document.addEventListener("dragleave", leave, options);
  document.addEventListener("drop", (event) => {
    panel.removeAttribute("data-dropping");
    if (!isOurs(event)) return;
    claim(event);
    takeFiles([...event.dataTransfer.files], "dropped");
  }, options);
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!panel.contains(event.target) || !files.length) return;
    claim(event);
    takeFiles(files, "pasted");
  }, options);
}
