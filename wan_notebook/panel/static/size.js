// The size: tiers, which a model may have in some modes only, the recommended ratios drawn as shapes, or free pixels.

const SHAPE_PX = 24;

/** Draw a proportion as an outline that fits a square. */
function makeShape(width, height) {
  const shape = make("span", "wan-shape");
  const scale = SHAPE_PX / Math.max(width, height);
  const [across, down] = [width, height].map((side) => Math.max(6, Math.round(side * scale)));
  shape.style.cssText = `width:${across}px;height:${down}px;margin:${(SHAPE_PX - down) / 2}px 0`;
  shape.ariaHidden = "true";
  return shape;
}

function makeSize(link) {
  const group = make("div", "wan-size-group");
  group.role = "radiogroup";
  group.ariaLabel = "Size";
  const pixels = ["Width", "Height"].map((name) => {
    const field = makeInput("number", `${name} in px`, { placeholder: name.toLowerCase() });
    field.min = "1";
    field.step = "16";
    field.addEventListener("input", sendPixels);
    return field;
  });
  const free = makeBox("div", "wan-row wan-size-free", pixels[0], "×", pixels[1], "px");
  const note = makeSaid("wan-note");
  const root = makeBox("div", "wan-size", make("div", "wan-label", "Size"), group, free, note);
  let isFree = false;

  function makeChoice([value, pixels]) {
    const titles = { "": "left to the service", free: "free size in pixels" };
    const modes = Object.entries(modelOf(link).modes);
    const some = modes.filter(([, has]) => has.includes(value)).map(([mode]) => (mode === "edit" ? "edits" : mode));
    const tier = some.length < modes.length ? `${value}, in ${some.join(" and ")} only` : value;
    const label = pixels ? `${value}, ${pixels.join("×")} pixels` : titles[value] ?? tier;
    const button = makeButton("", () => choose(value), { className: "wan-size-choice", label });
    button.role = "radio";
    button.dataset.value = value;
    button.toggleAttribute("data-tier", !pixels && !(value in titles));
    if (pixels) button.append(makeShape(...pixels));
    button.append(make("span", "", { "": "Auto", free: "Free…" }[value] ?? value));
    return button;
  }

  function choose(value) {
    isFree = value === "free";
    if (isFree) sendPixels();
    else link.fill({ size: value });
    update();
    if (isFree) pixels[0].focus();
  }

  function sendPixels() {
    const [width, height] = pixels.map((field) => Number(field.value));
    link.fill({ size: width && height ? `${width}x${height}` : "" });
  }

  function update() {
    const { problems = {}, expected_size: expected = "" } = link.get("check");
    const { size: value = "" } = link.get("values");
    const { model, sizes, acts } = modelOf(link);
    const isNew = group.dataset.model !== model || group.children.length < 3;
    if (isNew) group.replaceChildren(...[["", null], ...Object.entries(sizes), ["free", null]].map(makeChoice));
    group.dataset.model = model;
    if (value) isFree = !(value in sizes);
    for (const button of group.children) {
      const isOn = button.dataset.value === (isFree ? "free" : value);
      button.ariaChecked = String(isOn);
      button.tabIndex = isOn ? 0 : -1;
      setDisabled(button, button.hasAttribute("data-tier") && !acts.includes(button.dataset.value));
    }
    free.hidden = !isFree;
    const given = /^(\d+)\D+(\d+)$/.exec(value);
    const wrong = problems.size ?? [];
    pixels.forEach((field, i) => {
      if (isFree && given && !pixels.includes(document.activeElement)) field.value = given[i + 1];
      field.ariaInvalid = String(wrong.length > 0);
    });
    root.toggleAttribute("data-wrong", wrong.length > 0);
    setLines(note, wrong.length ? wrong : [expected].filter(Boolean));
  }

  rove(group, ".wan-size-choice", { onMove: (button) => button.dataset.value !== "free" && button.click() });
  link.follow(["check", "values", "fixed"], update);
  return root;
}
