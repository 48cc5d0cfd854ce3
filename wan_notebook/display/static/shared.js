// What every widget of this package shares: this file is put in front of each widget's own module, since a widget's
// module cannot import another. Text from outside reaches the page through textContent, or escaped by Python.

/** Make an element with a class and, if given, a text. */
function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
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
  const key = JSON.stringify(lines);
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
  const nodes = facts.flatMap((fact, i) => [i ? " · " : "", make("bdi", "", fact)]);
  element.replaceChildren(...nodes);
  element.title = facts.join(" · ");
}

/** Write a duration as Python does: 8.4 s, 2 min 5 s, 3 h 10 min. */
function durationText(seconds) {
  if (seconds < 60) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const SILENT_AFTER_S = 20; // while something runs the kernel sends a word every few seconds, whatever computes

/** Know how long ago the kernel sent what is shown, whatever the two clocks say. */
function makeClock() {
  let arrivedMs = performance.now();
  let ageS = 0;
  return {
    /** What a page that was just opened finds may be old: believe the clocks until the kernel has answered. */
    found(sentAt) {
      arrivedMs = performance.now();
      ageS = Math.min(Math.max(0, Date.now() / 1000 - sentAt), 86_400);
    },
    arrived() {
      arrivedMs = performance.now();
      ageS = 0;
    },
    corrected(sentAt, kernelNow) {
      arrivedMs = performance.now();
      ageS = Math.max(0, kernelNow - sentAt);
    },
    sinceSentS() {
      return ageS + (performance.now() - arrivedMs) / 1000;
    },
  };
}

/**
 * Know whether the kernel has gone: a kernel that was restarted ends its line to the widget, and says nothing more.
 * `lines(show)` is what to tell a person, none while all is well; `show` is the command that brings the pictures.
 */
function makeSilence(model, signal) {
  let heardMs = performance.now();
  let isCut = false;
  const heard = () => {
    heardMs = performance.now();
    isCut = false;
  };
  const cut = () => (isCut = true);
  const handlers = { "change:view change:jobs change:sent_at msg:custom": heard, comm_live_update: cut };
  for (const [events, handler] of Object.entries(handlers)) model.on(events, handler);
  signal.addEventListener("abort", () => {
    for (const [events, handler] of Object.entries(handlers)) model.off(events, handler);
  });
  const silentS = () => (performance.now() - heardMs) / 1000;
  const isSilent = () => isCut || silentS() >= SILENT_AFTER_S;
  return {
    isSilent,
    line(show) {
      if (!isSilent()) return "";
      const what = isCut ? "the connection to the kernel ended" : `no word from the kernel for ${Math.floor(silentS() / 5) * 5} s`;
      return `${what}: if it was restarted, \`%wan resume\` and \`${show}\` bring the pictures`;
    },
  };
}

/**
 * Return the address under which the page's own server gives the first of some files that it serves; empty if it serves
 * none, or does not say so. The paths are whole ones, or links from a folder (a file:// address).
 */
function servedAddress(paths, folder = "") {
  try {
    const config = JSON.parse(document.getElementById("jupyter-config-data").textContent);
    const root = config.serverRoot || decodeURIComponent(new URL(config.rootUri).pathname); // Notebook 7 has the second
    const served = String(root).replace(/\/*$/, "/");
    const whole = folder ? paths.map((link) => decodeURIComponent(new URL(link, folder).pathname)) : paths;
    const path = whole.find((one) => one.startsWith(served));
    const parts = path.slice(served.length).split("/");
    const isServed = config.baseUrl && !parts.some((part) => part.startsWith(".")); // no dot-folders
    return isServed ? `${config.baseUrl}files/${parts.map(encodeURIComponent).join("/")}` : "";
  } catch {
    return ""; // Voilà says nothing, or the file lies elsewhere
  }
}

/**
 * Put the static output in the place of a card's parts (`root`, `said`), as a page shows it that was reloaded in mid-run.
 * `folder` is where its links begin, `show` the command that brings it again.
 */
function showResult({ root, said }, html, folder, show) {
  const result = make("div");
  const hint = make("div");
  result.innerHTML = html; // the very HTML of the output, in which Python escapes everything
  for (const link of result.querySelectorAll("a")) {
    const address = servedAddress([link.getAttribute("href")], folder); // its own holds in an output only
    if (address) link.href = address;
    else link.replaceWith(...link.childNodes);
  }
  hint.append(...richNodes(`This view ends with the kernel: \`${show}\` in a cell keeps the pictures.`));
  root.toggleAttribute("data-result", true);
  root.replaceChildren(result, hint, said);
}
