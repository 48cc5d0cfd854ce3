// A model and a host that behave as anywidget 0.11 does towards a front-end module: get, set, save_changes, send,
// on, off; initialize({model, signal}), then render({model, el, signal}), each of which may return a cleanup.

const decode = (value) => {
  if (Array.isArray(value)) return value.map(decode);
  if (value && typeof value === "object") {
    if ("__bytes__" in value) {
      const bytes = Uint8Array.from(atob(value.__bytes__), (c) => c.charCodeAt(0));
      return new DataView(bytes.buffer); // what a Bytes trait is in a browser
    }
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, decode(v)]));
  }
  return value;
};

const same = (a, b) => a === b || (typeof a === "object" && !(a instanceof DataView) && JSON.stringify(a) === JSON.stringify(b));

class Model {
  #state;
  #dirty = {};
  #listeners = [];
  saved = [];
  sent = [];

  constructor(state) {
    this.#state = state;
  }

  get(name) {
    return this.#state[name];
  }

  set(name, value) {
    const change = typeof name === "string" ? { [name]: value } : name;
    Object.assign(this.#dirty, change);
    this.#assign(change);
  }

  #assign(change) {
    const changed = Object.keys(change).filter((k) => !same(this.#state[k], change[k]));
    Object.assign(this.#state, change);
    for (const name of changed) this.#fire(`change:${name}`, this, this.#state[name]);
    if (changed.length) this.#fire("change", this);
  }

  save_changes() {
    this.saved.push(structuredClone(this.#dirty)); // structuredClone: what cannot be sent fails here too
    this.#dirty = {};
  }

  send(content, callbacks, buffers) {
    this.sent.push(structuredClone(content));
  }

  on(events, callback) {
    for (const event of events.split(/\s+/)) this.#listeners.push({ event, callback });
  }

  off(events, callback) {
    const named = events ? events.split(/\s+/) : null;
    this.#listeners = this.#listeners.filter(
      (l) => (named && !named.includes(l.event)) || (callback && l.callback !== callback),
    );
  }

  #fire(event, ...args) {
    for (const listener of [...this.#listeners]) if (listener.event === event) listener.callback(...args);
  }

  fromKernel(change) {
    this.#assign(change);
  }

  receive(message, buffers) {
    this.#fire("msg:custom", message, buffers);
  }

  listeners() {
    return this.#listeners.length;
  }
}

const mounted = [];

async function mount([state, source]) {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const module = await import(url);
  URL.revokeObjectURL(url);
  if (!module.default) throw new Error("the module has no default export");
  const definition = typeof module.default === "function" ? await module.default() : module.default;
  const model = new Model(decode(state));
  const controller = new AbortController();
  const { signal } = controller;
  const number = mounted.length;
  const el = document.createElement("div");
  el.id = `widget-${number}`;
  document.body.append(el);
  const initialized = await definition.initialize?.({ model, signal });
  const rendered = await definition.render?.({ model, el, signal });
  const cleanups = [rendered, initialized].filter((f) => typeof f === "function");
  const dispose = async () => {
    controller.abort("view destroyed");
    for (const cleanup of cleanups) await cleanup();
    el.remove();
  };
  mounted.push({ model, dispose });
  return number;
}

async function call(number, method, args) {
  const { model, dispose } = mounted[number];
  if (method === "dispose") return dispose();
  if (method === "saved" || method === "sent") return model[method];
  return model[method](...args.map(decode));
}

window.widgetStub = { mount, call };
