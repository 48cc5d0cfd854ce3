// The live card of a cell. Python words everything (display/live_card.py); the page counts seconds, shows a click at
// once, and shows the pictures itself if no static output came to replace it (after a page reload).

const RESULT_DELAY_MS = 1500; // the static output usually replaces the card well within this
const TICK_MS = 100;

/** Make the row of one job: built once, then only its texts change, and its height never. */
function makeRow(several, onCancel) {
  const row = make("div", "wan-job");
  const label = make("div", "wan-label wan-cut");
  const icon = make("span", "wan-icon");
  icon.ariaHidden = "true";
  const word = make("b");
  const name = make("bdi");
  label.append(icon, " ", word, " · ", name);
  const time = make("div", "wan-time");
  const progress = make("progress");
  progress.max = 1;
  const eta = make("div", "wan-eta wan-cut wan-muted");
  const act = make("div", "wan-act");
  const button = make("button", "", "Cancel");
  button.type = "button";
  act.append(button);
  const reason = make("div", "wan-reason wan-cut wan-muted");
  row.append(...(several ? [label] : []), time, progress, eta, act, reason);
  let job = null;
  button.addEventListener("click", () => {
    if (job && button.ariaDisabled !== "true") onCancel(job.id);
  });

  function updateProgress() {
    const calm = job.progress === null && matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (job.progress !== null) progress.value = job.progress;
    else if (calm) progress.value = 0; // no bar that runs to and fro
    else progress.removeAttribute("value");
    progress.ariaLabel = `progress of ${job.label}`;
  }

  function updateButton(requested) {
    // Not `disabled`: that would throw the keyboard's focus away.
    button.ariaDisabled = String(requested);
    button.ariaLabel = requested ? null : `Cancel ${job.label}`;
    setText(button, requested ? "cancel requested" : "Cancel");
    const absent = !(job.can_cancel || (requested && job.ticking));
    // What is hidden loses the keyboard's focus to the page: its cell takes it.
    if (absent && act.contains(document.activeElement)) act.closest('[tabindex="0"]')?.focus();
    act.toggleAttribute("data-absent", absent);
  }

  return {
    row,
    update(next, asked, silent) {
      job = next;
      row.toggleAttribute("data-silent", silent && next.ticking);
      row.style.setProperty("--wan-tone", next.tone);
      row.toggleAttribute("data-over", !next.ticking);
      setText(icon, next.icon);
      setText(word, next.word);
      setText(name, next.label);
      setText(eta, silent ? "" : next.eta);
      eta.title = eta.textContent;
      setLines(reason, several && next.reason ? [next.reason] : []);
      reason.title = reason.textContent;
      updateProgress();
      updateButton(asked);
      if (silent) act.toggleAttribute("data-absent", true); // nobody is there to hear it
    },
    tick(sinceSentS) {
      if (!job || job.elapsed_s === null) return setText(time, "");
      setText(time, durationText(job.elapsed_s + (job.ticking ? sinceSentS : 0)));
    },
  };
}

/** Build the card's skeleton. */
function makeParts(several) {
  const parts = {
    root: make("section", "wan-card"),
    head: make("div", "wan-cut"),
    icon: make("span", "wan-icon"),
    word: make("b"),
    facts: make("span"),
    jobs: make("div", several ? "wan-jobs wan-several" : "wan-jobs"),
    more: make("div", "wan-more wan-cut wan-muted"),
    ending: make("div", "wan-lines"),
    lines: make("div", "wan-lines"),
    said: make("div", "wan-said"),
  };
  parts.root.ariaLabel = "Wan job";
  parts.icon.ariaHidden = "true";
  parts.said.role = "status"; // polite: a change of state is read out, the seconds are not
  parts.head.append(parts.icon, " ", parts.word, " · ", parts.facts);
  parts.root.append(parts.head, parts.jobs, parts.more, parts.ending, parts.lines, parts.said);
  return parts;
}

