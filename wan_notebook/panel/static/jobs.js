// The rows of jobs: state, elapsed time (counted here), expected rest, cost, Cancel. They live in a trait, so that a
// reloaded page has them, and the kernel can change them while a cell computes.

const TICK_MS = 200;

/** Make the row of one job: built once, then only its texts change. */
function makeJobRow(onCancel, onDismiss) {
  let job = null;
  const icon = make("span", "wan-icon");
  icon.ariaHidden = "true";
  const word = make("b");
  const time = make("span", "wan-jobrow-time");
  const facts = make("span", "wan-muted");
  const lines = make("div", "wan-jobrow-lines");
  const bar = make("progress");
  const cancel = makeButton("Cancel", () => onCancel(job.id));
  const dismiss = makeButton("✕", () => onDismiss(job.id), { label: "Remove from this list" });
  const main = makeBox("div", "", makeBox("div", "wan-cut", word, " ", time, " ", facts), lines);
  const row = makeBox("li", "wan-jobrow", icon, main, bar, makeBox("div", "", cancel, dismiss));

  return {
    row,
    update(next, wasAsked, silent) {
      job = next;
      const isOver = !job.ticking;
      const said = silent && !isOver ? [silent] : job.lines;
      row.style.setProperty("--wan-tone", job.tone);
      row.toggleAttribute("data-over", isOver);
      setText(icon, job.icon);
      setText(word, wasAsked && !isOver ? "cancel requested" : job.word);
      setFacts(facts, [...job.facts, silent ? "" : job.eta].filter(Boolean));
      lines.classList.toggle("wan-muted", !said.length);
      setLines(lines, said.length ? said : [job.prompt], "wan-cut");
      lines.title = job.prompt;
      const isCalm = silent || matchMedia("(prefers-reduced-motion: reduce)").matches; // then no bar runs to and fro
      if (job.progress === null && !isCalm) bar.removeAttribute("value");
      else bar.value = job.progress ?? 0;
      bar.ariaLabel = `progress of ${job.label}`;
      bar.hidden = isOver;
      cancel.hidden = isOver || Boolean(silent) || !(job.can_cancel || wasAsked);
      setDisabled(cancel, wasAsked);
      setText(cancel, wasAsked ? "Cancelling…" : "Cancel");
      cancel.ariaLabel = `Cancel ${job.label}: ${job.prompt}`;
      dismiss.hidden = !isOver;
    },
    tick: (sinceS) => setText(time, durationText(job.elapsed_s + (job.ticking ? sinceS : 0))),
  };
}

function makeJobs(link, model) {
  const list = make("ul");
  const empty = make("div", "wan-empty", "Nothing is running.");
  const said = makeSaid();
  const root = makeBox("section", "wan-jobs wan-frame", list, empty, said);
  root.ariaLabel = "Jobs";
  const rows = new Map();
  const asked = new Set();
  const clock = makeClock();
  const silence = makeSilence(model, link.signal);

  function draw() {
    const { rows: jobs = [] } = link.get("jobs");
    for (const job of jobs) {
      if (!job.ticking) asked.delete(job.id);
      if (!rows.has(job.id)) rows.set(job.id, makeJobRow(cancel, dismiss));
      rows.get(job.id).update(job, asked.has(job.id), silence.line(`%wan show ${job.id}`));
    }
    const key = jobs.map((job) => job.id).join();
    if (list.dataset.key !== key) list.replaceChildren(...jobs.map((job) => rows.get(job.id).row));
    list.dataset.key = key;
    empty.hidden = jobs.length > 0;
    const running = jobs.filter((job) => job.ticking);
    setText(said, running.length ? `${running.length} running: ${running[0].word}` : jobs[0]?.word ?? "");
    if (!silence.isSilent()) for (const { tick } of rows.values()) tick(clock.sinceSentS());
  }

  function cancel(id) {
    asked.add(id);
    draw();
    link.send("jobs", "cancel", { job: id });
  }

  function dismiss(id) {
    rows.get(id).row.hidden = true; // the kernel's answer follows when it can
    link.send("jobs", "dismiss", { job: id });
  }

  clock.found(link.get("jobs").sent_at ?? Date.now() / 1000);
  draw();
  link.on("change:jobs", () => {
    clock.arrived();
    draw();
  });
  const ticker = setInterval(() => link.get("jobs").running && draw(), TICK_MS);
  link.signal.addEventListener("abort", () => clearInterval(ticker));
  return root;
}
