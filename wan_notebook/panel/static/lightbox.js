// The full view: the small copy at once, the whole picture when it has come, zoom to true pixels, and comparison with an
// input or another picture of the gallery.

const ZOOMS = [0.25, 0.5, 1, 2, 4, 8];
const WHEEL_MS = 150; // a trackpad turns in many small steps
const PANS = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };

/** Make the stage: a picture that fits, or is shown at a zoom relative to true pixels and moved with the pointer. */
function makeStage() {
  const image = make("img", "wan-stage-image");
  image.draggable = false;
  const root = makeBox("div", "wan-stage", image);
  let zoom = 0; // 0: fits
  let offset = [0, 0];
  let grip = null;
  const sides = () => [image.naturalWidth || 1, image.naturalHeight || 1].map((side) => side / devicePixelRatio);

  /** Return how large the picture is shown when it fits. */
  function fit() {
    const [width, height] = sides();
    return Math.min(root.clientWidth / width, root.clientHeight / height) || 1;
  }

  /** Move the picture; its edge does not pass the middle. */
  function move(x, y) {
    const half = sides().map((side) => (side * zoom) / 2);
    offset = [offset[0] + x, offset[1] + y].map((o, i) => Math.max(-half[i], Math.min(half[i], o)));
    root.toggleAttribute("data-zoomed", zoom > 0);
    const place = `transform:translate(calc(-50% + ${offset[0]}px), calc(-50% + ${offset[1]}px))`;
    const rendering = `image-rendering:${zoom >= 2 ? "pixelated" : "auto"}`;
    image.style.cssText = zoom ? `width:${sides()[0] * zoom}px;${rendering};${place}` : "";
  }

  /** Zoom; what lies under `anchor`, measured from the middle, stays there. */
  function set(next, anchor = [0, 0]) {
    const ratio = next / (zoom || fit());
    offset = next ? offset.map((o, i) => anchor[i] - (anchor[i] - o) * ratio) : [0, 0];
    zoom = next;
    move(0, 0);
  }

  root.addEventListener("pointerdown", (event) => {
    if (!zoom || event.button) return;
    grip = [event.clientX, event.clientY];
    root.setPointerCapture(event.pointerId);
  });
  root.addEventListener("pointermove", ({ clientX, clientY }) => {
    if (!grip) return;
    move(clientX - grip[0], clientY - grip[1]);
    grip = [clientX, clientY];
  });
  for (const name of ["pointerup", "pointercancel"]) root.addEventListener(name, () => (grip = null));

  return {
    root,
    image,
    set,
    pan: move,
    zoom: () => zoom,
    anchorOf({ clientX, clientY }) {
      const box = root.getBoundingClientRect();
      return [clientX - box.x - box.width / 2, clientY - box.y - box.height / 2];
    },
    step(direction, anchor) {
      const now = zoom || fit();
      const next = direction > 0 ? ZOOMS.find((z) => z > now * 1.01) : ZOOMS.findLast((z) => z < now * 0.99);
      if (next) set(next, anchor);
    },
  };
}

/** Make the slider: before over after, up to a line to drag; a range field lies over both, so that keys move it too. */
function makeSlider() {
  const after = make("img", "wan-slider-after");
  const before = make("img", "wan-slider-before");
  const names = ["wan-badge", "wan-badge wan-slider-right"].map((className) => make("span", `${className} wan-cut`));
  const label = "Before and after: how much of the first picture is shown";
  const range = makeInput("range", label, { className: "wan-slider-range" });
  range.step = "0.5";
  const root = makeBox("div", "wan-slider", after, before, make("div", "wan-slider-line"), ...names, range);
  root.hidden = true;
  const place = () => root.style.setProperty("--wan-at", `${range.value}%`);
  range.addEventListener("input", place);
  place();
  return {
    root,
    show(firstUrl, secondUrl, firstName, secondName) {
      [before.src, after.src] = [firstUrl, secondUrl];
      setText(names[0], firstName);
      setText(names[1], secondName);
      root.hidden = false;
    },
  };
}

