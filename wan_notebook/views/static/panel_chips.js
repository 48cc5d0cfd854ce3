// The chosen pictures as ordered chips "image 1 … 4", as prompts refer to them: moved by dragging, by buttons or with
// Alt and the arrow keys, and removed. The order lives in the trait `chosen`.

const CHIP_TYPE = "application/x-wan-chip";

/** Show the chips; `thumbOf` puts a thumbnail into an image element once it is there. */
function makeChips(model, { thumbOf, onChange }) {
  const list = make("ol", "wan-chips");
  list.ariaLabel = "Chosen pictures, in order";

  const chosen = () => model.get("chosen");

  function change(next, focusAt = -1, selector = ".wan-chip") {
    onChange(next);
    if (focusAt >= 0) list.children[focusAt]?.querySelector(selector)?.focus();
  }

  function move(from, to, selector) {
    const next = [...chosen()];
    if (to < 0 || to >= next.length || from === to) return;
    next.splice(to, 0, ...next.splice(from, 1));
    change(next, to, selector);
  }

  function remove(at) {
    const next = chosen().filter((_, i) => i !== at);
    change(next, Math.min(at, next.length - 1), ".wan-chip-remove");
  }

  function makeChip(expression, at, all) {
    const facts = model.get("facts")[expression] ?? { label: expression };
    const item = make("li", "wan-chip");
    item.draggable = true;
    item.toggleAttribute("data-wrong", Boolean(facts.problem));
    const frame = make("div", "wan-chip-frame");
    const image = make("img");
    image.alt = "";
    image.draggable = false;
    const number = make("span", "wan-chip-number", `image ${at + 1}`);
    frame.append(image, number);
    if (facts.key) thumbOf(image, facts.key);
    const name = make("bdi", "wan-chip-name", facts.label ?? expression);
    name.title = facts.problem || [...new Set([facts.label, expression, facts.size].filter(Boolean))].join(" · ");
    const size = make("div", "wan-chip-size", facts.problem ? "cannot be used" : facts.size ?? "");
    const bar = make("div", "wan-chip-bar");
    const who = `image ${at + 1}, ${facts.label ?? expression}`;
    const earlier = makeButton("‹", () => move(at, at - 1, ".wan-chip-earlier"), { className: "wan-tiny wan-chip-earlier", label: `Move ${who} forward` });
    const later = makeButton("›", () => move(at, at + 1, ".wan-chip-later"), { className: "wan-tiny wan-chip-later", label: `Move ${who} back` });
    const gone = makeButton("✕", () => remove(at), { className: "wan-tiny wan-chip-remove", label: `Remove ${who}` });
    setDisabled(earlier, at === 0);
    setDisabled(later, at === all.length - 1);
    bar.append(...(all.length > 1 ? [earlier, later] : []), gone);
    item.append(frame, name, size, bar);
    item.addEventListener("keydown", (event) => {
      if (event.altKey && event.key === "ArrowLeft") move(at, at - 1, ".wan-chip-earlier");
      else if (event.altKey && event.key === "ArrowRight") move(at, at + 1, ".wan-chip-later");
      else if (event.key === "Delete") remove(at);
      else return;
      event.preventDefault();
    });
    addDragging(item, at);
    return item;
  }

  function addDragging(item, at) {
    item.addEventListener("dragstart", (event) => {
      event.dataTransfer.setData(CHIP_TYPE, String(at));
      event.dataTransfer.effectAllowed = "move";
      event.stopPropagation();
    });
    item.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes(CHIP_TYPE)) return;
      event.preventDefault();
      event.stopPropagation();
      item.toggleAttribute("data-target", true);
    });
    item.addEventListener("dragleave", () => item.removeAttribute("data-target"));
    item.addEventListener("drop", (event) => {
      const from = event.dataTransfer.getData(CHIP_TYPE);
      item.removeAttribute("data-target");
      if (from === "") return;
      event.preventDefault();
      event.stopPropagation();
      move(Number(from), at, ".wan-chip-earlier");
    });
  }

  function update() {
    const all = chosen();
    const key = JSON.stringify([all, all.map((expression) => model.get("facts")[expression])]);
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    const focused = list.contains(document.activeElement)
      ? [[...list.children].indexOf(document.activeElement.closest(".wan-chip")), document.activeElement.className]
      : null;
    list.replaceChildren(...all.map(makeChip));
    if (!all.length) list.append(make("li", "wan-chips-empty", "No picture: text to image. Choose one below, or drop a file here, to edit it."));
    if (focused) list.children[Math.min(focused[0], list.children.length - 1)]?.getElementsByClassName(focused[1])[0]?.focus();
  }

  return { list, update };
}
