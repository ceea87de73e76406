import './app.css';
import { mount } from 'svelte';
import { loadWords } from './lib/i18n.svelte.ts';
import { takeToken } from './lib/token.ts';
import App from './shell/App.svelte';

// Before anything is asked, and before anybody looks at the address.
takeToken();

// Without its words in the language of the reader the page has nothing to say; English is always there.
void loadWords()
  .catch(() => {})
  .then(() => mount(App, { target: document.body }));
