"use strict";
(async () => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const tooltip = document.getElementById("tooltip");
  const axis = {
    labelColor: "var(--muted)", titleColor: "var(--muted)", gridColor: "var(--line)", domainColor: "var(--faint)",
    tickColor: "var(--faint)", labelFontSize: 11, titleFontSize: 12, titleFontWeight: "normal", titlePadding: 8,
  };
  const font = getComputedStyle(document.body).fontFamily;
  const legend = { labelColor: "var(--muted)", titleColor: "var(--muted)", titleFontWeight: "normal", orient: "bottom", direction: "horizontal" };
  const config = { background: null, font, view: { stroke: null }, axis, legend, text: { color: "var(--muted)" }, aria: false };

  function create(name, className, text) {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function swatch(look) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    for (const [name, value] of [["viewBox", "-1.2 -1.2 2.4 2.4"], ["width", "11"], ["height", "11"]]) svg.setAttribute(name, value);
    path.setAttribute("d", look.shape);
    path.setAttribute("fill", look.colour);
    svg.append(path);
    return svg;
  }

  // Shows what the datum under the pointer has to say; texts are set as texts, whatever they hold.
  function showTooltip(panel, looks) {
    return (_, event, __, datum) => {
      tooltip.hidden = !datum || !datum.t;
      if (tooltip.hidden) return;
      const rows = datum.t.map(([index, text]) => {
        const [label, arm] = panel.labels[index];
        const row = create("div", "row");
        row.append(arm === null ? create("span") : swatch(looks[arm]), create("span", "", label), create("span", "", text));
        return row;
      });
      tooltip.replaceChildren(...(datum.h ? [create("b", "", datum.h)] : []), ...rows);
      const { width, height } = tooltip.getBoundingClientRect();
      const left = event.clientX + 14 + width < innerWidth ? event.clientX + 14 : event.clientX - 14 - width;
      const top = event.clientY + 14 + height < innerHeight ? event.clientY + 14 : event.clientY - 14 - height;
      tooltip.style.left = `${Math.max(4, left)}px`;
      tooltip.style.top = `${Math.max(4, top)}px`;
    };
  }

  // Zooms by a factor about the middle and moves by shares of the view; null shows all.
  function look(view, factor, right = 0, up = 0) {
    const signals = view.getState({ signals: (name) => name === "zoom_x" || name === "zoom_y", data: () => false }).signals;
    for (const name of Object.keys(signals)) {
      const scale = view.scale(name.slice(5));
      const [from, to] = scale.range();
      const middle = (from + to) / 2 + (to - from) * (name === "zoom_x" ? right : up);
      const ends = [from, to].map((end) => scale.invert(middle + ((end - from - (to - from) / 2) * factor)));
      view.signal(name, factor === null ? null : ends);
    }
    view.runAsync();
  }

  const keys = {
    "+": [0.7], "=": [0.7], "-": [1 / 0.7], "0": [null], Escape: [null],
    ArrowLeft: [1, -0.15], ArrowRight: [1, 0.15], ArrowUp: [1, 0, 0.15], ArrowDown: [1, 0, -0.15],
  };

  await new Promise((painted) => setTimeout(painted)); // the tables are there to be read before the figures are
  for (const element of document.querySelectorAll(".chart")) {
    const chart = charts[element.dataset.chart];
    const views = [];
    const places = element.querySelectorAll(".view");
    for (const [index, panel] of chart.panels.entries()) {
      const spec = { ...chart.specs[panel.spec], datasets: panel.data };
      const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, config, defaultStyle: false, tooltip: showTooltip(panel, chart.looks) };
      const { view } = await vegaEmbed(places[index], spec, options);
      views.push(view);
      places[index].addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
        event.preventDefault();
        look(view, ...keys[event.key]);
      });
    }
    const hidden = new Set();
    for (const button of element.querySelectorAll("[data-arm]")) {
      button.addEventListener("click", () => {
        const arm = Number(button.dataset.arm);
        if (!hidden.delete(arm)) hidden.add(arm);
        button.setAttribute("aria-pressed", String(!hidden.has(arm)));
        for (const view of views) view.signal("hidden", [...hidden]).runAsync();
      });
    }
    for (const button of element.querySelectorAll("[data-zoom]")) {
      const factor = { in: 0.7, out: 1 / 0.7, reset: null }[button.dataset.zoom];
      button.addEventListener("click", () => views.forEach((view) => look(view, factor)));
    }
  }
  addEventListener("scroll", () => { tooltip.hidden = true; }, { passive: true });
  performance.mark("drawn");
  document.documentElement.dataset.drawn = "true";
})();
