// What cannot be read or seen against what lies behind it, of what these selectors match.

const parse = (text) => {
  // rgb(…) from 0 to 255, what color-mix gives from 0 to 1
  const p = text.match(/[\d.]+/g).map((v, i) => v * (i < 3 && text.startsWith("color(") ? 255 : 1));
  return p.length < 4 ? [...p, 1] : p;
};
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
const light = (c) =>
  c
    .slice(0, 3)
    .map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const contrast = (one, other) => {
  const [a, b] = [light(one), light(other)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
};
const ground = (element) => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.unshift(parse(getComputedStyle(e).backgroundColor));
  return layers.reduce((below, top) => over(top, below), [255, 255, 255, 1]);
};

/** Texts under a contrast of 4.5, or under 3 for a sign that a word explains. */
function unreadable(css) {
  const bad = [];
  for (const root of document.querySelectorAll(css)) {
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const text = walk.currentNode.data.trim();
      const element = walk.currentNode.parentElement;
      if (!text || !element.checkVisibility({ checkOpacity: true })) continue;
      let alpha = 1;
      for (let e = element; e; e = e.parentElement) alpha *= +getComputedStyle(e).opacity;
      const below = ground(element);
      const ink = parse(getComputedStyle(element).color);
      const found = contrast(over([...ink.slice(0, 3), ink[3] * alpha], below), below);
      if (found < (/[\p{L}\p{N}]/u.test(text) ? 4.5 : 3)) bad.push([text.slice(0, 60), found.toFixed(2)]);
    }
  }
  return bad;
}

/** Outlines of what can be used, under 3:1 against what they stand on. */
function faint(css) {
  const shown = [...document.querySelectorAll(css)].filter((field) => field.checkVisibility());
  return shown
    .map((field) => [field.className, contrast(parse(getComputedStyle(field).borderTopColor), ground(field.parentElement))])
    .filter(([, found]) => found < 3);
}
