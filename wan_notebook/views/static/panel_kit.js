// What every part of the panel uses; joined in front of each module, since a widget's module cannot import another.
// Text from outside reaches the page through textContent only.

/** Make an element with a class and, if given, a text. */
function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== "") element.textContent = text;
  return element;
}

/** Change a text only if it differs, so that a selection in it survives. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Return nodes for a text in which pieces between backticks are code; each keeps its own direction. */
function richNodes(text) {
  return text
    .split(/(`[^`]+`)/)
    .filter(Boolean)
    .map((piece) => {
      const isCode = piece.length > 2 && piece.startsWith("`") && piece.endsWith("`");
      const node = make(isCode ? "code" : "bdi", "", isCode ? piece.slice(1, -1) : piece);
      if (isCode) node.dir = "ltr";
      return node;
    });
}

/** Show lines, one block each; nothing is touched if they are the same. */
function setLines(element, lines, className = "") {
  const key = JSON.stringify([lines, className]);
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.replaceChildren(
    ...lines.map((line) => {
      const block = make("div", className);
      block.append(...richNodes(line));
      return block;
    }),
  );
}

/** Show facts on one line, separated by a middle dot and isolated from each other. */
function setFacts(element, facts) {
  const key = JSON.stringify(facts);
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.replaceChildren(...facts.flatMap((fact, i) => [i ? " · " : "", make("bdi", "", fact)]));
}

/** Make a button with a visible text; `label` is what a screen reader says, if that is not enough. */
function makeButton(text, onClick, { className = "", label = "", title = "" } = {}) {
  const button = make("button", `wan-b ${className}`.trim(), text);
  button.type = "button";
  if (label) button.ariaLabel = label;
  if (title || label) button.title = title || label;
  button.addEventListener("click", (event) => {
    if (button.ariaDisabled !== "true") onClick(event);
  });
  return button;
}

/** Keep a button in the focus order but without effect: `disabled` would throw the keyboard's focus away. */
function setDisabled(button, isDisabled) {
  button.ariaDisabled = String(Boolean(isDisabled));
}

/** Listen to the model until the view is gone. */
function listen(model, signal, events, callback) {
  model.on(events, callback);
  signal.addEventListener("abort", () => model.off(events, callback));
}

/** Call back with the panel around a part, once the part is in it: stock boxes put their children in place later. */
function whenInPanel(el, signal, callback) {
  const found = () => {
    const panel = el.closest(".wan-panel");
    if (panel) callback(panel);
    return Boolean(panel);
  };
  if (found()) return;
  const observer = new MutationObserver(() => found() && observer.disconnect());
  observer.observe(document.body, { childList: true, subtree: true });
  signal.addEventListener("abort", () => observer.disconnect());
}

/** Hold object URLs by a key, and let go of all of them with the view. */
function makeUrls(signal) {
  const urls = new Map();
  signal.addEventListener("abort", () => {
    for (const url of urls.values()) URL.revokeObjectURL(url);
    urls.clear();
  });
  return {
    get: (key) => urls.get(key) ?? "",
    has: (key) => urls.has(key),
    set(key, bytes, mime) {
      if (urls.get(key)) URL.revokeObjectURL(urls.get(key));
      const url = bytes?.byteLength ? URL.createObjectURL(new Blob([bytes], { type: mime })) : "";
      if (!signal.aborted) urls.set(key, url);
      return url;
    },
  };
}

/** Collect wishes and send them together, a moment later. */
function makeBatch(send, delayMs = 40) {
  const wanted = new Set();
  let timer = 0;
  return (key) => {
    wanted.add(key);
    if (timer) return;
    timer = setTimeout(() => {
      timer = 0;
      const keys = [...wanted];
      wanted.clear();
      send(keys);
    }, delayMs);
  };
}

/** Put a text on the clipboard; return whether that worked. Without permission a hidden field is copied from. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make("textarea");
    field.value = text;
    field.style.cssText = "position:fixed;inset:0 auto auto 0;width:1px;height:1px;opacity:0";
    const before = document.activeElement;
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const worked = document.execCommand("copy");
    field.remove();
    before?.focus?.({ preventScroll: true });
    return worked;
  }
}

/** Hand bytes to the browser's downloads under a file name. */
function saveBytes(bytes, name, mime) {
  const url = URL.createObjectURL(new Blob([bytes], { type: mime }));
  const link = make("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Write a duration as Python does: 8.4 s, 2 min 5 s, 3 h 10 min. */
function durationText(seconds) {
  if (seconds < 60) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Make a line that is read out when it changes. */
function makeSaid() {
  const said = make("div", "wan-said");
  said.role = "status";
  return said;
}

/** Move the one tab stop of a group with the arrow keys; `columns` tells how far up and down go. */
function rove(group, selector, { columns = () => 1, onMove = () => {} } = {}) {
  const items = () => [...group.querySelectorAll(selector)].filter((item) => !item.closest("[hidden]"));
  group.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(event.target.closest(selector));
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const across = columns();
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, Home: -at, End: all.length - 1 - at };
    const to = at + (steps[event.key] ?? NaN);
    if (!(to >= 0 && to < all.length) || to === at) return;
    event.preventDefault();
    all[to].focus();
    onMove(all[to]);
  });
  group.addEventListener("focusin", (event) => {
    const current = event.target.closest(selector);
    if (!current) return;
    for (const item of group.querySelectorAll(selector)) item.tabIndex = item === current ? 0 : -1;
  });
}
