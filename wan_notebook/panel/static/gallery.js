// The gallery: filters, what can be done with the selected pictures, and a grid of small copies that come when they are
// scrolled to, with stacks of seeds. One click selects a picture; Shift, Ctrl and Ctrl+A select several.

// What can be done: key, text, title, and for how many pictures at most and at least.
const ACTIONS = [
  ["star", "☆ Star", "Star (S)"],
  ["reject", "✕ Reject", "Reject: hidden here, kept in the history (X)"],
  ["tag", "Tag…", "Add or remove tags"],
  ["use", "Use as input", "Add it to the pictures of the next request", 1],
  ["recall", "Recall", "Fill the form with what made it; nothing runs", 1],
  ["copy", "Copy cell", "Copy the %%wan cell that made it", 1],
  ["compare", "Compare", "Lay one picture over the others", Infinity, 2],
  ["download", "Download", "Save the file with its settings inside; several as a zip"],
  ["trash", "Trash", "Put what made it into the trash, for 30 days: History, Include trash, Restore brings it back"],
];
const MORE = [
  ["edit", "Edit this", "Make it the only input, and write what to change", 1],
  ["newseed", "New seed", "Fill the form with what made it, without the seed", 1],
  ["seed", "Use its seed", "Take over its seed only", 1],
  ["open", "Open file", "Open the full picture in a tab of its own", 1],
];

/** Make the bar of actions; `act(what, items, button, tag)` carries one out. One tab stop, then arrows. */
function makeActions(act) {
  let items = [];
  const buttons = new Map();
  const make1 = ([what, text, title]) => {
    const button = makeButton(text, () => items.length && act(what, items, button), { title });
    button.tabIndex = what === "star" ? 0 : -1;
    buttons.set(what, button);
    return button;
  };
  const bar = makeBox("div", "wan-row", ...ACTIONS.map(make1));
  const rest = makeBox("div", "wan-row", ...MORE.map(make1));
  const more = makeButton("More ▾", () => disclose(rest.hidden), { title: "Seeds, editing, files" });
  more.tabIndex = -1;
  bar.append(more);
  bar.role = "toolbar";
  bar.ariaLabel = "Actions";
  const tags = make("span", "wan-row");
  const field = makeInput("text", "Tag to add", { className: "wan-short", placeholder: "new tag" });
  const add = makeButton("Add tag", () => sendTag(field.value.trim(), true));
  const editor = makeBox("div", "wan-row", tags, field, add);
  const root = makeBox("div", "wan-actions", bar, rest, editor);
  buttons.get("tag").addEventListener("click", () => {
    editor.hidden = !editor.hidden;
    if (!editor.hidden) field.focus();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") add.click();
    event.stopPropagation(); // letters are text here, not shortcuts
  });
  rove(root, ".wan-b");
  disclose(false);
  editor.hidden = true;

  function sendTag(tag, on) {
    if (tag) act("tag", items, add, { tag, on });
    field.value = "";
  }

  function disclose(isOpen) {
    rest.hidden = !isOpen;
    more.ariaExpanded = String(isOpen);
    setText(more, isOpen ? "Less ▴" : "More ▾");
  }

  return {
    root,
    button: (what) => buttons.get(what),
    set(next) {
      items = next;
      for (const [what, , , most = Infinity, least = 1] of [...ACTIONS, ...MORE]) {
        buttons.get(what).hidden = items.length < least || items.length > most;
      }
      more.hidden = MORE.every(([what]) => buttons.get(what).hidden);
      const isEach = (field) => items.length > 0 && items.every((item) => item[field]);
      setText(buttons.get("star"), isEach("is_starred") ? "★ Star" : "☆ Star"); // the name stays, the state says the rest
      buttons.get("star").ariaPressed = String(isEach("is_starred"));
      buttons.get("reject").ariaPressed = String(isEach("is_rejected"));
      const known = [...new Set(items.flatMap((item) => item.tags))];
      const remover = (tag) => makeButton(`${tag} ✕`, () => sendTag(tag, false), { label: `Remove the tag ${tag}` });
      tags.replaceChildren(...known.map(remover));
    },
  };
}