/** Make the full view. `host` knows the gallery: find, neighbour, position, others, details, act, select, closed. */
function makeLightbox(link, pictures, host) {
  const title = make("bdi", "wan-light-title wan-cut");
  const count = make("span", "wan-light-count wan-muted");
  const stage = makeStage();
  const slider = makeSlider();
  const waiting = make("div", "wan-badge wan-light-wait", "waiting for the kernel…");
  const zoomed = make("span", "wan-light-zoom wan-muted");
  const facts = make("div", "wan-cut wan-muted");
  const prompt = make("div", "wan-light-prompt");
  prompt.tabIndex = 0;
  const actions = makeActions(host.act);
  const stepper = (text, by, label, className) => makeButton(text, () => step(by), { className, label });
  const before = stepper("‹", -1, "Previous picture (←)", "wan-light-step");
  const after = stepper("›", 1, "Next picture (→)", "wan-light-step wan-light-next");
  const strip = makeStrip(pictures, "Compare with", compare);
  const compareTitle = "Lay this picture over one of its inputs, or over another picture";
  const picking = makeToggle("Compare with…", compareTitle, (isOn) => {
    strip.hidden = !isOn;
    compare("");
  });
  const zooms = [["Fit", 0, "Fit (0)"], ["−", "-", "Smaller (−)"], ["100 %", 1, "True pixels (1)"], ["+", "+", "Larger (+)"]];
  const zoomButtons = zooms.map(([text, to, label]) => makeButton(text, () => zoom(to), { label }));
  const close = makeButton("✕", () => dialog.close(), { className: "wan-plain", label: "Close (Esc)" });
  const head = makeBox("div", "wan-row wan-light-head", title, count, close);
  const view = makeBox("div", "wan-light-view", stage.root, slider.root, waiting, before, after);
  const tools = makeBox("div", "wan-row", ...zoomButtons, zoomed, picking);
  const dialog = makeBox("dialog", "wan-light", head, view, strip, facts, tools, actions.root, prompt);
  dialog.ariaLabel = "Picture";
  let item = null;
  let other = ""; // the key of the picture that is compared with
  let chosen = []; // the pictures that were selected to be compared with
  let wheeledMs = 0;
  const showWaiting = afterPause(() => (waiting.hidden = Boolean(pictures.full(item.id))), 700, link.signal);

  function zoom(to, anchor) {
    compare("");
    if (to === "+" || to === "-") stage.step(to === "+" ? 1 : -1, anchor);
    else stage.set(to, anchor);
    setText(zoomed, stage.zoom() ? `${stage.zoom() * 100} %` : "fits");
  }

  function step(by) {
    const next = host.neighbour(item, by);
    if (next) show(next);
  }

  function show(next, compareWith = []) {
    item = next;
    chosen = compareWith;
    host.select([item.id]);
    strip.hidden = !chosen.length;
    picking.ariaPressed = String(!strip.hidden);
    zoom(0);
    setText(title, item.label);
    stage.image.alt = `${item.label}, ${item.caption}`;
    stage.image.src = pictures.full(item.id) || pictures.thumb(item.id);
    waiting.hidden = true;
    showWaiting();
    pictures.want("full", item.id, refresh);
    if (!dialog.open) dialog.showModal();
    if (chosen.length) compare(chosen[0].id);
    refresh();
  }

  /** Return what the picture can be compared with: its inputs, and those selected or its neighbours in the gallery. */
  function choices() {
    const inputs = (host.details(item.id)?.inputs ?? []).map(({ id, label }) => [id, `input: ${label}`]);
    const others = (chosen.length ? chosen : host.others(item)).map(({ id, caption, expression }) => [id, caption || expression]);
    return [...inputs, ...others].map(([id, label]) => ({ id, label, key: id }));
  }

  /** Lay the picture over another one, by its key; an empty key ends that. */
  function compare(key) {
    other = key;
    slider.root.hidden = true;
    if (key) pictures.want("full", key, refresh);
    else if (item) refresh();
  }

  /** Something came from the kernel, or the gallery changed. */
  function refresh() {
    if (!item || !dialog.open) return;
    item = host.find(item.id) ?? item;
    const whole = pictures.full(item.id);
    if (whole && stage.image.src !== whole) stage.image.src = whole;
    if (whole) waiting.hidden = true;
    const { prompt: text = item.label, negative = "" } = host.details(item.id) ?? {};
    setText(prompt, negative ? `${text}\nNegative prompt: ${negative}` : text);
    setFacts(facts, item.facts);
    actions.set([item]);
    setText(count, host.position(item));
    setDisabled(before, !host.neighbour(item, -1));
    setDisabled(after, !host.neighbour(item, 1));
    if (!strip.hidden) strip.update(choices(), [other], "There is no other picture.");
    if (!other || !pictures.full(other)) return;
    const label = choices().find((one) => one.id === other)?.label ?? "before";
    const names = [label, item.caption || item.expression];
    const prompts = [host.find(other)?.label ?? label, item.label]; // where the seeds are one, these differ
    slider.show(pictures.full(other), whole || pictures.thumb(item.id), ...(names[0] === names[1] ? prompts : names));
  }

  const keys = {
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    0: () => zoom(0),
    1: () => zoom(1),
    "+": () => zoom("+"),
    "=": () => zoom("+"),
    "-": () => zoom("-"),
    s: () => host.act("star", [item]),
    x: () => host.act("reject", [item]),
  };
  dialog.addEventListener("keydown", (event) => {
    const isTaken = event.altKey || event.ctrlKey || event.metaKey || event.target.tagName === "INPUT" || event.defaultPrevented;
    if (isTaken || !(keys[event.key] || (PANS[event.key] && event.shiftKey))) return;
    if (event.shiftKey && PANS[event.key]) stage.zoom() && stage.pan(...PANS[event.key]);
    else keys[event.key]();
    event.preventDefault();
    event.stopPropagation();
  });
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.timeStamp - wheeledMs < WHEEL_MS || !slider.root.hidden) return;
    wheeledMs = event.timeStamp;
    zoom(event.deltaY < 0 ? "+" : "-", stage.anchorOf(event));
  }, { passive: false });
  stage.root.addEventListener("dblclick", (event) => zoom(stage.zoom() ? 0 : 1, stage.anchorOf(event)));
  dialog.addEventListener("close", () => host.closed(item));
  return { root: dialog, show, refresh, close: () => dialog.close() };
}
