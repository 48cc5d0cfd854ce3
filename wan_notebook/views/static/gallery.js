// The gallery: a grid of small pictures that come when they are scrolled to, stacks of seeds, and the full view.
// Items are plain JSON in a trait; pictures are asked for by message and held as long as the view.

function render({ model, el, signal }) {
  const root = make("section", "wan-gallery");
  root.ariaLabel = "Gallery";
  const said = makeSaid();
  const opened = new Set();
  let isStacking = true;
  let selected = model.get("selected");
  let shown = [];

  const marked = new Map(); // stars and rejections that the kernel has not answered yet
  let listed = [];
  const items = () => listed;
  const takeItems = () => (listed = model.get("items").map((item) => ({ ...item, ...marked.get(item.id) })));
  takeItems();
  const find = (id) => items().find((item) => item.id === id) ?? null;
  let lastAt = 0; // where the picture of the full view lay: one that is rejected there leaves the list
  const placeOf = (item) => {
    const at = flat().findIndex((other) => other.id === item.id);
    if (at >= 0) lastAt = at;
    return at;
  };
  const pictures = makePictures(model, signal, () => (light.refresh(), inspect()));
  const bar = makeFilters(model, signal, (on) => ((isStacking = on), draw()));
  const actions = makeActions(act);
  const inspector = make("div", "wan-inspector");
  const caption = make("div", "wan-inspector-caption");
  const captionFacts = make("div", "wan-inspector-facts wan-muted");
  inspector.append(caption, captionFacts, actions.bar);
  const grid = make("ul", "wan-grid");
  grid.ariaLabel = "Pictures; arrow keys move, Enter opens, S stars, X rejects";
  const more = makeButton("Show more", () => model.send({ kind: "more" }), { className: "wan-small" });
  const foot = make("div", "wan-gallery-foot");
  foot.append(more);
  const tiles = new Map();
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) if (entry.isIntersecting) pictures.show(entry.target.querySelector("img"), entry.target.dataset.id);
    },
    { root: grid, rootMargin: "300px 0px" },
  );

  const flat = () => (isStacking ? [...shown.map((tile) => tile.item.stack)].filter((s, i, a) => a.indexOf(s) === i).flatMap((s) => items().filter((i) => i.stack === s)) : items());
  const light = makeLightbox(
    {
      act,
      full: (item) => pictures.full(`full:${item.id}`),
      thumb: (item) => pictures.thumb(item.id),
      details: (item) => pictures.details(item.id),
      ask: (item) => (pictures.askFull(`full:${item.id}`), pictures.askDetails(item.id)),
      select: (item) => select(item.id),
      current: (item) => find(item.id) ?? item,
      position: (item) => `${placeOf(item) + 1 || "–"} of ${flat().length}`,
      neighbour: (item, by) => flat()[placeOf(item) < 0 ? lastAt - Number(by < 0) : placeOf(item) + by] ?? null,
      others: (item) => flat().filter((other) => other.id !== item.id && other.kind === "image").slice(0, 60),
      comparison(item, value) {
        const key = value.startsWith("input:") ? `input:${item.id}:${value.slice(6)}` : `full:${value.slice(5)}`;
        pictures.askFull(key);
        return pictures.full(key);
      },
      closed: (item) => item && tiles.get(item.id)?.querySelector(".wan-tile")?.focus(),
    },
    signal,
  );
  root.append(bar.root, inspector, grid, foot, light.dialog, said);
  el.append(root);

  function select(id) {
    selected = id;
    for (const [key, tile] of tiles) tile.firstElementChild.ariaPressed = String(key === id);
    if (model.get("selected") !== id) {
      model.set("selected", id);
      model.save_changes();
    }
    if (find(id)) pictures.askDetails(id); // so that copying needs no waiting
    inspect();
  }

  function inspect() {
    const item = find(selected);
    actions.set(item);
    inspector.toggleAttribute("data-none", !item);
    setText(caption, item ? item.label : "Choose a picture: what made it, and what can be done with it, stands here.");
    caption.dir = "auto";
    setFacts(captionFacts, item ? item.facts : []);
  }

  async function act(what, item, button) {
    if (what === "star" || what === "reject") {
      const isOn = what === "star" ? !item.star : !item.rej;
      marked.set(item.id, { ...marked.get(item.id), [what === "star" ? "star" : "rej"]: isOn });
      takeItems(); // shown at once; the kernel's answer follows when it can
      draw();
      model.send({ kind: what, id: item.id, on: isOn });
      setText(said, what === "star" ? (isOn ? "starred" : "star removed") : isOn ? "rejected" : "not rejected any more");
    } else if (what === "copy") {
      const details = pictures.details(item.id);
      answerOn(button, details ? ((await copyText(details.cell)) ? "Copied" : "Not allowed") : "Not here yet", signal);
    } else if (what === "download" || what === "clean") {
      answerOn(button, "Fetching…", signal);
      pictures.askSave(item.id, what === "clean", (bytes, message) => bytes?.byteLength && saveBytes(bytes, message.name, message.mime));
    } else if (what === "open") {
      const url = servedAddress(pictures.details(item.id)?.paths ?? []);
      if (url) window.open(url, "_blank", "noopener");
      else if (!pictures.whenFull(`full:${item.id}`, openTab(item.label))) answerOn(button, "Not allowed", signal);
    } else {
      model.send({ kind: "act", what, id: item.id });
      answerOn(button, { use: "Added", seed: "Taken over" }[what] ?? "Filled in", signal);
      light.close();
      const prompt = el.closest(".wan-panel")?.querySelector(".wan-f-prompt textarea");
      if (what === "edit") prompt?.focus();
      else if (what === "recall" || what === "newseed") prompt?.scrollIntoView({ block: "nearest" });
    }
  }

  function makeTile(id) {
    const item = make("li");
    const tile = make("button", "wan-tile");
    tile.type = "button";
    tile.dataset.id = id;
    tile.tabIndex = -1;
    const image = make("img");
    image.alt = "";
    image.decoding = "async";
    const marks = make("span", "wan-tile-marks");
    marks.ariaHidden = "true";
    tile.append(image, marks);
    tile.addEventListener("click", () => select(id));
    tile.addEventListener("dblclick", () => find(id) && light.show(find(id)));
    const stack = makeButton("", () => toggleStack(id), { className: "wan-tile-stack" });
    const open = makeButton("⤢", () => find(id) && light.show(find(id)), { className: "wan-tile-open", label: "Open the full view" });
    open.tabIndex = -1; // Enter on the picture does the same
    item.append(tile, open, stack);
    observer.observe(tile);
    return item;
  }

  function toggleStack(id) {
    const { stack } = find(id) ?? {};
    if (opened.has(stack)) opened.delete(stack);
    else opened.add(stack);
    draw();
  }

  function updateTile(li, { item, count, isOpen, isFirst }) {
    const [tile, , stack] = li.children;
    const marks = tile.querySelector(".wan-tile-marks");
    const words = [item.star ? "★" : "", item.rej ? "✕ rejected" : "", item.kind === "video" ? "video" : ""].filter(Boolean);
    setText(marks, words.join(" "));
    tile.toggleAttribute("data-rejected", item.rej);
    tile.title = item.label;
    tile.ariaLabel = [item.alt, item.star ? "starred" : "", item.rej ? "rejected" : "", count > 1 ? `${count} seeds` : ""].filter(Boolean).join(", ");
    tile.ariaPressed = String(item.id === selected);
    stack.hidden = count < 2 || !isFirst;
    setText(stack, isOpen ? `${count} ▴` : `${count} ▾`);
    stack.ariaExpanded = String(isOpen);
    stack.ariaLabel = `${count} pictures that differ only in their seed`;
    stack.title = isOpen ? "Close the stack" : `${count} seeds: open the stack`;
    li.className = `wan-tile-item${count > 1 && !isOpen ? " wan-stacked" : ""}${isOpen ? " wan-unstacked" : ""}`;
  }

  function draw() {
    const before = shown.map((tile) => tile.item.id);
    shown = arrange(items(), isStacking, opened);
    const ids = new Set(shown.map((tile) => tile.item.id));
    const holder = document.activeElement?.closest?.(".wan-tile-item");
    const focusAt = grid.contains(holder) && !ids.has(holder.firstElementChild.dataset.id) ? before.indexOf(holder.firstElementChild.dataset.id) : -1;
    const selectedAt = selected && !find(selected) ? before.indexOf(selected) : -1;
    for (const [id, li] of tiles) {
      if (ids.has(id)) continue;
      observer.unobserve(li.firstElementChild);
      li.remove();
      tiles.delete(id);
    }
    let place = grid.firstElementChild;
    for (const tile of shown) {
      let li = tiles.get(tile.item.id);
      if (!li) tiles.set(tile.item.id, (li = makeTile(tile.item.id)));
      updateTile(li, tile);
      if (li === place) place = place.nextElementSibling;
      else grid.insertBefore(li, place);
    }
    const stops = [...grid.querySelectorAll(".wan-tile")];
    if (stops.length && !stops.some((tile) => tile.tabIndex === 0)) stops[0].tabIndex = 0;
    bar.count(items().length, model.get("total"), new Set(items().map((item) => item.stack)).size, isStacking);
    grid.toggleAttribute("data-empty", !shown.length);
    grid.dataset.empty = model.get("empty");
    more.hidden = model.get("total") <= items().length;
    const next = (at) => shown[Math.min(at, shown.length - 1)]?.item.id ?? "";
    if (focusAt >= 0) tiles.get(next(focusAt))?.querySelector(".wan-tile").focus(); // what was rejected is gone: go on
    if (selectedAt >= 0) select(next(selectedAt));
    else if (selected && !find(selected)) selected = "";
    inspect();
    light.refresh();
  }

  grid.addEventListener("keydown", (event) => {
    const item = find(event.target.closest?.(".wan-tile")?.dataset.id);
    if (!item || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter") light.show(item);
    else if (event.key === "s") act("star", item, actions.buttons.get("star"));
    else if (event.key === "x") act("reject", item, actions.buttons.get("reject"));
    else return;
    event.preventDefault();
  });
  rove(grid, ".wan-tile", {
    columns: () => Math.max(1, getComputedStyle(grid).gridTemplateColumns.split(" ").length),
    onMove: (tile) => select(tile.dataset.id),
  });
  const relist = () => {
    marked.clear();
    takeItems();
    draw();
  };
  listen(model, signal, "change:items change:total change:empty", relist);
  listen(model, signal, "msg:custom", (message) => message?.kind === "listed" && relist());
  listen(model, signal, "change:tags", bar.update);
  signal.addEventListener("abort", () => observer.disconnect());
  draw();
  model.send({ kind: "hello" });
}

export default { render };
