// Dark or light: the system's, unless somebody chose.

const KEY = "theme";
const THEMES = ["system", "light", "dark"];

/** `changed` is called after each choice: what is drawn has colours of its own. */
export function startTheme(button, changed) {
  let theme = kept();
  apply(button, theme);
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    keep(theme);
    apply(button, theme);
    changed();
  });
}

function apply(button, theme) {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  button.textContent = `Theme: ${theme}`;
}

function kept() {
  try {
    const theme = localStorage.getItem(KEY);
    return THEMES.includes(theme) ? theme : "system";
  } catch {
    // Storage may be closed to this page: then the choice lasts as long as the page.
    return "system";
  }
}

function keep(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // As above.
  }
}
