// The size: tiers, the recommended ratios drawn as shapes, or free pixels. Which ones a mode allows is the kernel's to say.

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
  const root = makeBox("div", "wan-field wan-size", make("div", "wan-label", "Size"), group, free, note);
  let isFree = false;

  function makeChoice(choice) {
    const options = { className: "wan-size-choice", label: choice.title };
    const button = makeButton("", () => choose(choice.value), options);
    button.role = "radio";
    button.dataset.value = choice.value;
    if (choice.width) button.append(makeShape(choice.width, choice.height));
    button.append(make("span", "", choice.name));
    setDisabled(button, choice.disabled);
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
    const { sizes = [], problems = {}, expected_size: expected = "" } = link.get("check");
    const value = link.get("values").size ?? "";
    const key = JSON.stringify(sizes);
    if (group.dataset.key !== key) {
      group.dataset.key = key;
      const other = { value: "free", name: "Free…", title: "free size in pixels" };
      group.replaceChildren(...[...sizes, other].map(makeChoice));
    }
    if (value) isFree = sizes.length > 0 && !sizes.some((choice) => choice.value === value);
    for (const button of group.children) {
      const isOn = button.dataset.value === (isFree ? "free" : value);
      button.ariaChecked = String(isOn);
      button.tabIndex = isOn ? 0 : -1;
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
  link.follow(["check", "values"], update);
  return root;
}