/** Make the filters; `send` is called with what is to be shown, `onStack` when stacking is switched. */
function makeFilters(link, send, onStack) {
  const options = { className: "wan-filter-words", placeholder: "Search prompts" };
  const words = makeInput("search", "Search prompts, names, tags, seeds and ids", options);
  const tag = makeInput("select", "Tag", { className: "wan-short" });
  const filter = { starred: false, rejected: false };
  const toggle = (text, title, name) => makeToggle(text, title, (isOn) => ((filter[name] = isOn), ask()));
  const ask = () => send({ words: words.value, tag: tag.value, ...filter });
  const soon = afterPause(ask, 250, link.signal);
  words.addEventListener("input", soon);
  tag.addEventListener("change", ask);
  const count = makeSaid("wan-filter-count wan-cut wan-muted");
  const starred = toggle("★ Starred only", "Show only starred pictures", "starred");
  const rejected = toggle("✕ Show rejected", "Show rejected pictures too, in grey", "rejected");
  const stack = makeToggle("Stack seeds", "Pictures that differ only in their seed lie on one another", onStack, true);
  const root = makeBox("div", "wan-row wan-filters", words, tag, starred, rejected, stack, count);
  root.role = "search";
  return {
    root,
    isOn: () => Boolean(words.value || tag.value || filter.starred),
    update(tags, here, total, stacks) {
      setOptions(tag, [["", "any tag"], ...tags.map((name) => [name, name])]);
      const pictures = `${total.toLocaleString("en")} picture${total === 1 ? "" : "s"}`;
      const lying = stacks < here ? ` in ${stacks} stack${stacks === 1 ? "" : "s"}` : "";
      setText(count, `${pictures}${total > here ? `, newest ${here}` : ""}${lying}`);
    },
  };
}

/** Put items into the order in which they are shown: stacks closed to their newest, or opened. */
function arrange(items, isStacking, isOpened) {
  const stacks = Map.groupBy(items, (item) => (isStacking ? item.stack : item.id));
  return [...stacks].flatMap(([key, all]) => {
    const isOpen = isOpened(key);
    return all.slice(0, isOpen ? all.length : 1).map((item, i) => ({ item, count: all.length, isOpen, isFirst: i === 0 }));
  });
}

