// Renders formulas. The parts of a displayed one, between \\qquad, are set apart, so that on a narrow screen they
// stand one below the other.
for (const formula of document.querySelectorAll(".tex")) {
  const displayMode = formula.hasAttribute("data-display");
  const parts = displayMode ? formula.textContent.split("\\qquad") : [formula.textContent];
  formula.replaceChildren(...parts.map((part) => {
    const place = document.createElement("span");
    // A formula that KaTeX cannot read stays, in red, as it was written.
    katex.render(part, place, { displayMode, throwOnError: false });
    return place;
  }));
}
