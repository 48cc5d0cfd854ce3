// What the gallery holds: pictures by key, asked for when they are needed, and the order in which they lie.

/** The thumbnails and full pictures of a view, by key; each is asked for once. */
function makePictures(model, signal, onCome) {
  const thumbs = makeUrls(signal);
  const fulls = makeUrls(signal);
  const details = new Map();
  const asked = new Set();
  const images = new Map();
  const saves = new Map();
  const awaited = new Map(); // what is to be done once a full picture is here
  const askThumbs = makeBatch((keys) => {
    for (let at = 0; at < keys.length; at += 24) model.send({ kind: "thumbs", keys: keys.slice(at, at + 24) });
  });

  function once(key, message) {
    if (asked.has(key)) return;
    asked.add(key);
    model.send(message);
  }

  listen(model, signal, "msg:custom", (message, buffers) => {
    if (message?.kind === "thumbs") {
      message.keys.forEach((key, i) => {
        const url = thumbs.set(key, buffers[i], "image/webp");
        const image = images.get(key);
        if (image && url) image.src = url;
        image?.closest(".wan-tile")?.toggleAttribute("data-gone", !url);
      });
    } else if (message?.kind === "full") {
      if (!fulls.has(message.key)) fulls.set(message.key, buffers[0], message.mime);
      for (const callback of awaited.get(message.key) ?? []) callback(fulls.get(message.key));
      awaited.delete(message.key);
      onCome();
    } else if (message?.kind === "details") {
      details.set(message.id, message);
      onCome();
    } else if (message?.kind === "save") {
      saves.get(message.key)?.(buffers[0], message);
      saves.delete(message.key);
    }
  });

  return {
    thumb: (id) => thumbs.get(id),
    full: (key) => fulls.get(key),
    details: (id) => details.get(id),
    forget: (id) => (details.delete(id), asked.delete(`details:${id}`)),
    show(image, id) {
      images.set(id, image);
      if (thumbs.has(id)) {
        if (thumbs.get(id)) image.src = thumbs.get(id);
        else image.closest(".wan-tile")?.toggleAttribute("data-gone", true);
      } else if (!asked.has(`thumb:${id}`)) {
        asked.add(`thumb:${id}`);
        askThumbs(id);
      }
    },
    askFull: (key) => once(`full:${key}`, { kind: "full", key }),
    /** Call back with a full picture's address, now or when it comes; return whether there is anybody to call. */
    whenFull(key, callback) {
      if (!callback) return false;
      if (fulls.has(key)) callback(fulls.get(key));
      else {
        awaited.set(key, [...(awaited.get(key) ?? []), callback]);
        this.askFull(key);
      }
      return true;
    },
    askDetails: (id) => once(`details:${id}`, { kind: "details", id }),
    askSave(id, clean, callback) {
      const key = `${id}:${clean}:${Math.random()}`;
      saves.set(key, callback);
      model.send({ kind: "save", id, clean, key });
    },
  };
}

/** Put items into the order in which they are shown: stacks closed to their newest, or opened. */
function arrange(items, isStacking, opened) {
  if (!isStacking) return items.map((item) => ({ item, count: 1, isOpen: false, isFirst: true }));
  const counts = new Map();
  for (const item of items) counts.set(item.stack, (counts.get(item.stack) ?? 0) + 1);
  const seen = new Set();
  const shown = [];
  for (const item of items) {
    if (seen.has(item.stack)) continue;
    seen.add(item.stack);
    const isOpen = opened.has(item.stack);
    const members = isOpen ? items.filter((other) => other.stack === item.stack) : [item];
    members.forEach((member, i) => shown.push({ item: member, count: counts.get(item.stack), isOpen, isFirst: i === 0 }));
  }
  return shown;
}
