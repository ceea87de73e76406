import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { pack } from './build/pack.ts';

/** Where `npm run dev` finds a running gateway. */
const gateway = process.env['CABILDO_SERVER'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  // Addresses relative to the page: it may be served under any path.
  base: './',
  plugins: [svelte(), pack()],
  build: {
    target: 'es2023',
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    emptyOutDir: false,
    // Icons and the like stay files: the content security policy of the pages is simple that way.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/api': gateway, '/livez': gateway, '/readyz': gateway } },
});
