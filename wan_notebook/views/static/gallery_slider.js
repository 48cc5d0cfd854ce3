// Before and after, one over the other, with a line to drag; a range field lies over both, so that keys move it too.

/** Make the slider; `set(before, after)` takes addresses of pictures, `hide()` puts it away. */
function makeSlider() {
  const root = make("div", "wan-slider");
  root.hidden = true;
  const after = make("img", "wan-slider-after");
  const before = make("img", "wan-slider-before");
  const line = make("div", "wan-slider-line");
  const range = make("input", "wan-slider-range");
  const names = [make("span", "wan-slider-name", ""), make("span", "wan-slider-name wan-slider-right", "")];
  for (const image of [before, after]) {
    image.alt = "";
    image.draggable = false;
  }
  range.type = "range";
  range.min = "0";
  range.max = "100";
  range.step = "0.5";
  range.value = "50";
  range.ariaLabel = "Before and after: how much of the first picture is shown";
  root.append(after, before, line, ...names, range);

  function place() {
    root.style.setProperty("--wan-at", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${Math.round(range.value)} percent of the first picture`);
  }

  range.addEventListener("input", place);
  place();

  return {
    root,
    range,
    set(first, second, firstName, secondName) {
      before.src = first;
      after.src = second;
      setText(names[0], firstName);
      setText(names[1], secondName);
      root.hidden = false;
    },
    hide() {
      root.hidden = true;
      before.removeAttribute("src");
      after.removeAttribute("src");
    },
  };
}
