// The full view: the thumbnail at once, the whole picture when it has come, zoom to true pixels, comparison, actions.

const ZOOMS = [0.25, 0.5, 1, 2, 4, 8];
const WHEEL_PX = 60; // a trackpad turns in many small steps

/** Make the stage: a picture that fits, or is shown at a zoom relative to true pixels and moved with the pointer. */
function makeStage() {
  const root = make("div", "wan-stage");
  const image = make("img", "wan-stage-image");
  image.draggable = false;
  root.append(image);
  let zoom = 0; // 0: fits
  let offset = [0, 0];
  let grip = null;

  function place() {
    root.toggleAttribute("data-zoomed", zoom > 0);
    if (!zoom) {
      image.style.cssText = "";
      return;
    }
    const width = image.naturalWidth / devicePixelRatio;
    image.style.width = `${width * zoom}px`;
    image.style.imageRendering = zoom >= 2 ? "pixelated" : "";
    image.style.transform = `translate(calc(-50% + ${offset[0]}px), calc(-50% + ${offset[1]}px))`;
  }

  /** Zoom; what lies under `anchor`, measured from the middle, stays there. */
  function set(next, anchor = [0, 0]) {
    const ratio = next / (zoom || shown());
    offset = next ? offset.map((o, i) => anchor[i] - (anchor[i] - o) * ratio) : [0, 0];
    zoom = next;
    move(0, 0);
  }

  /** Return how large the picture is shown when it fits. */
  const shown = () => Math.min(root.clientWidth / (image.naturalWidth || 1), root.clientHeight / (image.naturalHeight || 1)) * devicePixelRatio || 1;

  /** Move the picture; its edge does not pass the middle. */
  function move(x, y) {
    const half = [image.naturalWidth, image.naturalHeight].map((side) => (side * zoom) / devicePixelRatio / 2);
    offset = [offset[0] + x, offset[1] + y].map((o, i) => Math.max(-half[i], Math.min(half[i], o)));
    place();
  }

  root.addEventListener("pointerdown", (event) => {
    if (!zoom || event.button) return;
    grip = [event.clientX - offset[0], event.clientY - offset[1]];
    root.setPointerCapture(event.pointerId);
  });
  root.addEventListener("pointermove", (event) => {
    if (!grip) return;
    move(event.clientX - grip[0] - offset[0], event.clientY - grip[1] - offset[1]);
  });
  for (const name of ["pointerup", "pointercancel"]) root.addEventListener(name, () => (grip = null));
  const anchorOf = ({ clientX, clientY }) => {
    const box = root.getBoundingClientRect();
    return [clientX - box.x - box.width / 2, clientY - box.y - box.height / 2];
  };

  return {
    root,
    image,
    set,
    zoom: () => zoom,
    anchorOf,
    step(direction, anchor) {
      const now = zoom || shown();
      const next = direction > 0 ? ZOOMS.find((z) => z > now * 1.01) : [...ZOOMS].reverse().find((z) => z < now * 0.99);
      if (next) set(next, anchor);
    },
    pan: move,
  };
}

/** Name a picture by what a cell calls it, and by the seed that tells it from its neighbours. */
const named = (item) => (item.seed === null ? item.expr : `${item.expr} · seed ${item.seed}`);