function makeGallery(link, pictures, onForm) {
  const opened = new Set(); // stacks
  const marked = new Map(); // stars and rejections that the kernel has not answered yet
  const details = new Map();
  const tiles = new Map();
  let items = [];
  let shown = [];
  let selected = []; // ids
  let anchor = ""; // where a range begins
  let isStacking = true;
  let lastAt = 0; // where the picture of the full view was: one that is rejected there leaves the list
  const find = (id) => items.find((item) => item.id === id) ?? null;
  const send = (kind, message) => link.send("gallery", kind, message);
  const filters = makeFilters(link, (filter) => send("filter", filter), (isOn) => ((isStacking = isOn), draw()));
  const actions = makeActions(act);
  const caption = make("div", "wan-cut");
  const facts = make("div", "wan-cut wan-muted");
  const inspector = makeBox("div", "wan-inspector", caption, facts, actions.root);
  const grid = make("ul", "wan-grid");
  grid.ariaLabel = "Pictures: arrows move, Enter opens, S stars, X rejects; Shift, Ctrl and Ctrl+A select several";
  const said = makeSaid();
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) showImage(target.firstElementChild);
  }, { root: grid, rootMargin: "300px 0px" });

  /** Return all pictures in the order in which the full view goes through them. */
  const flat = () => arrange(items, isStacking, () => true).map(({ item }) => item);
  const placeOf = (id) => {
    const at = flat().findIndex((item) => item.id === id);
    if (at >= 0) lastAt = at;
    return at;
  };
  const light = makeLightbox(link, pictures, {
    act,
    find,
    select,
    details: (id) => details.get(id),
    position: (item) => `${placeOf(item.id) + 1 || "–"} of ${flat().length}`,
    neighbour: (item, by) => flat()[placeOf(item.id) < 0 ? lastAt - Number(by < 0) : placeOf(item.id) + by] ?? null,
    others: (item) => flat().filter((other) => other.id !== item.id && other.kind === "image").slice(0, 60),
    closed: (item) => tiles.get(item.id)?.firstElementChild.focus(),
  });
  const root = makeBox("section", "wan-gallery", filters.root, inspector, grid, light.root, said);
  root.ariaLabel = "Gallery";

  function showImage(tile) {
    const show = (url) => (url ? (tile.firstElementChild.src = url) : tile.toggleAttribute("data-gone", true));
    pictures.want("thumb", tile.dataset.id, show);
  }

  function select(ids) {
    selected = ids;
    if (ids.length === 1) [anchor] = ids;
    if (ids.length === 1 && !details.has(anchor)) send("details", { id: anchor }); // so that copying needs no waiting
    for (const [id, { firstElementChild: tile }] of tiles) tile.ariaPressed = String(ids.includes(id));
    inspect();
  }

  /** Select what a click or an arrow key means: one, one more, or all from the last one. */
  function selectBy(id, { shiftKey, ctrlKey, metaKey }) {
    const ids = shown.map(({ item }) => item.id);
    const [from, to] = [ids.indexOf(anchor), ids.indexOf(id)].sort((a, b) => a - b);
    if (shiftKey && from >= 0) return select(ids.slice(from, to + 1));
    const others = selected.filter((other) => other !== id);
    anchor = id;
    return select(ctrlKey || metaKey ? [...others, ...(selected.includes(id) ? [] : [id])] : [id]);
  }

  function inspect() {
    const chosen = selected.map(find).filter(Boolean);
    const several = chosen.length > 1;
    inspector.toggleAttribute("data-none", !chosen.length);
    actions.set(chosen);
    const one = chosen[0]?.label ?? "Select a picture to see its settings and actions.";
    setText(caption, several ? `${chosen.length} pictures selected` : one);
    setFacts(facts, several ? ["Ctrl adds one", "Shift a range", "Ctrl+A all", "Esc none"] : chosen[0]?.facts ?? []);
  }

  function mark(what, field, chosen) {
    const on = !chosen.every((item) => item[field]);
    for (const { id } of chosen) marked.set(id, { ...marked.get(id), [field]: on });
    take(); // shown at once; the kernel's answer follows when it can
    send("mark", { what, ids: chosen.map((item) => item.id), on });
    setText(said, `${what}: ${on ? "on" : "off"}`);
  }

  function act(what, chosen, button = actions.button(what), tag = null) {
    const ids = chosen.map(({ id }) => id);
    const [item] = chosen;
    if (what === "star") mark("star", "is_starred", chosen);
    else if (what === "reject") mark("reject", "is_rejected", chosen);
    else if (what === "tag") tag && send("mark", { what, ids, ...tag });
    else if (what === "trash") send("mark", { what, ids, on: true });
    else if (what === "compare") light.show(item, chosen.slice(1));
    else if (what === "download") {
      send("download", { ids });
      answerOn(button, "Fetching…");
    } else if (what === "copy") {
      if (details.has(item.id)) copyText(details.get(item.id).cell, button);
      else answerOn(button, "Not here yet");
    } else if (what === "open") openFile(pictures, item, () => details.get(item.id)?.paths ?? [], button);
    else fillForm(what, item, button);
  }

  function fillForm(what, { id, expression, seed }, button) {
    const { images } = link.get("values");
    if (what === "use") link.fill({ images: [...new Set([...images, expression])] });
    else if (what === "edit") link.fill({ images: [expression], prompt: "", size: "", seed: "", interleave: false, sequential: false });
    else if (what === "seed") link.fill({ seed: String(seed ?? "") });
    else send("recall", { id, new_seed: what === "newseed" });
    answerOn(button, what === "use" ? "Added" : "Filled in");
    light.close();
    if (what !== "seed" && what !== "use") onForm(what === "edit");
  }

  function makeTile(id) {
    const marks = make("span", "wan-badge wan-tile-marks");
    marks.ariaHidden = "true";
    const tile = makeBox("button", "wan-tile", pictures.makeImage(), marks);
    tile.type = "button";
    tile.dataset.id = id;
    tile.tabIndex = -1;
    tile.addEventListener("click", (event) => selectBy(id, event));
    tile.addEventListener("dblclick", () => light.show(find(id)));
    const stack = makeButton("", () => {
      const key = find(id).stack;
      if (!opened.delete(key)) opened.add(key);
      draw();
    }, { className: "wan-badge wan-tile-stack" });
    const options = { className: "wan-badge wan-tile-open", label: "Open the full view" };
    const open = makeButton("⤢", () => light.show(find(id)), options);
    open.tabIndex = -1; // Enter on the picture does the same
    const text = [make("bdi", "wan-cut"), make("div", "wan-cut wan-muted")];
    const li = makeBox("li", "wan-tile-item", tile, open, stack, ...text);
    observer.observe(li);
    return li;
  }

  function updateTile(li, { item, count, isOpen, isFirst }) {
    const [tile, , stack, label, text] = li.children;
    const marks = [item.is_starred && "★", item.is_rejected && "✕ rejected", item.kind === "video" && "video"];
    const words = marks.filter(Boolean).join(" ");
    setText(tile.lastElementChild, words);
    tile.toggleAttribute("data-rejected", item.is_rejected);
    tile.title = item.label;
    const said = [item.label, item.caption, words.replace("★", "starred"), count > 1 && `${count} seeds`];
    tile.ariaLabel = said.filter(Boolean).join(", ");
    tile.ariaPressed = String(selected.includes(item.id));
    stack.hidden = count < 2 || !isFirst;
    setText(stack, `${count} ${isOpen ? "▴" : "▾"}`);
    stack.ariaExpanded = String(isOpen);
    stack.ariaLabel = `${count} pictures that differ only in their seed`;
    li.toggleAttribute("data-stacked", count > 1 && !isOpen);
    li.toggleAttribute("data-open", count > 1 && isOpen);
    setText(label, item.label);
    setText(text, count > 1 && !isOpen ? `${item.caption}, and ${count - 1} more` : item.caption);
  }

  function draw() {
    const before = shown.map(({ item }) => item.id);
    shown = arrange(items, isStacking, (key) => opened.has(key));
    const ids = new Set(shown.map(({ item }) => item.id));
    const focused = grid.contains(document.activeElement) ? document.activeElement.dataset.id : "";
    const lostAt = (id) => (id && !find(id) ? before.indexOf(id) : -1);
    const lost = { focus: lostAt(focused), selection: selected.length === 1 ? lostAt(selected[0]) : -1 };
    for (const [id, li] of tiles) {
      if (ids.has(id)) continue;
      observer.unobserve(li);
      li.remove();
      tiles.delete(id);
    }
    shown.forEach((tile, at) => {
      if (!tiles.has(tile.item.id)) tiles.set(tile.item.id, makeTile(tile.item.id));
      const li = tiles.get(tile.item.id);
      updateTile(li, tile);
      if (grid.children[at] !== li) grid.insertBefore(li, grid.children[at] ?? null);
    });
    if (!grid.querySelector("[tabindex='0']")) grid.querySelector(".wan-tile")?.setAttribute("tabindex", "0");
    const { total = 0, tags = [] } = link.get("gallery");
    filters.update(tags, items.length, total, isStacking ? new Set(items.map((item) => item.stack)).size : items.length);
    grid.dataset.empty = filters.isOn() ? "No picture matches." : "No picture yet: what you generate appears here.";
    selected = selected.filter(find);
    const next = (at) => shown[Math.min(at, shown.length - 1)]?.item.id;
    if (lost.focus >= 0) tiles.get(next(lost.focus))?.firstElementChild.focus(); // what was rejected is gone: go on
    if (lost.selection >= 0) select([next(lost.selection)].filter(Boolean));
    inspect();
    light.refresh();
  }

  function take() {
    items = (link.get("gallery").items ?? []).map((item) => ({ ...item, ...marked.get(item.id) }));
    draw();
  }

  function takeNew() {
    marked.clear();
    for (const id of details.keys()) if (!selected.includes(id)) details.delete(id);
    if (selected.length === 1) send("details", { id: selected[0] }); // its tags may be others
    take();
  }

  grid.addEventListener("keydown", (event) => {
    const item = find(event.target.closest(".wan-tile")?.dataset.id);
    const hasCtrl = event.ctrlKey || event.metaKey;
    const chosen = selected.length ? selected.map(find) : [item];
    if (!item || event.altKey || (hasCtrl && event.key !== "a")) return;
    if (hasCtrl) select(items.map(({ id }) => id));
    else if (event.key === "Escape" && selected.length) select([]);
    else if (event.key === "Enter") light.show(item);
    else if (event.key === "s") act("star", chosen);
    else if (event.key === "x") act("reject", chosen);
    else return;
    event.preventDefault();
  });
  rove(grid, ".wan-tile", {
    columns: () => Math.max(1, getComputedStyle(grid).gridTemplateColumns.split(" ").length),
    onMove: (tile, event) => selectBy(tile.dataset.id, event),
  });
  link.follow(["gallery"], takeNew);
  link.on("change:notice", takeNew); // something failed: what was shown before the answer is over
  link.onMessage("details", (message) => {
    details.set(message.id, message);
    light.refresh();
  });
  link.signal.addEventListener("abort", () => observer.disconnect());
  return {
    root,
    /** Return the seed of the newest or the selected picture; null if there is none. */
    seedOf: (which) => (which === "newest" ? items[0] : find(selected[0]))?.seed ?? null,
  };
}

/** Open a picture in a tab of its own: by the server's address where it serves the file, else from the kernel. */
function openFile(pictures, item, paths, button) {
  const address = servedAddress(paths());
  const tab = address ? null : window.open("", "_blank"); // a browser allows one with the click, none later
  if (address) window.open(address, "_blank", "noopener");
  else if (!tab) answerOn(button, "Not allowed");
  else {
    tab.opener = null;
    tab.document.title = item.label;
    tab.document.body.textContent = "The picture appears as soon as the kernel is free.";
    pictures.want("full", item.id, (url) => {
      const found = servedAddress(paths()) || url; // its paths may just have come
      if (found) tab.location.replace(found);
      else tab.document.body.textContent = "The file is missing.";
    });
  }
}
