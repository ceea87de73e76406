/** What one person prefers, remembered by the browser: nothing of it is in the address. */

export type Theme = 'system' | 'light' | 'dark';
export type Language = 'en' | 'es';

function remembered(name: string): string | null {
  try {
    return localStorage.getItem(`cabildo.${name}`);
  } catch {
    // Storage may be forbidden: then nothing is remembered.
    return null;
  }
}

function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`cabildo.${name}`, value);
  } catch {
    // As above.
  }
}

function preferredLanguage(): Language {
  const known = remembered('language');
  if (known === 'en' || known === 'es') return known;
  const spoken = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return spoken.find((tag) => tag === 'es' || tag === 'en') === 'es' ? 'es' : 'en';
}

function preferredTheme(): Theme {
  const known = remembered('theme');
  return known === 'light' || known === 'dark' ? known : 'system';
}

const prefersDark = matchMedia('(prefers-color-scheme: dark)');

class Settings {
  #theme = $state<Theme>(preferredTheme());
  #language = $state<Language>(preferredLanguage());
  #systemDark = $state(prefersDark.matches);

  constructor() {
    prefersDark.addEventListener('change', (change) => (this.#systemDark = change.matches));
    this.#show();
  }

  get theme(): Theme {
    return this.#theme;
  }

  set theme(theme: Theme) {
    this.#theme = theme;
    remember('theme', theme);
    this.#show();
  }

  /** Whether the page is dark now, whoever decided it. */
  get dark(): boolean {
    return this.#theme === 'dark' || (this.#theme === 'system' && this.#systemDark);
  }

  get language(): Language {
    return this.#language;
  }

  set language(language: Language) {
    this.#language = language;
    remember('language', language);
    this.#show();
  }

  #show(): void {
    const root = document.documentElement;
    root.lang = this.#language;
    if (this.#theme === 'system') delete root.dataset['theme'];
    else root.dataset['theme'] = this.#theme;
  }
}

export const settings = new Settings();
