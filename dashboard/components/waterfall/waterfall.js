// A trace as rows in time. Only the rows in view are in the page, so thousands of spans stay quick.
// Text from data is set as text only, never as HTML.
const ROW = 28, TALLEST = 560, INDENT = 12, DEEPEST = 14;
const views = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  const old = views.get(parentElement);
  if (old && old.id === data.id && old.spans === data.spans.length && old.root.isConnected) {
    old.update(data, setStateValue);
    return;
  }
  const view = new View(data, parentElement.querySelector(".wf"), setStateValue);
  views.set(parentElement, view);
}

function make(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function said(ns) {
  const ms = ns / 1e6;
  if (ms >= 3600000) return (ms / 3600000).toFixed(1) + " h";
  if (ms >= 60000) return (ms / 60000).toFixed(1) + " min";
  if (ms >= 1000) return (ms / 1000).toFixed(2) + " s";
  if (ms >= 1) return ms.toFixed(ms < 10 ? 1 : 0) + " ms";
  return ns ? Math.max(1, Math.round(ms * 1000)) + " µs" : "0";
}

class View {
  constructor(data, host, choose) {
    this.id = data.id;
    this.spans = data.spans.length;
    this.data = data;
    this.choose = choose;
    this.closed = new Set();
    this.from = 0;
    this.to = Math.max(1, data.length);
    this.text = "";
    this.service = "";
    this.errors = false;
    this.root = host;
    host.replaceChildren(this.tools(), this.frame(), this.key());
    this.list();
    const chosen = data.spans.findIndex((span) => span.key === data.selected);
    this.current = Math.max(0, this.rows.indexOf(chosen));
    this.draw();
    if (chosen > 0) this.show(this.current);
    new ResizeObserver(() => this.draw()).observe(this.body);
  }

  update(data, choose) {
    this.data = data;
    this.choose = choose;
    this.draw();
  }

  tools() {
    const bar = make("div", "tools");
    const text = make("input");
    text.type = "search";
    text.placeholder = "Filter by name or service";
    text.setAttribute("aria-label", "Filter spans by name or service");
    text.oninput = () => { this.text = text.value.trim().toLowerCase(); this.narrow(); };
    const services = make("select");
    services.setAttribute("aria-label", "Service");
    services.append(new Option("All services", ""), ...this.data.services.map((name) => new Option(name, name)));
    services.onchange = () => { this.service = services.value; this.narrow(); };
    const errors = make("label");
    const box = make("input");
    box.type = "checkbox";
    box.onchange = () => { this.errors = box.checked; this.narrow(); };
    errors.append(box, "Errors only");
    const fold = make("span", "group");
    fold.append(
      this.button("Collapse all", () => { this.data.spans.forEach((span, i) => span.size > 1 && this.closed.add(i)); this.narrow(); }),
      this.button("Expand all", () => { this.closed.clear(); this.narrow(); }));
    const zoom = make("span", "group");
    this.whole = this.button("Whole trace", () => this.zoom(0, this.data.length));
    zoom.append(
      this.button("−", () => this.scale(2), "Zoom out"), this.button("+", () => this.scale(0.5), "Zoom in"),
      this.button("To span", () => this.zoomToSpan(), "Zoom to the chosen span"), this.whole);
    this.counted = make("span", "said");
    this.counted.setAttribute("aria-live", "polite");
    bar.append(text, services, errors, fold, zoom, this.counted);
    return bar;
  }

  button(text, act, label) {
    const made = make("button", "", text);
    made.type = "button";
    if (label) { made.setAttribute("aria-label", label); made.title = label; }
    made.onclick = act;
    return made;
  }

  frame() {
    const frame = make("div", "frame"), head = make("div", "head");
    this.ticks = make("span", "ticks");
    head.append(make("b", "", "Span"), this.ticks);
    this.body = make("div", "body");
    this.body.setAttribute("role", "tree");
    this.body.setAttribute("aria-label", `Spans of the trace, ${this.data.spans.length}`);
    this.body.onscroll = () => this.draw();
    this.body.onkeydown = (event) => this.pressed(event);
    this.body.onclick = (event) => this.clicked(event);
    frame.append(head, this.body);
    return frame;
  }

  key() {
    const key = make("div", "key"), path = make("span"), failed = make("span", "err", "leads to an error");
    path.append(make("s"), "on the critical path: what the end waited for");
    key.append(path, failed, make("span", "", "Keys: ↑ ↓ move, ← → fold, Enter opens, + − 0 zoom"));
    return key;
  }

  // Which spans are rows: those that match with what leads to them, less what is folded away.
  list() {
    const { spans } = this.data, narrowed = this.text || this.service || this.errors;
    const wanted = new Uint8Array(spans.length);
    let count = 0;
    if (narrowed) for (let i = 0; i < spans.length; i++) {
      const span = spans[i];
      if (this.errors && !span.failed) continue;
      if (this.service && span.service !== this.service) continue;
      if (this.text && !(span.name + "\n" + span.service + "\n" + span.word).toLowerCase().includes(this.text)) continue;
      count++;
      wanted[i] = 2;
      for (let up = span.parent; up >= 0 && !wanted[up]; up = spans[up].parent) wanted[up] = 1;
    }
    this.rows = [];
    for (let i = 0; i < spans.length;) {
      if (!narrowed || wanted[i]) this.rows.push(i);
      i += this.closed.has(i) ? spans[i].size : 1;
    }
    this.wanted = narrowed ? wanted : null;
    const total = spans.length.toLocaleString("en");
    this.counted.textContent = narrowed ? `${count.toLocaleString("en")} of ${total} spans match` : `${this.rows.length.toLocaleString("en")} of ${total} spans shown`;
  }

  narrow() {
    const at = this.rows[this.current];
    this.list();
    this.current = Math.max(0, this.rows.indexOf(at));
    this.body.scrollTop = 0;
    this.draw();
    if (this.current) this.show(this.current);
  }

  draw() {
    const { body, rows } = this;
    const height = Math.max(ROW, Math.min(TALLEST, rows.length * ROW));
    body.style.height = (rows.length ? height : 56) + "px";
    const first = Math.max(0, Math.floor(body.scrollTop / ROW) - 6);
    const last = Math.min(rows.length, Math.ceil((body.scrollTop + height) / ROW) + 6);
    const focused = body.getRootNode().activeElement;
    const held = focused && focused.parentNode === body;
    const space = make("div");
    space.style.height = rows.length * ROW + "px";
    space.setAttribute("role", "presentation");
    const drawn = [];
    for (let at = first; at < last; at++) drawn.push(this.row(at));
    // The row that has the focus stays in the page although it is scrolled away.
    if (this.current < first || this.current >= last) if (rows.length) drawn.push(this.row(this.current));
    body.replaceChildren(space, ...drawn);
    if (!rows.length) body.replaceChildren(make("div", "none", "No span matches. Empty the filter to see all of them."));
    if (held) body.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
    this.ruler();
  }

  ruler() {
    const marks = [];
    for (let i = 0; i <= 4; i++) {
      const mark = make("i", "", said(this.from + ((this.to - this.from) * i) / 4));
      mark.style.left = 25 * i + "%";
      marks.push(mark);
    }
    this.ticks.replaceChildren(...marks);
    this.whole.disabled = this.from === 0 && this.to >= this.data.length;
  }

  row(at) {
    const index = this.rows[at], span = this.data.spans[index], folded = this.closed.has(index);
    const row = make("div", `row t-${span.tone}`);
    row.dataset.at = at;
    row.style.top = at * ROW + "px";
    if (span.failed) row.classList.add("failed");
    if (span.errorPath) row.classList.add("on-error");
    if (this.wanted && this.wanted[index] === 1) row.classList.add("context");
    row.setAttribute("role", "treeitem");
    row.setAttribute("aria-level", span.depth + 1);
    row.setAttribute("aria-selected", String(span.key === this.data.selected));
    if (span.size > 1) row.setAttribute("aria-expanded", String(!folded));
    row.tabIndex = at === this.current ? 0 : -1;
    row.setAttribute("aria-label", [span.word, span.name, span.service, `starts ${said(span.begin)}`, `lasts ${said(span.end - span.begin)}`,
      span.failed ? "failed" : span.errorPath ? "leads to an error" : "", span.critical.length ? "on the critical path" : "", span.note].filter(Boolean).join(", "));
    row.title = [span.name, span.service, span.note].filter(Boolean).join(" · ");
    const name = make("span", "name");
    name.style.paddingLeft = 8 + INDENT * Math.min(span.depth, DEEPEST) + "px";
    name.append(make("span", "fold", span.size > 1 ? (folded ? "▸" : "▾") : ""));
    if (span.icon) { const icon = make("span", "ic", span.icon); icon.setAttribute("aria-hidden", "true"); name.append(icon, make("span", "word", span.word)); }
    if (span.failed) name.append(make("span", "bad", "⚠ failed"));
    const label = make("span", "", span.name || "(no name)");
    label.append(make("em", "", span.service + (folded ? ` · ${span.size - 1} more` : "") + (span.note ? ` · ${span.note}` : "")));
    name.append(label);
    row.append(name, this.track(span));
    return row;
  }

  track(span) {
    const track = make("span", "track"), clip = make("span", "clip"), wide = this.to - this.from;
    const share = (time) => (100 * (time - this.from)) / wide;
    const bar = make("i");
    const left = Math.max(-1, share(span.begin)), right = Math.min(101, share(span.end));
    const inView = share(span.begin) <= 100 && share(span.end) >= 0;
    if (inView) {
      bar.style.left = `min(${left}%, calc(100% - 3px))`;
      bar.style.width = `max(3px, ${right - left}%)`;
      clip.append(bar);
      for (const [since, until] of span.critical) {
        const mark = make("s");
        mark.style.left = share(since) + "%";
        mark.style.width = `max(2px, ${share(until) - share(since)}%)`;
        clip.append(mark);
      }
    }
    const length = make("u", "", inView ? said(span.end - span.begin) : share(span.begin) > 100 ? "later →" : "← earlier");
    if (inView && right > 78 && left > 22) { length.style.right = 100 - left + "%"; length.style.marginRight = "4px"; }
    else { length.style.left = Math.max(0, Math.min(100, inView ? right : share(span.begin) > 100 ? 92 : 0)) + "%"; length.style.marginLeft = "5px"; }
    track.append(clip, length);
    return track;
  }

  zoom(from, to) {
    const all = Math.max(1, this.data.length), wide = Math.min(all, Math.max(1000, to - from));
    this.from = Math.max(0, Math.min(from, all - wide));
    this.to = this.from + wide;
    this.draw();
  }

  scale(factor) {
    const span = this.data.spans[this.rows[this.current]], wide = this.to - this.from;
    const middle = span && span.begin >= this.from && span.begin <= this.to && factor < 1 ? (span.begin + Math.min(span.end, this.to)) / 2 : (this.from + this.to) / 2;
    this.zoom(middle - (wide * factor) / 2, middle + (wide * factor) / 2);
  }

  zoomToSpan() {
    const span = this.data.spans[this.rows[this.current]];
    if (!span) return;
    const room = Math.max(1000, (span.end - span.begin) * 0.05);
    this.zoom(span.begin - room, span.end + room);
  }

  show(at) {
    const top = at * ROW, { body } = this;
    if (top < body.scrollTop) body.scrollTop = top;
    else if (top + ROW > body.scrollTop + body.clientHeight) body.scrollTop = top + ROW - body.clientHeight;
  }

  move(at, focus = true) {
    this.current = Math.max(0, Math.min(this.rows.length - 1, at));
    this.show(this.current);
    this.draw();
    if (focus) this.body.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
  }

  fold(index, close) {
    if (close) this.closed.add(index); else this.closed.delete(index);
    this.list();
    this.move(this.rows.indexOf(index));
  }

  open() {
    const span = this.data.spans[this.rows[this.current]];
    if (!span) return;
    this.data = { ...this.data, selected: span.key };
    this.draw();
    this.choose("span", span.key);
  }

  clicked(event) {
    const row = event.target.closest?.(".row");
    if (!row) return;
    const at = Number(row.dataset.at), index = this.rows[at];
    if (event.target.classList.contains("fold") && this.data.spans[index].size > 1) { this.fold(index, !this.closed.has(index)); return; }
    this.move(at);
    this.open();
  }

  pressed(event) {
    const index = this.rows[this.current], span = this.data.spans[index];
    if (!span || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.body.clientHeight / ROW) - 1);
    const acts = {
      ArrowDown: () => this.move(this.current + 1), ArrowUp: () => this.move(this.current - 1),
      PageDown: () => this.move(this.current + page), PageUp: () => this.move(this.current - page),
      Home: () => this.move(0), End: () => this.move(this.rows.length - 1),
      Enter: () => this.open(), " ": () => this.open(),
      ArrowRight: () => { if (span.size > 1 && this.closed.has(index)) this.fold(index, false); else if (span.size > 1) this.move(this.current + 1); },
      ArrowLeft: () => { if (span.size > 1 && !this.closed.has(index)) this.fold(index, true); else if (span.parent >= 0) this.move(this.rows.indexOf(span.parent)); },
      "+": () => this.scale(0.5), "-": () => this.scale(2), "0": () => this.zoom(0, this.data.length),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    acts[event.key]();
  }
}
