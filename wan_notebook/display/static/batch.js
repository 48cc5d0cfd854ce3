// The live card of a batch. Python counts and words everything (display/batch_card.py); the page shows a click at once,
// says so if the kernel falls silent, and shows the result itself if no static output came to replace the card.

const RESULT_DELAY_MS = 1500; // the static output usually replaces the card well within this
const TICK_MS = 1000;

/** Build the card's skeleton: every count and fact has its place from the beginning, so that nothing jumps. */
function makeParts({ name, plan, counts, facts }, onCancel) {
  const parts = {
    root: make("section", "wan-card wan-batch"),
    icon: make("span", "wan-icon"),
    word: make("b"),
    plan: make("div", "wan-cut wan-muted"),
    bar: make("progress"),
    done: make("span", "wan-time"),
    button: make("button", "", "Cancel"),
    counts: counts.map(() => makeCount()),
    facts: facts.map(() => make("bdi", "wan-cut")),
    more: make("div", "wan-more"),
    answer: make("div", "wan-lines"),
    said: make("div", "wan-said"),
  };
  parts.root.ariaLabel = `Wan batch ${name}`;
  parts.icon.ariaHidden = "true";
  parts.said.role = "status"; // polite: what changes is read out, the time left is not
  parts.button.type = "button";
  parts.button.addEventListener("click", onCancel);
  const head = make("div", "wan-cut");
  head.append(parts.icon, " ", parts.word, " · ", make("bdi", "", name));
  const act = make("div", "wan-act");
  act.append(parts.button);
  const row = make("div", "wan-batch-row");
  row.append(parts.bar, parts.done, act);
  const list = make("ul", "wan-batch-counts");
  list.append(...parts.counts.map((count) => count.item));
  const line = make("div", "wan-batch-facts wan-muted");
  line.append(...parts.facts);
  setFacts(parts.plan, plan);
  parts.root.append(head, parts.plan, row, list, line, parts.more, parts.answer, parts.said);
  return parts;
}

function makeCount() {
  const item = make("li");
  const icon = make("span", "wan-icon");
  icon.ariaHidden = "true";
  const number = make("b");
  const word = make("span");
  item.append(icon, " ", number, " ", word);
  return {
    item,
    update({ icon: sign, word: name, tone, count }) {
      item.style.setProperty("--wan-tone", tone);
      item.classList.toggle("wan-muted", !count);
      setText(icon, sign);
      setText(number, count.toLocaleString("en"));
      setText(word, name);
    },
  };
}

function render({ model, el, signal }) {
  const view = () => model.get("view");
  const silence = makeSilence(model, signal);
  const opened = performance.now();
  let isAsked = false;
  let told = ""; // what was last said of a kernel that is silent
  let saidAt = -Infinity;
  let showTimer = 0;
  const parts = makeParts(view(), cancel);

  function cancel() {
    if (parts.button.ariaDisabled === "true") return;
    isAsked = true;
    updateButton();
    setText(parts.said, "cancel requested");
    model.send({ kind: "cancel" });
  }

  function updateButton() {
    // Not `disabled`: that would throw the keyboard's focus away.
    parts.button.ariaDisabled = String(isAsked);
    setText(parts.button, isAsked ? "cancel requested" : "Cancel");
    parts.button.ariaLabel = isAsked ? null : `Cancel ${view().name}`;
    parts.button.toggleAttribute("data-absent", view().is_over || Boolean(told));
  }

  function updateCounts() {
    const { icon, word, tone, done, total, counts, facts } = view();
    parts.root.style.setProperty("--wan-tone", tone);
    setText(parts.icon, icon);
    setText(parts.word, isAsked && !view().is_over ? `${word}, cancel requested` : word);
    parts.bar.max = Math.max(total, 1);
    parts.bar.value = done;
    parts.bar.ariaLabel = `progress of ${view().name}`;
    parts.done.style.minWidth = `${2 * total.toLocaleString("en").length + 4}ch`; // as wide as it will be
    setText(parts.done, `${done.toLocaleString("en")} of ${total.toLocaleString("en")}`);
    counts.forEach((count, at) => parts.counts[at].update(count));
    parts.counts.at(-1).item.hidden = !counts.at(-1).count; // from the store: known from the beginning
    facts.forEach((fact, at) => {
      setText(parts.facts[at], told ? "" : fact);
      parts.facts[at].title = fact;
    });
  }

  /** Say where all of it is; in the same place why it is paused, or that the kernel is silent. */
  function updateLines() {
    const { paused, answer, show } = view();
    const line = told || paused || `\`${show}\` in a cell shows it again, from any kernel`;
    setLines(parts.more, [line], told || paused ? "" : "wan-muted");
    setLines(parts.answer, answer);
  }

  /** Read the counts out every half minute; at once what a person should know. */
  function say() {
    const { word, done, total, paused, answer, name } = view();
    const news = [told, paused, ...answer].filter(Boolean).join(" ");
    const now = performance.now();
    if (news !== parts.said.dataset.news || now - saidAt > 30_000 || view().is_over) {
      parts.said.dataset.news = news;
      saidAt = now;
      setText(parts.said, [`${name}: ${word}, ${done} of ${total}`, news].filter(Boolean).join(". "));
    }
  }

  function updateSilence() {
    const line = view().is_over ? "" : silence.line(view().show);
    if (line !== told) {
      told = line;
      parts.root.toggleAttribute("data-silent", Boolean(told));
      updateAll();
    }
  }

  function updateAll() {
    const { asked, html, folder, show } = view();
    if (asked) isAsked = asked === "asked";
    updateCounts();
    updateButton();
    updateLines();
    say();
    clearTimeout(showTimer);
    const wait = performance.now() - opened < 200 ? 0 : RESULT_DELAY_MS; // a page that opens on a finished batch: at once
    if (html) showTimer = setTimeout(() => showResult(parts, html, folder, show), wait);
  }

  updateAll();
  el.append(parts.root);
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
