for (const formula of document.querySelectorAll(".tex")) {
  katex.render(formula.textContent, formula, {
    displayMode: formula.hasAttribute("data-display"),
    throwOnError: false, // a formula that KaTeX cannot read stays, in red, as it was written
  });
}
