// The history: a page of the ledger, sorted and filtered by the kernel.

// Columns: key in a row, title, what it sorts by.
const COLUMNS = [
  ["image", "", ""], ["when", "When", "created"], ["prompt", "Prompt", "prompt"], ["status", "Status", "status"],
  ["mode", "Mode", "mode"], ["size", "Size", ""], ["seed", "Seed", "seed"], ["pictures", "Pictures", "pictures"],
  ["took", "Took", "duration"], ["cost", "Cost", "cost"], ["tags", "Tags", ""], ["acts", "", ""],
];

function makeHistory(link, pictures, onForm) {
  const send = (kind, message) => link.send("history", kind, message);
  const options = { className: "wan-filter-words", placeholder: "Search prompts" };
  const words = makeInput("search", "Search prompts, names, tags, seeds and ids", options);
  const status = makeInput("select", "Status", { className: "wan-short" });
  let hasTrash = false;
  const bin = makeToggle("Include trash", "Show what is in the trash too", (isOn) => ((hasTrash = isOn), ask(0)));
  const filters = makeBox("div", "wan-row wan-filters", words, status, bin);
  filters.role = "search";
  const totals = makeSaid("");
  const head = make("tr");
  const body = make("tbody");
  const caption = make("caption", "wan-said", "Jobs of this folder, newest first unless sorted otherwise");
  const table = makeBox("table", "", caption, makeBox("thead", "", head), body);
  const newer = makeButton("‹ Newer", () => turn(-1));
  const older = makeButton("Older ›", () => turn(1));
  const place = make("span", "wan-muted");
  const foot = makeBox("div", "wan-row wan-history-foot", newer, place, older);
  const scroll = makeBox("div", "wan-history-scroll wan-frame", table);
  const root = makeBox("section", "wan-history", filters, totals, scroll, foot);
  root.ariaLabel = "History";
  const back = makeButton("", () => open(""), { label: "Back to all jobs" });
  filters.prepend(back);
  let batch = ""; // the one whose jobs are shown
  let order = { sort: "created", descending: true };

  function ask(offset) {
    send("query", { words: words.value, status: status.value || null, include_trashed: hasTrash, ...order, offset, batch });
  }

  function open(name) {
    batch = name;
    ask(0);
  }

  function turn(by) {
    const { offset = 0, limit = 25 } = link.get("history");
    ask(Math.max(0, offset + by * limit));
  }

  function sortBy(sort) {
    order = { sort, descending: order.sort === sort ? !order.descending : sort !== "prompt" };
    ask(0);
  }

  function makeHead([key, title, sort]) {
    const cell = make("th", `wan-col-${key}`, title);
    cell.scope = "col";
    if (!sort) return cell;
    const isOn = order.sort === sort;
    const sign = order.descending ? " ▾" : " ▴";
    cell.ariaSort = isOn ? (order.descending ? "descending" : "ascending") : "none";
    const button = makeButton(`${title}${isOn ? sign : ""}`, () => sortBy(sort), { className: "wan-plain", label: title });
    cell.replaceChildren(button);
    return cell;
  }

  function makeActs(job) {
    if (job.batch) return [makeButton("Open", () => open(job.batch), { label: `Open batch ${job.batch}: each of its jobs` })];
    const recall = makeButton("Recall", () => {
      send("recall", { job: job.id });
      onForm();
    }, { label: `Recall job ${job.id}: fill the form, run nothing` });
    const [text, label] = job.is_trashed ? ["Restore", "Take out of the trash"] : ["Trash", "Put into the trash"];
    const throwAway = () => send("trash", { job: job.id, on: !job.is_trashed });
    const toTrash = makeButton(text, throwAway, { label: `${label}: job ${job.id}` });
    setDisabled(toTrash, !job.is_settled); // what runs is not thrown away
    return [makeBox("div", "wan-row", recall, toTrash)];
  }

  const contents = {
    image: (job) => [pictures.makeImage(job.key, "wan-history-thumb")],
    prompt: (job) => [make("bdi", "wan-cut", job.prompt)],
    status: (job) => [make("span", "wan-icon", job.icon), " ", job.status],
    cost: (job) => [job.cost, " ", make("span", "wan-muted", job.source)],
    acts: makeActs,
  };

  function makeRow(job) {
    const cells = COLUMNS.map(([key]) => {
      const cell = makeBox("td", `wan-col-${key}`, ...(contents[key]?.(job) ?? [make("bdi", "", job[key])]));
      if (key === "prompt") cell.title = job.prompt;
      return cell;
    });
    const row = makeBox("tr", "", ...cells);
    row.dataset.job = job.id;
    row.style.setProperty("--wan-tone", job.tone);
    row.toggleAttribute("data-trashed", job.is_trashed);
    return row;
  }

  function draw() {
    const page = link.get("history");
    const { rows = [], offset = 0, limit = 25, total_rows: total = 0, totals: text = "", statuses = [] } = page;
    const focused = table.contains(document.activeElement) ? document.activeElement.ariaLabel : null;
    head.replaceChildren(...COLUMNS.map(makeHead));
    const nothing = make("td", "wan-empty", "Nothing matches.");
    nothing.colSpan = COLUMNS.length;
    body.replaceChildren(...(rows.length ? rows.map(makeRow) : [makeBox("tr", "", nothing)]));
    if (focused) [...table.querySelectorAll("button")].find((button) => button.ariaLabel === focused)?.focus();
    setText(totals, text);
    setText(back, page.batch ? `‹ All jobs · batch ${page.batch}` : "");
    back.hidden = !page.batch;
    const numbers = [offset + 1, Math.min(offset + limit, total), total].map((number) => number.toLocaleString("en"));
    setText(place, total ? `${numbers[0]}–${numbers[1]} of ${numbers[2]}` : "");
    setDisabled(newer, offset <= 0);
    setDisabled(older, offset + limit >= total);
    setOptions(status, [["", "any status"], ...statuses.map((name) => [name, name.replace("_", " ")])]);
  }

  const soon = afterPause(() => ask(0), 250, link.signal);
  words.addEventListener("input", soon);
  status.addEventListener("change", () => ask(0));
  link.follow(["history"], draw);
  return root;
}
