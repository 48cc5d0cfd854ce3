// The rows of jobs: state, elapsed (counted here), expected rest, cost, Cancel. They live in traits, so that a reloaded
// page has them, and the kernel can change them while a cell computes.

const TICK_MS = 200;

/** Make the row of one job: built once, then only its texts change. */
function makeRow(onCancel, onDismiss) {
  const row = make("li", "wan-jobrow");
  const icon = make("span", "wan-jobrow-icon");
  icon.ariaHidden = "true";
  const main = make("div", "wan-jobrow-main");
  const top = make("div", "wan-jobrow-top");
  const word = make("b");
  const time = make("span", "wan-jobrow-time");
  const facts = make("span", "wan-jobrow-facts wan-muted");
  top.append(word, " ", time, " ", facts);
  const prompt = make("div", "wan-jobrow-prompt");
  const bar = make("progress");
  bar.max = 1;
  main.append(top, prompt);
  const cancel = makeButton("Cancel", () => onCancel(job.id), { className: "wan-small" });
  const dismiss = makeButton("✕", () => onDismiss(job.id), { className: "wan-small wan-icon-only", label: "Remove from this list" });
  row.append(icon, main, bar, cancel, dismiss);
  let job = null;

  return {
    row,
    update(next, asked, silent) {
      job = next;
      row.toggleAttribute("data-silent", Boolean(silent) && next.ticking);
      const requested = next.ticking && (asked || next.cancel_requested);
      row.style.setProperty("--wan-tone", next.tone);
      row.toggleAttribute("data-over", !next.ticking);
      setText(icon, next.icon);
      setText(word, requested ? "cancel requested" : next.word);
      setFacts(facts, [next.label, next.cost, silent ? "" : next.eta].filter(Boolean));
      const lines = silent && next.ticking ? [silent] : next.reasons;
      setLines(prompt, lines.length ? lines : [next.prompt]);
      prompt.toggleAttribute("data-reason", lines.length > 0);
      prompt.title = next.prompt;
      if (next.progress === null) bar.removeAttribute("value");
      else bar.value = next.progress;
      bar.ariaLabel = `progress of ${next.label}`;
      bar.hidden = !next.ticking;
      cancel.hidden = !(next.can_cancel || requested) || !next.ticking || Boolean(silent);
      setDisabled(cancel, requested);
      setText(cancel, requested ? "Cancelling…" : "Cancel");
      cancel.ariaLabel = `Cancel ${next.label}: ${next.prompt}`;
      dismiss.hidden = next.ticking;
      dismiss.ariaLabel = `Remove ${next.label} from this list`;
    },
    tick(sinceS) {
      const known = job && job.elapsed_s !== null;
      setText(time, known ? durationText(job.elapsed_s + (job.ticking ? sinceS : 0)) : "");
    },
  };
}

function render({ model, el, signal }) {
  const root = make("section", "wan-jobs");
  root.ariaLabel = "Jobs";
  const list = make("ul");
  const empty = make("div", "wan-jobs-empty", "Nothing is running.");
  const said = makeSaid();
  root.append(list, empty, said);
  el.append(root);
  const rows = new Map();
  const asked = new Set();
  const silence = makeSilence(model, signal);
  let isSilent = false;
  let arrivedMs = performance.now();
  let ageS = Math.min(Math.max(0, Date.now() / 1000 - (model.get("sent_at") || Date.now() / 1000)), 86_400);

  const sinceS = () => ageS + (performance.now() - arrivedMs) / 1000;

  function draw() {
    const jobs = model.get("jobs");
    const ids = new Set(jobs.map((job) => job.id));
    for (const [id, row] of rows) {
      if (ids.has(id)) continue;
      row.row.remove();
      rows.delete(id);
    }
    jobs.forEach((job, at) => {
      if (!job.ticking || job.cancel_requested) asked.delete(job.id); // from here on the kernel says what became of it
      if (!rows.has(job.id)) rows.set(job.id, makeRow(cancel, dismiss));
      const { row, ...view } = rows.get(job.id);
      view.update(job, asked.has(job.id), silence.line(`%wan show ${job.id}`));
      if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
    });
    empty.hidden = jobs.length > 0;
    const running = jobs.filter((job) => job.ticking);
    setText(said, running.length ? `${running.length} running: ${running[0].word}` : jobs.length ? `Newest job: ${jobs[0].word}` : "");
  }

  function update() {
    draw();
    tick();
  }

  function tick() {
    const wasSilent = isSilent;
    isSilent = silence.isSilent();
    if (isSilent || wasSilent) draw();
    if (!isSilent) for (const row of rows.values()) row.tick(sinceS());
  }

  function cancel(id) {
    asked.add(id);
    update();
    model.send({ kind: "cancel", job: id });
  }

  function dismiss(id) {
    rows.get(id)?.row.remove();
    rows.delete(id);
    model.send({ kind: "dismiss", job: id });
    empty.hidden = rows.size > 0;
  }

  listen(model, signal, "change:jobs", () => {
    arrivedMs = performance.now();
    ageS = 0;
    update();
  });
  listen(model, signal, "msg:custom", (message) => {
    if (message?.kind !== "clock") return;
    arrivedMs = performance.now();
    ageS = Math.max(0, message.now - model.get("sent_at"));
    tick();
  });
  const ticker = setInterval(tick, TICK_MS);
  signal.addEventListener("abort", () => clearInterval(ticker));
  update();
  model.send({ kind: "hello" });
}

export default { render };
