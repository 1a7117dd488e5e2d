"use strict";
(() => {
  let opened = []; // on paper nothing can be unfolded
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
  });
})();
(() => {
  const key = (row, at) => {
    const cell = row.cells[at];
    const text = cell.dataset.v ?? cell.textContent.trim();
    const number = Number(text);
    return text === "" ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };
  const sortBy = (table, head, at) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, place) => ({ row, place, by: key(row, at) }));
    rows.sort((a, b) => {
      const order = compare(a.by, b.by);
      const unknown = a.by === null || b.by === null;
      return (down && !unknown ? -order : order) || a.place - b.place;
    });
    body.append(...rows.map((each) => each.row));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    if (table.tBodies[0].rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sortBy(table, head, at));
    });
  }
})();
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 320, LEFT = 64, RIGHT = 14, BOTTOM = 46, ROW = 20;
  const DASHES = ["", "7 4"];
  const plain = (value) => Number(value.toPrecision(4)).toLocaleString("en");
  const draw = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const scale = (low, high, from, to) => (value) =>
    from + ((value - low) / (high - low || 1)) * (to - from);
  const powers = (low, high) => {
    const first = Math.floor(Math.log10(low));
    const decades = Array.from({ length: Math.ceil(Math.log10(high)) - first + 1 }, (_, k) => 10 ** (first + k));
    return decades.flatMap((each) => [each, 3 * each]).filter((each) => low <= each && each <= high);
  };
  const ticks = (low, high) => {
    const step = 10 ** Math.floor(Math.log10((high - low) / 4 || 1));
    const by = [1, 2, 5, 10].map((each) => each * step).find((each) => (high - low) / each <= 5);
    const first = Math.ceil(low / by);
    return Array.from({ length: Math.floor(high / by) - first + 1 }, (_, k) => (first + k) * by);
  };
  const chart = (line, metric, at, WIDTH) => {
    const series = line.statistics.map((_, k) => line.x.map((_, place) => {
      const key = at.map((each, axis) => (axis === line.axis ? place : each)).join(",");
      return metric.values[key]?.[k] ?? null;
    }));
    const bounds = metric.bounds.map(([text, seconds]) => [text, 1000 * seconds]);
    const known = series.flat().filter((each) => each !== null);
    const entries = line.statistics.map((name, k) => [`series series${k}`, DASHES[k] ?? "", `${metric.name} ${name}, ms`]);
    if (bounds.length) entries.push(["bound", "", bounds.map((each) => each[0]).join(", ")]);
    const TOP = ROW * entries.length + 12;
    const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
    const label = known.length
      ? `${metric.name} by ${line.label}, milliseconds: ` + line.statistics.map((name, k) =>
        `${name} ${series[k].map((each) => (each === null ? "*" : plain(each))).join(", ")}`).join("; ")
      : `${metric.name}: not known at these settings`;
    svg.setAttribute("aria-label", label);
    if (!known.length) {
      svg.append(draw("text", { x: LEFT, y: HEIGHT / 2 }, `${metric.name}: not known at these settings`));
      return svg;
    }
    const top = 1.08 * Math.max(...known, ...bounds.map((each) => each[1]).filter((each) => each < 4 * Math.max(...known)));
    const xs = line.x.map(Number);
    const x = scale(Math.min(...xs), Math.max(...xs), LEFT, WIDTH - RIGHT);
    const least = Math.min(...known.filter((each) => each > 0));
    const wide = Math.max(...known) >= 10 * least; // as the other charts: else a small part hides most
    const low = wide ? 0.8 * least : 0;
    const lines = wide ? powers(low, top) : ticks(0, top);
    const height = wide ? Math.log10 : (value) => value;
    const level = scale(height(low), height(top), HEIGHT - BOTTOM, TOP);
    const y = (value) => level(height(Math.max(value, low)));
    for (const tick of lines) {
      svg.append(draw("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }));
      svg.append(draw("text", { class: "end", x: LEFT - 8, y: y(tick) + 5 }, plain(tick)));
    }
    for (const tick of ticks(Math.min(...xs), Math.max(...xs))) {
      svg.append(draw("text", { class: "middle", x: x(tick), y: HEIGHT - BOTTOM + 20 }, plain(tick)));
    }
    svg.append(draw("text", { class: "middle", x: (LEFT + WIDTH) / 2, y: HEIGHT - 6 }, line.label));
    svg.append(draw("line", { class: "now", x1: x(xs[at[line.axis]]), x2: x(xs[at[line.axis]]), y1: TOP, y2: HEIGHT - BOTTOM }));
    for (const [, bound] of bounds) {
      if (low < bound && bound < top) svg.append(draw("line", { class: "bound", x1: LEFT, x2: WIDTH - RIGHT, y1: y(bound), y2: y(bound) }));
    }
    series.forEach((values, k) => {
      const points = values.map((each, place) => [xs[place], each]).filter((each) => each[1] !== null);
      const path = points.map(([a, b], n) => `${n ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
      svg.append(draw("path", { class: `series series${k}`, d: path, "stroke-dasharray": DASHES[k] ?? "" }));
      for (const [a, b] of points) svg.append(draw("circle", { class: `dot series${k}`, cx: x(a), cy: y(b), r: 3.5 }));
    });
    entries.forEach(([name, dash, text], k) => {
      const height = ROW * k + 10;
      const sample = { class: name, x1: LEFT, x2: LEFT + 30, y1: height, y2: height };
      svg.append(draw("line", dash ? { ...sample, "stroke-dasharray": dash } : sample));
      svg.append(draw("text", { x: LEFT + 38, y: height + 5 }, text));
    });
    return svg;
  };
  for (const box of document.querySelectorAll(".explorer")) {
    const data = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
    const sliders = [...box.querySelectorAll("input[type=range]")];
    const outputs = [...box.querySelectorAll("output")];
    const fields = [...box.querySelectorAll(".result")];
    const metric = box.querySelector("select");
    const update = () => {
      const at = sliders.map((each) => Number(each.value));
      sliders.forEach((each, k) => {
        const value = data.axes[k][at[k]];
        outputs[k].textContent = value;
        each.setAttribute("aria-valuetext", value);
      });
      const found = data.results[at.join(",")];
      fields.forEach((field, k) => {
        const [text, state] = found?.[k] ?? ["not computed", ""];
        field.textContent = text;
        field.className = `result ${state}`;
      });
      if (metric) {
        const place = box.querySelector(".line");
        const width = Math.max(280, Math.min(704, place.clientWidth));
        place.replaceChildren(chart(data.line, data.line.metrics[metric.value], at, width));
      }
    };
    for (const each of [...sliders, metric]) each?.addEventListener("input", update);
    addEventListener("resize", update);
    update();
  }
})();
