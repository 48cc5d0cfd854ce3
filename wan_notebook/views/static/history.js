// The history: a page of the ledger, sorted and filtered by the kernel.

const DELAY_MS = 250;
const COLUMNS = [
  ["", "", "Picture"],
  ["created", "When", ""],
  ["prompt", "Prompt", ""],
  ["state", "State", ""],
  ["mode", "Mode", ""],
  ["", "Size", ""],
  ["seed", "Seed", ""],
  ["pictures", "Pict.", "Pictures"],
  ["duration", "Took", ""],
  ["cost", "Cost", ""],
  ["", "Tags", ""],
  ["", "", "Actions"],
];

function render({ model, el, signal }) {
  const root = make("section", "wan-history");
  root.ariaLabel = "History";
  const urls = makeUrls(signal);
  const cells = new Map(); // equivalent cells that have come, by job
  const wanted = new Map(); // buttons that wait for one
  const bar = make("div", "wan-filters");
  bar.role = "search";
  const field = (className, type, label) => {
    const input = make("input", `wan-input ${className}`);
    input.type = type;
    input.placeholder = label;
    input.ariaLabel = label;
    input.addEventListener("input", soon);
    return input;
  };
  const words = field("wan-filter-words", "search", "Search prompts, names, ids");
  const seed = field("wan-filter-seed", "text", "seed");
  const tag = field("wan-filter-seed", "text", "tag");
  const state = make("select", "wan-input");
  state.ariaLabel = "State";
  state.addEventListener("change", () => query({ offset: 0 }));
  const trash = makeButton("Trash too", () => {
    trash.ariaPressed = String(trash.ariaPressed !== "true");
    query({ offset: 0 });
  }, { className: "wan-small" });
  trash.ariaPressed = "false";
  const csv = makeButton("Export CSV", () => {
    answer(csv, "Exporting…", 60_000);
    model.send({ kind: "csv" });
  }, { className: "wan-small", title: "Everything that matches, not only this page" });
  bar.append(words, seed, tag, state, trash, csv);
  const totals = make("div", "wan-history-totals");
  totals.role = "status";
  const scroll = make("div", "wan-history-scroll");
  const table = make("table");
  const head = make("thead");
  const body = make("tbody");
  table.role = "table";
  for (const part of [head, body]) part.role = "rowgroup";
  table.append(make("caption", "wan-said", "Jobs of this folder, newest first unless sorted otherwise"), head, body);
  scroll.append(table);
  const foot = make("div", "wan-history-foot");
  const previous = makeButton("‹ Newer", () => turn(-1), { className: "wan-small" });
  const next = makeButton("Older ›", () => turn(1), { className: "wan-small" });
  const place = make("span", "wan-muted");
  foot.append(previous, place, next);
  root.append(bar, totals, scroll, foot);
  el.append(root);
  let timer = 0;
  let order = { sort: "created", descending: true };

  const page = () => model.get("page");

  function query({ offset }) {
    clearTimeout(timer);
    const filter = { words: words.value, seed: seed.value.trim(), tag: tag.value.trim(), state: state.value };
    root.toggleAttribute("data-busy", true);
    model.send({ kind: "query", ...filter, trash: trash.ariaPressed === "true", offset, ...order });
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(() => query({ offset: 0 }), DELAY_MS);
  }

  function turn(by) {
    const { offset = 0, limit = 25, total_rows: total = 0 } = page();
    const to = offset + by * limit;
    if (to >= 0 && to < total) query({ offset: to });
  }

  function sortBy(name) {
    order = { sort: name, descending: order.sort === name ? !order.descending : name !== "prompt" };
    query({ offset: 0 });
  }

  function drawHead() {
    const row = make("tr");
    row.role = "row";
    for (const [name, text, label] of COLUMNS) {
      const cell = make("th");
      cell.scope = "col";
      cell.role = "columnheader";
      if (name) {
        const isOn = order.sort === name;
        cell.ariaSort = isOn ? (order.descending ? "descending" : "ascending") : "none";
        const button = make("button", "wan-sort", `${text}${isOn ? (order.descending ? " ▾" : " ▴") : ""}`);
        button.type = "button";
        button.dataset.sort = name;
        if (label) button.ariaLabel = label;
        button.addEventListener("click", () => sortBy(name));
        cell.append(button);
      } else cell.append(make("span", label ? "wan-said" : "", text || label));
      row.append(cell);
    }
    const focused = head.contains(document.activeElement) ? document.activeElement.dataset.sort : "";
    head.replaceChildren(row);
    if (focused) head.querySelector(`[data-sort="${focused}"]`)?.focus();
  }

  function makeRow(job) {
    const row = make("tr");
    row.role = "row";
    row.dataset.job = job.id;
    row.toggleAttribute("data-trashed", job.trashed);
    const image = make("img", "wan-history-thumb");
    image.alt = "";
    image.width = 44;
    image.height = 44;
    if (urls.get(job.key)) image.src = urls.get(job.key);
    const prompt = make("bdi", "wan-history-prompt", job.prompt);
    prompt.title = job.prompt;
    const look = make("span", "wan-history-state");
    look.style.setProperty("--wan-tone", job.tone);
    const icon = make("span", "wan-jobrow-icon", job.icon);
    icon.ariaHidden = "true";
    look.append(icon, " ", make("span", "", job.state));
    const cost = make("span", "", job.cost);
    cost.title = job.source;
    const money = make("div");
    money.append(cost, make("div", "wan-muted wan-history-source", job.source));
    const acts = make("div", "wan-history-acts");
    const who = `job ${job.id}`;
    acts.append(
      makeButton("Recall", (event) => act("recall", job, event.currentTarget), { className: "wan-small", label: `Recall ${who}: fill the form, run nothing` }),
      makeButton("Copy cell", (event) => copy(job, event.currentTarget), { className: "wan-small", label: `Copy the cell of ${who}` }),
      makeButton(job.trashed ? "Restore" : "Trash", (event) => act(job.trashed ? "restore" : "trash", job, event.currentTarget), { className: "wan-small", label: `${job.trashed ? "Take out of the trash" : "Put into the trash"}: ${who}` }),
    );
    setDisabled(acts.lastElementChild, !job.settled); // what runs is not thrown away
    const values = [image, job.when, prompt, look, job.mode, job.size, job.seed ?? "", job.pictures, job.took, money, job.tags, acts];
    values.forEach((value, at) => {
      const cell = make("td");
      cell.role = "cell"; // said aloud, since a narrow panel lays rows out as blocks
      cell.append(value instanceof Node ? value : make("bdi", "", String(value)));
      if ([6, 7, 8].includes(at)) cell.className = "wan-number";
      row.append(cell);
    });
    return row;
  }

  function act(what, job, button) {
    model.send({ kind: "act", what, job: job.id });
    answer(button, what === "recall" ? "Recalled" : "Asked…");
  }

  async function copy(job, button) {
    if (!cells.has(job.id)) {
      wanted.set(job.id, button);
      model.send({ kind: "cell", job: job.id });
      return;
    }
    answer(button, (await copyText(cells.get(job.id))) ? "Copied" : "Press again");
  }

  function answer(button, text, forMs = 1600) {
    const before = (button.dataset.text ??= button.textContent);
    setText(button, text);
    const timeout = setTimeout(() => setText(button, before), forMs);
    signal.addEventListener("abort", () => clearTimeout(timeout));
  }

  function draw() {
    const { rows = [], offset = 0, limit = 25, total_rows: total = 0, totals: text = "", sort, descending } = page();
    if (sort) order = { sort, descending };
    root.removeAttribute("data-busy");
    drawHead();
    const focused = body.contains(document.activeElement)
      ? [document.activeElement.closest("tr").dataset.job, [...body.querySelectorAll("button")].indexOf(document.activeElement) % 3]
      : null;
    body.replaceChildren(...rows.map(makeRow));
    if (focused) body.querySelector(`tr[data-job="${CSS.escape(focused[0])}"]`)?.querySelectorAll("button")[focused[1]]?.focus();
    if (!rows.length) {
      const empty = make("td", "wan-history-empty", "Nothing matches.");
      empty.colSpan = COLUMNS.length;
      const row = make("tr");
    row.role = "row";
      row.append(empty);
      body.append(row);
    }
    setText(totals, text);
    setText(place, total ? `${(offset + 1).toLocaleString("en")}–${Math.min(offset + limit, total).toLocaleString("en")} of ${total.toLocaleString("en")}` : "");
    setDisabled(previous, offset <= 0);
    setDisabled(next, offset + limit >= total);
    const missing = rows.map((job) => job.key).filter((key) => key && !urls.has(key));
    if (missing.length) model.send({ kind: "thumbs", keys: missing });
  }

  function drawStates() {
    state.replaceChildren(
      ...["", ...model.get("states")].map((name) => {
        const option = make("option", "", name || "any state");
        option.value = name;
        return option;
      }),
    );
  }

  listen(model, signal, "change:page", draw);
  listen(model, signal, "msg:custom", (message, buffers) => {
    if (message?.kind === "thumbs") {
      message.keys.forEach((key, i) => urls.set(key, buffers[i], "image/webp"));
      const byJob = new Map(page().rows.map((job) => [job.id, job.key]));
      for (const row of body.children) {
        const url = urls.get(byJob.get(row.dataset.job));
        if (url) row.querySelector("img").src = url;
      }
    } else if (message?.kind === "cell") {
      cells.set(message.job, message.cell);
      const button = wanted.get(message.job);
      wanted.delete(message.job);
      if (button) copy({ id: message.job }, button);
    } else if (message?.kind === "csv") {
      saveBytes(buffers[0], message.name, "text/csv");
      answer(csv, "Exported");
    }
  });
  signal.addEventListener("abort", () => clearTimeout(timer));
  drawStates();
  draw();
  model.send({ kind: "hello" });
}

export default { render };
