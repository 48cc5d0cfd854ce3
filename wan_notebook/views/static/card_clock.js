// What the page knows of the kernel's time, and whether the kernel is still there. Joined in front of the live card and
// of the panel's rows, since a widget's module cannot import another.

const SILENT_AFTER_S = 20; // while something runs the kernel sends a word every few seconds, whatever computes

/** Know how long ago the kernel sent what is shown, whatever the two clocks say. */
function makeClock() {
  let arrivedMs = performance.now();
  let ageS = 0;
  return {
    /** What a page that was just opened finds may be old: believe the clocks until the kernel has answered. */
    found(sentAt) {
      arrivedMs = performance.now();
      ageS = Math.min(Math.max(0, Date.now() / 1000 - sentAt), 86_400);
    },
    arrived() {
      arrivedMs = performance.now();
      ageS = 0;
    },
    corrected(sentAt, kernelNow) {
      arrivedMs = performance.now();
      ageS = Math.max(0, kernelNow - sentAt);
    },
    sinceSentS() {
      return ageS + (performance.now() - arrivedMs) / 1000;
    },
  };
}

/**
 * Know whether the kernel has gone: a kernel that was restarted ends its line to the widget, and says nothing more.
 * `lines(show)` is what to tell a person, none while all is well; `show` is the command that brings the pictures.
 */
function makeSilence(model, signal) {
  let heardMs = performance.now();
  let isCut = false;
  const heard = () => {
    heardMs = performance.now();
    isCut = false;
  };
  const cut = () => (isCut = true);
  const handlers = { "change:view change:jobs change:sent_at msg:custom": heard, comm_live_update: cut };
  for (const [events, handler] of Object.entries(handlers)) model.on(events, handler);
  signal.addEventListener("abort", () => {
    for (const [events, handler] of Object.entries(handlers)) model.off(events, handler);
  });
  const silentS = () => (performance.now() - heardMs) / 1000;
  const isSilent = () => isCut || silentS() >= SILENT_AFTER_S;
  return {
    isSilent,
    line(show) {
      if (!isSilent()) return "";
      const what = isCut ? "the line to the kernel ended" : `no word from the kernel for ${Math.floor(silentS() / 5) * 5} s`;
      return `${what}: if it was restarted, \`%wan resume\` and \`${show}\` bring the pictures`;
    },
  };
}
