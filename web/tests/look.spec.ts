import { gzipSync } from 'node:zlib';
import { accessible, drawer, expect, rows, searched, test } from './base.ts';

const LANGUAGES = { 'en-GB': { record: 'Record', live: 'Live' }, 'es-GT': { record: 'Actas', live: 'En vivo' } };

for (const [locale, words] of Object.entries(LANGUAGES)) {
  for (const colorScheme of ['light', 'dark'] as const) {
    test.describe(`${locale}, ${colorScheme}`, () => {
      test.use({ locale, colorScheme });

      test('both pages stand up to axe', async ({ page, town: { cabildo, story } }) => {
        await page.goto(`${cabildo.url}/record?event=${story.correction}&tab=state`);
        await expect(page).toHaveTitle(`${words.record} · Cabildo`);
        await expect(drawer(page).locator('ins').first()).toBeVisible();
        await searched(page);
        await accessible(page);
        await drawer(page).getByRole('tab').nth(2).click();
        await expect(drawer(page).getByRole('listitem')).toHaveCount(3);
        await accessible(page);
        await page.keyboard.press('?');
        await expect(page.getByRole('dialog')).toBeVisible();
        await accessible(page);
        await page.keyboard.press('Escape');
        await page.getByRole('link', { name: words.live }).click();
        await expect(page).toHaveTitle(`${words.live} · Cabildo`);
        await expect(page.getByRole('row')).not.toHaveCount(0);
        await accessible(page);
        const background = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
        const [red = 0] = background.match(/\d+/g)?.map(Number) ?? [];
        expect(red < 60).toBe(colorScheme === 'dark');
      });
    });
  }
}

test('theme and language are chosen by hand, and remembered', async ({ page, town: { cabildo } }) => {
  await page.goto(`${cabildo.url}/record`);
  const dark = () => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
  await page.getByRole('combobox', { name: 'Theme' }).selectOption('Dark');
  expect(await dark()).toBe('dark');
  await page.getByRole('combobox', { name: 'Language' }).selectOption('Español');
  await expect(page.getByRole('link', { name: 'Actas' })).toBeVisible();
  await page.reload();
  await expect(page.getByRole('link', { name: 'Actas' })).toBeVisible();
  expect(await dark()).toBe('dark');
  await expect(page.locator('html')).toHaveAttribute('lang', 'es');
});

for (const path of ['record', 'live', 'nowhere/at/all']) {
  test.describe(`320 pixels: ${path}`, () => {
    test.use({
      viewport: { width: 320, height: 640 },
      complaints: { allowed: path === 'nowhere/at/all' ? [/status of 404/] : [] },
    });

    test('fits', async ({ page, town: { cabildo, story } }) => {
      await page.goto(`${cabildo.url}/${path}`);
      const wide = () => page.evaluate(() => document.documentElement.scrollWidth);
      if (path === 'record') {
        await searched(page);
        await expect(rows(page).first()).toBeVisible();
        expect(await wide()).toBe(320);
        await page.getByRole('button', { name: 'Narrow down' }).click();
        await expect(page.getByRole('complementary', { name: 'Narrow down' })).toBeVisible();
        await accessible(page);
        await page.getByRole('complementary').getByRole('button', { name: 'Close' }).click();
        await page.goto(`${cabildo.url}/${path}?event=${story.correction}&tab=graph`);
        await expect(drawer(page).getByRole('listitem')).toHaveCount(3);
      } else if (path === 'live') {
        await expect(page.getByRole('row')).not.toHaveCount(0);
      } else {
        await expect(page.getByRole('heading', { name: 'There is nothing at this address' })).toBeVisible();
      }
      await accessible(page);
      expect(await wide()).toBe(320);
    });
  });
}

test('the first load is at most 80 kB, fonts and all', async ({ page, town: { cabildo } }) => {
  const loaded = new Map<string, number>();
  page.on('response', async (response) => {
    const { pathname } = new URL(response.url());
    if (pathname.startsWith('/api/') || pathname === '/livez') return;
    const body = await response.body();
    loaded.set(pathname, pathname.endsWith('.woff2') ? body.length : gzipSync(body, { level: 9 }).length);
  });
  await page.goto(`${cabildo.url}/record`);
  await searched(page);
  await expect(rows(page).first()).toBeVisible();
  await page.waitForLoadState('networkidle');
  const total = [...loaded.values()].reduce((sum, size) => sum + size, 0);
  console.log(`first load: ${(total / 1_000).toFixed(1)} kB`, Object.fromEntries(loaded));
  expect(loaded.size).toBeGreaterThan(3);
  expect(total).toBeLessThanOrEqual(80_000);
});
