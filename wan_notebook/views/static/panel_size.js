// The size: tiers, the recommended ratios drawn as shapes, or free pixels. Which ones a mode allows is the kernel's to say.

const BOX_PX = 24;

/** Draw a proportion as an outline that fits a square. */
function shapeOf(width, height) {
  const shape = make("span", "wan-shape");
  const scale = BOX_PX / Math.max(width, height);
  shape.style.width = `${Math.max(6, Math.round(width * scale))}px`;
  shape.style.height = `${Math.max(6, Math.round(height * scale))}px`;
  const box = make("span", "wan-shape-box");
  box.append(shape);
  box.ariaHidden = "true";
  return box;
}

function render({ model, el, signal }) {
  const root = make("div", "wan-size");
  const label = make("div", "wan-label", "Size");
  label.id = `wan-size-${Math.random().toString(36).slice(2, 8)}`;
  const group = make("div", "wan-size-group");
  group.role = "radiogroup";
  group.setAttribute("aria-labelledby", label.id);
  const free = make("div", "wan-size-free");
  const [width, height] = ["width in px", "height in px"].map((name) => {
    const field = make("input");
    field.type = "number";
    field.min = "1";
    field.step = "16";
    field.ariaLabel = name;
    field.placeholder = name.split(" ")[0];
    field.addEventListener("input", onFree);
    return field;
  });
  free.append(width, make("span", "", "×"), height, make("span", "wan-muted", "px"));
  const note = make("div", "wan-note-text");
  note.role = "status";
  const foot = make("div", "wan-size-foot");
  foot.append(free, note);
  root.append(label, group, foot);
  el.append(root);
  let isFree = false;

  const choices = () => model.get("choices");
  const known = () => choices().some((choice) => choice.value === model.get("value"));

  function draw() {
    const buttons = choices().map((choice) => {
      const button = makeButton("", () => choose(choice.value), { className: "wan-size-choice", title: choice.title });
      button.role = "radio";
      button.dataset.value = choice.value;
      if (choice.width) button.append(shapeOf(choice.width, choice.height));
      button.append(make("span", "wan-size-name", choice.name));
      button.ariaLabel = choice.title;
      setDisabled(button, choice.disabled);
      return button;
    });
    const other = makeButton("", () => chooseFree(), { className: "wan-size-choice", title: "free size in pixels" });
    other.role = "radio";
    other.dataset.value = "free";
    other.append(make("span", "wan-size-name", "Free…"));
    other.ariaLabel = "free size in pixels";
    group.replaceChildren(...buttons, other);
  }

  function update() {
    const value = model.get("value");
    if (value && !known()) isFree = true;
    else if (value) isFree = false;
    const current = isFree ? "free" : value;
    for (const button of group.children) {
      const isOn = button.dataset.value === current;
      button.ariaChecked = String(isOn);
      button.tabIndex = isOn ? 0 : -1;
    }
    if (!group.querySelector("[tabindex='0']")) group.firstElementChild.tabIndex = 0;
    free.toggleAttribute("data-off", !isFree);
    const pixels = /^(\d+)\D+(\d+)$/.exec(value);
    if (isFree && pixels && document.activeElement !== width && document.activeElement !== height) {
      [width.value, height.value] = [pixels[1], pixels[2]];
    }
    for (const field of [width, height]) field.disabled = !isFree;
    const problems = model.get("problems");
    root.toggleAttribute("data-wrong", problems.length > 0);
    for (const field of [width, height]) field.ariaInvalid = String(isFree && problems.length > 0);
    const expected = model.get("expected");
    const isRounded = isFree && expected && pixels && !expected.includes(`${pixels[1]}×${pixels[2]}`);
    const said = isFree && !value ? model.get("limits") : isRounded ? `rounded to ${expected}` : expected;
    setLines(note, problems.length ? problems : [said].filter(Boolean));
    note.title = model.get("limits");
  }

  function send(value) {
    model.set("value", value);
    model.save_changes();
  }

  function choose(value) {
    isFree = false;
    send(value);
    update();
  }

  function chooseFree() {
    isFree = true;
    onFree();
    update();
    width.focus();
  }

  function onFree() {
    const both = width.value && height.value;
    send(both ? `${Number(width.value)}x${Number(height.value)}` : "");
  }

  rove(group, ".wan-size-choice", {
    onMove: (button) => button.ariaDisabled !== "true" && button.dataset.value !== "free" && button.click(),
  });
  listen(model, signal, "change:choices", () => (draw(), update()));
  listen(model, signal, "change:value change:problems change:expected change:limits", update);
  draw();
  update();
}

export default { render };
