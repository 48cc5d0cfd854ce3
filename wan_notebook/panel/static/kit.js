// What the parts of the panel share: the link to the kernel, pictures by key, and small controls. All files of the panel
// are one module: each part is made by one function, which gets the link.

/** Connect the parts with the kernel; everything ends with the view's signal. */
function makeLink(model, signal) {
  function on(events, callback) {
    model.on(events, callback);
    signal.addEventListener("abort", () => model.off(events, callback));
  }
  return {
    signal,
    on,
    get: (name) => model.get(name),
    /** Keep something up to date with traits of the model, from now on. */
    follow(names, update) {
      on(names.map((name) => `change:${name}`).join(" "), update);
      update();
    },
    send: (to, kind, data = {}, buffers = []) => model.send({ to, kind, ...data }, undefined, buffers),
    onMessage(kind, callback) {
      on("msg:custom", (message, buffers) => message?.kind === kind && callback(message, buffers));
    },
    /** Put values into the form. */
    fill(values) {
      model.set("values", { ...model.get("values"), ...values });
      model.save_changes();
    },
  };
}

/** Hold the small copies and whole files of pictures by their keys; each is asked for once, and held with the view. */
function makePictures(link) {
  const urls = { thumb: new Map(), full: new Map() }; // an empty address says that there is no file
  const waiting = { thumb: new Map(), full: new Map() }; // what is called once a picture is here
  const wanted = new Set();
  const askSoon = afterPause(() => {
    link.send("gallery", "want", { size: "thumb", keys: [...wanted] });
    wanted.clear();
  }, 40, link.signal);

  function keep(kind, key, bytes, type) {
    const url = bytes?.byteLength ? URL.createObjectURL(new Blob([bytes], { type })) : "";
    if (url) urls[kind].set(key, url); // one that is not there yet is asked for again
    for (const callback of waiting[kind].get(key) ?? []) callback(url);
    waiting[kind].delete(key);
  }

  /** Call back with a picture's address, now or when it comes. */
  function want(kind, key, callback) {
    if (urls[kind].has(key)) callback(urls[kind].get(key));
    else if (waiting[kind].has(key)) waiting[kind].get(key).push(callback);
    else {
      waiting[kind].set(key, [callback]);
      if (kind === "full") link.send("gallery", "want", { size: "full", keys: [key] });
      else wanted.add(key), askSoon();
    }
  }

  for (const kind of ["thumb", "full"]) {
    link.onMessage(kind, ({ key, mime }, buffers) => keep(kind, key, buffers[0], mime));
  }
  link.signal.addEventListener("abort", () => {
    for (const url of [...urls.thumb.values(), ...urls.full.values()]) if (url) URL.revokeObjectURL(url);
  });
  return {
    want,
    thumb: (key) => urls.thumb.get(key) ?? "",
    full: (key) => urls.full.get(key) ?? "",
    /** Make an image element that shows a small copy, now or when it comes. */
    makeImage(key, className = "") {
      const image = make("img", className);
      image.alt = "";
      image.draggable = false;
      if (key) want("thumb", key, (url) => url && (image.src = url));
      return image;
    },
  };
}

/** Make an element of parts, which are elements or texts. */
function makeBox(tag, className, ...parts) {
  const box = make(tag, className);
  box.append(...parts);
  return box;
}

/** Make a button with a visible text; `label` is what a screen reader says, if that is not enough. */
function makeButton(text, onClick, { className = "", label = "", title = label } = {}) {
  const button = make("button", `wan-b ${className}`, text);
  button.type = "button";
  if (label) button.ariaLabel = label;
  button.title = title;
  button.addEventListener("click", (event) => button.ariaDisabled !== "true" && onClick(event));
  return button;
}

/** Keep a button in the focus order but without effect: `disabled` would throw the keyboard's focus away. */
function setDisabled(button, isDisabled) {
  button.ariaDisabled = String(Boolean(isDisabled));
}