/** Make the full view. `host` gives thumbs, full pictures, details and neighbours; `act` does what a button says. */
function makeLightbox(host, signal) {
  const dialog = make("dialog", "wan-light");
  dialog.ariaLabel = "Picture";
  const head = make("div", "wan-light-head");
  const title = make("bdi", "wan-light-title");
  const count = make("span", "wan-light-count");
  const close = makeButton("✕", () => dialog.close(), { className: "wan-tiny", label: "Close (Esc)" });
  const stage = makeStage();
  const slider = makeSlider();
  const waiting = make("div", "wan-light-wait", "waiting for the kernel…");
  const view = make("div", "wan-light-view");
  const before = makeButton("‹", () => step(-1), { className: "wan-light-step", label: "Previous picture (←)" });
  const after = makeButton("›", () => step(1), { className: "wan-light-step wan-light-next", label: "Next picture (→)" });
  const facts = make("div", "wan-light-facts");
  const tools = make("div", "wan-light-tools");
  const zoomed = make("span", "wan-light-zoom");
  const against = make("select", "wan-input");
  against.ariaLabel = "Compare with";
  const actions = makeActions(host.act);
  const prompt = make("div", "wan-light-prompt");
  prompt.tabIndex = 0;
  tools.append(
    makeButton("Fit", () => zoom(0), { className: "wan-small", title: "Fit (0)" }),
    makeButton("−", () => zoom("-"), { className: "wan-small", label: "Smaller (−)" }),
    makeButton("100 %", () => zoom(1), { className: "wan-small", title: "True pixels (1)" }),
    makeButton("+", () => zoom("+"), { className: "wan-small", label: "Larger (+)" }),
    zoomed,
    against,
  );
  head.append(title, count, close);
  view.append(stage.root, slider.root, waiting, before, after);
  dialog.append(head, view, facts, tools, actions.bar, prompt);
  let item = null;
  let wait = 0;
  let wheeled = 0;

  function zoom(to, anchor) {
    if (!slider.root.hidden) compare("");
    if (to === "+" || to === "-") stage.step(to === "+" ? 1 : -1, anchor);
    else stage.set(to, anchor);
    setText(zoomed, stage.zoom() ? `${stage.zoom() * 100} %` : "fits");
  }

  function step(by) {
    const next = host.neighbour(item, by);
    if (next) show(next);
  }

  function show(next) {
    item = next;
    host.select(item);
    stage.set(0);
    compare("");
    setText(zoomed, "fits");
    setText(title, item.label);
    setFacts(facts, item.facts);
    setText(prompt, item.label);
    stage.image.alt = item.alt;
    stage.image.src = host.full(item) || host.thumb(item) || "";
    place();
    actions.set(item);
    clearTimeout(wait);
    waiting.hidden = true;
    if (!host.full(item)) wait = setTimeout(() => (waiting.hidden = Boolean(host.full(item))), 700);
    host.ask(item);
    fillChoices();
    if (!dialog.open) dialog.showModal();
  }

  /** List what the picture can be compared with: its inputs, and its neighbours in the gallery. */
  function fillChoices() {
    const details = host.details(item);
    const choices = [["", "Compare with…"]];
    for (const input of details?.inputs ?? []) choices.push([`input:${input.position}`, `image ${input.position + 1}: ${input.name}`]);
    for (const other of host.others(item)) choices.push([`item:${other.id}`, `${named(other)} · ${other.label.slice(0, 40)}`]);
    const key = JSON.stringify(choices);
    if (against.dataset.key === key) return;
    against.dataset.key = key;
    const now = against.value;
    against.replaceChildren(
      ...choices.map(([value, text]) => {
        const option = make("option", "", text);
        option.value = value;
        return option;
      }),
    );
    against.value = choices.some(([value]) => value === now) ? now : "";
  }

  function compare(value) {
    if (against.value !== value) against.value = value;
    if (!value) return slider.hide();
    const source = host.comparison(item, value); // asks for it if it is not here yet
    const whole = host.full(item) || host.thumb(item);
    if (!source || !whole) return slider.hide();
    const other = host.others(item).find((one) => value === `item:${one.id}`);
    slider.set(source, whole, other ? named(other) : against.selectedOptions[0]?.textContent ?? "before", named(item));
    return undefined;
  }

  /** Something came from the kernel: a full picture, details, an input. */
  function refresh() {
    if (!item || !dialog.open) return;
    item = host.current(item);
    const whole = host.full(item);
    if (whole && stage.image.src !== whole) {
      stage.image.src = whole;
      waiting.hidden = true;
    }
    const details = host.details(item);
    if (details) {
      setText(prompt, [details.prompt, details.negative && `Negative prompt: ${details.negative}`].filter(Boolean).join("\n"));
      setFacts(facts, details.facts);
    }
    actions.set(item);
    place();
    fillChoices();
    if (against.value) compare(against.value);
  }

  function place() {
    setText(count, host.position(item));
    setDisabled(before, !host.neighbour(item, -1));
    setDisabled(after, !host.neighbour(item, 1));
  }

  const keys = {
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    0: () => zoom(0),
    1: () => zoom(1),
    "+": () => zoom("+"),
    "=": () => zoom("+"),
    "-": () => zoom("-"),
    s: () => host.act("star", item, actions.buttons.get("star")),
    x: () => host.act("reject", item, actions.buttons.get("reject")),
  };
  dialog.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || /^(SELECT|INPUT)$/.test(event.target.tagName)) return;
    if (event.shiftKey && event.key.startsWith("Arrow") && stage.zoom()) {
      const [x, y] = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
      stage.pan(x, y);
    } else if (keys[event.key] && !event.shiftKey | (event.key === "+")) keys[event.key]();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    const turned = event.deltaY * (event.deltaMode ? WHEEL_PX : 1); // some browsers count in lines
    wheeled = Math.sign(turned) === Math.sign(wheeled) ? wheeled + turned : turned;
    if (Math.abs(wheeled) < WHEEL_PX || !slider.root.hidden) return;
    wheeled = 0;
    zoom(event.deltaY < 0 ? "+" : "-", stage.anchorOf(event));
  }, { passive: false });
  stage.root.addEventListener("dblclick", (event) => zoom(stage.zoom() ? 0 : 1, stage.anchorOf(event)));
  against.addEventListener("change", () => compare(against.value));
  dialog.addEventListener("close", () => {
    clearTimeout(wait);
    slider.hide();
    host.closed(item);
  });
  signal.addEventListener("abort", () => clearTimeout(wait));
  return { dialog, show, refresh, close: () => dialog.close() };
}
