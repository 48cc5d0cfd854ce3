// What the gallery shows: words, seed, tag, starred ones, rejected ones too, and whether seeds stack.

const FILTER_DELAY_MS = 250;

function makeFilters(model, signal, onStack) {
  const root = make("div", "wan-filters");
  root.role = "search";
  const words = make("input", "wan-input wan-filter-words");
  words.type = "search";
  words.placeholder = "Search prompts";
  words.ariaLabel = "Search prompts, names, tags and ids";
  const seed = make("input", "wan-input wan-filter-seed");
  seed.type = "text";
  seed.inputMode = "numeric";
  seed.placeholder = "seed";
  seed.ariaLabel = "Seed";
  const tag = make("select", "wan-input wan-filter-tag");
  tag.ariaLabel = "Tag";
  const star = toggle("★ Starred only", "Show only pictures that are starred (★)");
  const rejected = toggle("✕ Rejected too", "Show rejected pictures too, in grey (✕)");
  const stack = toggle("Stack seeds", "Pictures that differ only in their seed lie on one another; the number on a picture opens its stack");
  stack.ariaPressed = "true";
  const count = make("div", "wan-filter-count wan-muted");
  count.role = "status";
  root.append(words, seed, tag, star, rejected, stack, count);
  let timer = 0;

  function toggle(text, title) {
    const button = makeButton(text, () => {
      button.ariaPressed = String(button.ariaPressed !== "true");
      if (button === stack) onStack(button.ariaPressed === "true");
      else send();
    }, { className: "wan-small", title });
    button.ariaLabel = `${text.replace(/^\W+/, "")}: ${title}`;
    button.ariaPressed = "false";
    return button;
  }

  function send() {
    clearTimeout(timer);
    model.send({
      kind: "filter",
      words: words.value,
      seed: seed.value.trim(),
      tag: tag.value,
      starred: star.ariaPressed === "true",
      rejected: rejected.ariaPressed === "true",
    });
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(send, FILTER_DELAY_MS);
  }

  function update() {
    const tags = ["", ...model.get("tags")];
    const now = tag.value;
    tag.replaceChildren(
      ...tags.map((name) => {
        const option = make("option", "", name || "any tag");
        option.value = name;
        return option;
      }),
    );
    tag.value = tags.includes(now) ? now : "";
  }

  for (const field of [words, seed]) field.addEventListener("input", soon);
  tag.addEventListener("change", send);
  signal.addEventListener("abort", () => clearTimeout(timer));
  update();

  return {
    root,
    update,
    count(here, total, stacks, isStacking) {
      const pictures = `${total.toLocaleString("en")} picture${total === 1 ? "" : "s"}`;
      const first = total > here ? `, newest ${here}` : "";
      setText(count, pictures + first + (isStacking && stacks < here ? ` in ${stacks} stack${stacks === 1 ? "" : "s"}` : ""));
      count.title = count.textContent;
    },
  };
}