/** Make a button that is on or off; `onChange` is called with which. */
function makeToggle(text, title, onChange, isOn = false) {
  const button = makeButton(text, () => {
    isOn = !isOn;
    button.ariaPressed = String(isOn);
    onChange(isOn);
  }, { title });
  button.ariaPressed = String(isOn);
  return button;
}

/** Make a field: a type of input, `textarea` or `select`. */
function makeInput(type, label, { className = "", placeholder = label } = {}) {
  const input = make(["textarea", "select"].includes(type) ? type : "input", `wan-input ${className}`);
  if (input.tagName === "INPUT") input.type = type;
  input.ariaLabel = label;
  input.placeholder = placeholder;
  return input;
}

/** Offer choices `[value, text]` in a select; what was chosen stays if it still can be. */
function setOptions(select, choices) {
  const key = JSON.stringify(choices);
  if (select.dataset.key === key) return;
  select.dataset.key = key;
  const now = select.value;
  select.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
  select.value = choices.some(([value]) => value === now) ? now : choices[0][0];
}

/** Make a line that is read out when it changes. */
function makeSaid(className = "wan-said") {
  const said = make("div", className);
  said.role = "status";
  return said;
}

/** Say on a button what became of a click, for a moment. */
function answerOn(button, text, forMs = 1600) {
  button.dataset.text ??= button.textContent;
  setText(button, text);
  clearTimeout(button.dataset.timer);
  button.dataset.timer = setTimeout(() => {
    setText(button, button.dataset.text);
    delete button.dataset.text;
  }, forMs);
}

/** Call back once, a moment after the last call. */
function afterPause(callback, delayMs, signal) {
  let timer = 0;
  signal.addEventListener("abort", () => clearTimeout(timer));
  return () => {
    clearTimeout(timer);
    timer = setTimeout(callback, delayMs);
  };
}

/** Put a text on the clipboard, and say on the button whether that worked. Without permission a field is copied from. */
async function copyText(text, button) {
  let worked = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = make("textarea");
    field.value = text;
    field.style.cssText = "position:fixed;inset:0 auto auto 0;width:1px;height:1px;opacity:0";
    button.before(field);
    field.select();
    worked = document.execCommand("copy");
    field.remove();
    button.focus({ preventScroll: true });
  }
  answerOn(button, worked ? "Copied" : "Not allowed");
}

/** Move the one tab stop of a group with the arrow keys; `columns` tells how far up and down go. */
function rove(group, selector, { columns = () => 1, onMove = () => {} } = {}) {
  const items = () => [...group.querySelectorAll(selector)].filter((item) => !item.closest("[hidden]"));
  group.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(event.target.closest(selector));
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const row = columns();
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row, Home: -at, End: all.length - 1 - at };
    const to = at + (steps[event.key] ?? NaN);
    if (!(to >= 0 && to < all.length) || to === at) return;
    event.preventDefault();
    all[to].focus();
    onMove(all[to], event);
  });
  group.addEventListener("focusin", (event) => {
    const current = event.target.closest(selector);
    if (!current) return;
    for (const item of group.querySelectorAll(selector)) item.tabIndex = item === current ? 0 : -1;
  });
}

/** Make tabs; `onOpen` is called with the number of the one that is opened. */
function makeTabs(titles, onOpen, className = "") {
  const tabs = titles.map((title, at) => makeButton(title, () => open(at), { className }));
  const bar = makeBox("div", "wan-row", ...tabs);
  bar.role = "tablist";
  rove(bar, ".wan-b", { onMove: (tab) => tab.click(), columns: () => NaN }); // up and down are the page's
  function open(at) {
    tabs.forEach((tab, i) => {
      tab.role = "tab";
      tab.ariaSelected = String(i === at);
      tab.tabIndex = i === at ? 0 : -1;
    });
    onOpen(at);
  }
  return { bar, open };
}
