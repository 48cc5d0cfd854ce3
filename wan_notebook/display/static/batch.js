// The live card of a batch. Python counts and words everything (display/batch_card.py); the page shows a click at once,
// says so if the kernel falls silent, and shows the result itself if no static output came to replace the card.

const RESULT_DELAY_MS = 1500; // the static output usually replaces the card well within this
const TICK_MS = 1000;
const SAY_EVERY_MS = 30_000;

/** Make a grid of counts or facts: each keeps its place from the beginning, so that nothing jumps. */
function makeCells(className, cells) {
  const list = make("ul", className);
  const items = cells.map(() => {
    const item = make("li", "wan-cut");
    const parts = [make("span", "wan-icon"), make("b"), make("bdi")];
    parts[0].ariaHidden = "true";
    item.append(parts[0], " ", parts[1], " ", parts[2]);
    list.append(item);
    return { item, parts };
  });
  const update = (next) =>
    next.forEach(({ icon, count, word, tone }, at) => {
      const { item, parts } = items[at];
      item.style.setProperty("--wan-tone", tone);
      item.classList.toggle("wan-muted", count === 0);
      item.title = word;
      [icon, count?.toLocaleString("en") ?? "", word].forEach((text, part) => setText(parts[part], text));
    });
  return { list, update };
}

function render({ model, el, signal }) {
  const view = () => model.get("view");
  const silence = makeSilence(model, signal);
  const opened = performance.now();
  let isAsked = false;
  let told = ""; // what was last said of a kernel that is silent
  let saidAt = -Infinity;
  let showTimer = 0;

  const root = make("section", "wan-card wan-batch");
  const head = make("div", "wan-cut");
  const icon = make("span", "wan-icon");
  const word = make("b");
  const plan = make("div", "wan-cut wan-muted");
  const bar = make("progress");
  const done = make("span", "wan-time");
  const button = make("button", "", "Cancel");
  const act = make("div", "wan-act");
  const row = make("div", "wan-batch-row");
  const counts = makeCells("wan-cells", view().counts);
  const facts = makeCells("wan-cells wan-wide wan-muted", view().facts);
  const more = make("div", "wan-more");
  const answer = make("div", "wan-lines");
  const said = make("div", "wan-said");
  root.ariaLabel = `Wan batch ${view().name}`;
  icon.ariaHidden = "true";
  said.role = "status"; // polite: what happens is read out, the time left is not
  button.type = "button";
  button.addEventListener("click", () => {
    if (isAsked) return;
    isAsked = true;
    updateAll();
    model.send({ kind: "cancel" });
  });
  head.append(icon, " ", word, " · ", make("bdi", "", view().name));
  act.append(button);
  row.append(bar, done, act);
  root.append(head, plan, row, counts.list, facts.list, more, answer, said);

  function updateAll() {
    const now = view();
    if (now.asked) isAsked = now.asked === "asked";
    root.style.setProperty("--wan-tone", now.tone);
    root.toggleAttribute("data-silent", Boolean(told));
    setText(icon, now.icon);
    setText(word, isAsked && !now.is_over ? `${now.word}, cancel requested` : now.word);
    setFacts(plan, now.plan);
    bar.max = Math.max(now.total, 1);
    bar.value = now.done;
    bar.ariaLabel = `progress of ${now.name}`;
    const [ended, all] = [now.done, now.total].map((count) => count.toLocaleString("en"));
    done.style.minWidth = `${2 * all.length + 4}ch`; // as wide as it will be
    setText(done, `${ended} of ${all}`);
    button.ariaDisabled = String(isAsked); // not `disabled`: that would throw the keyboard's focus away
    button.ariaLabel = isAsked ? null : `Cancel ${now.name}`;
    setText(button, isAsked ? "cancel requested" : "Cancel");
    act.toggleAttribute("data-absent", now.is_over || Boolean(told));
    counts.update(now.counts);
    facts.update(now.facts.map((fact) => ({ icon: "", word: told ? "" : fact })));
    // Where all of it is; in the same place why it is paused, or that the kernel is silent.
    const line = told || now.paused;
    setLines(more, [line || `\`${now.show}\` in a cell shows it again, from any kernel`], line ? "" : "wan-muted");
    setLines(answer, now.answer);
    say([`${now.name}: ${word.textContent}.`, line, ...now.answer].filter(Boolean).join(" "), ended, all);
    clearTimeout(showTimer);
    const wait = performance.now() - opened < 200 ? 0 : RESULT_DELAY_MS; // a page that opens on a finished batch: at once
    if (now.html) showTimer = setTimeout(() => showResult({ root, said }, now.html, now.folder, now.show), wait);
  }

  /** Read news out at once, and every half minute how many are done. */
  function say(news, ended, all) {
    if (news === said.dataset.news && performance.now() - saidAt < SAY_EVERY_MS) return;
    said.dataset.news = news;
    saidAt = performance.now();
    setText(said, `${news} ${ended} of ${all}`);
  }

  function updateSilence() {
    const line = view().is_over ? "" : silence.line(view().show);
    if (line === told) return;
    told = line;
    updateAll();
  }

  updateAll();
  el.append(root);
  model.on("change:view", updateAll);
  const ticker = setInterval(updateSilence, TICK_MS);
  model.send({ kind: "hello" });
  signal.addEventListener("abort", () => {
    clearInterval(ticker);
    clearTimeout(showTimer);
    model.off("change:view", updateAll);
  });
}

export default { render };