function render({ model, el, signal }) {
  const several = model.get("view").jobs.length > 1;
  const parts = makeParts(several);
  const clock = makeClock();
  const rows = new Map();
  const asked = new Set();
  const silence = makeSilence(model, signal);
  let told = ""; // what was last said of a kernel that is silent
  const opened = performance.now();
  let showTimer = 0;

  const view = () => model.get("view");

  function updateHead() {
    const { icon, word, facts, tone, jobs } = view();
    parts.root.style.setProperty("--wan-tone", tone);
    setText(parts.icon, icon);
    const waiting = !several && jobs.some((job) => asked.has(job.id) && job.ticking);
    setText(parts.word, waiting ? `${word}, cancel requested` : word);
    setFacts(parts.facts, facts);
    const said = [parts.word.textContent, ...facts].join(" · ");
    setText(parts.said, said);
  }

  function updateJobs() {
    const { jobs, jobs_left_off: left } = view();
    const ids = new Set(jobs.map((job) => job.id));
    for (const [id, row] of rows) {
      if (ids.has(id)) continue; // of many jobs only those that want something have rows
      row.row.remove();
      rows.delete(id);
    }
    for (const [at, job] of jobs.entries()) {
      if (!job.ticking) asked.delete(job.id);
      if (!rows.has(job.id)) {
        const row = makeRow(several, cancel);
        rows.set(job.id, row);
        parts.jobs.insertBefore(row.row, parts.jobs.children[at] ?? null);
      }
      rows.get(job.id).update(job, asked.has(job.id), Boolean(told));
    }
    const below = several ? (left ? [`and ${left} more`] : []) : jobs[0].facts;
    parts.more.toggleAttribute("data-silent", Boolean(told));
    if (!told) setFacts(parts.more, below);
    else if (parts.more.dataset.key !== told) {
      parts.more.dataset.key = told;
      parts.more.replaceChildren(...richNodes(told)); // in the place of the facts, so that nothing jumps
      parts.more.title = told;
    }
  }

  function updateLines() {
    const { jobs, lines } = view();
    setLines(parts.ending, several ? [] : jobs[0].lines);
    setLines(parts.lines, lines, "wan-muted");
  }

  function updateTimes() {
    const line = view().jobs.some((job) => job.ticking) ? silence.line(view().show) : "";
    if (line !== told) {
      if (!told) setText(parts.said, line);
      told = line;
      updateJobs();
    }
    if (told) return; // what is not known does not count on
    for (const row of rows.values()) row.tick(clock.sinceSentS());
  }

  /** Show the static output here, once it is clear that it does not take this card's place. */
  function updateResult() {
    clearTimeout(showTimer);
    const { html, folder, show } = view();
    const wait = performance.now() - opened < 200 ? 0 : RESULT_DELAY_MS; // a page that opens on a finished job: at once
    if (html) showTimer = setTimeout(() => showResult(parts, html, folder, show), wait);
  }

  function updateAll() {
    updateHead();
    updateJobs();
    updateLines();
    updateTimes();
    updateResult();
  }

  function cancel(id) {
    asked.add(id);
    updateHead();
    updateJobs();
    model.send({ kind: "cancel", jobs: [id] });
  }

  function onView() {
    clock.arrived();
    updateAll();
  }

  function onMessage(message) {
    if (message?.kind !== "clock") return;
    clock.corrected(view().sent_at, message.now);
    updateTimes();
  }

  clock.found(view().sent_at);
  updateAll();
  el.append(parts.root);
  model.on("change:view", onView);
  model.on("msg:custom", onMessage);
  const ticker = setInterval(updateTimes, TICK_MS);
  model.send({ kind: "hello" });
  signal.addEventListener("abort", () => {
    clearInterval(ticker);
    clearTimeout(showTimer);
    model.off("change:view", onView);
    model.off("msg:custom", onMessage);
  });
}

export default { render };
