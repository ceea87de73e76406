import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { drawer, expect, searched, test } from './base.ts';

const images = resolve(import.meta.dirname, '../../docs/images');

// `CABILDO_SCREENSHOTS=1 npm run test:browser -- screenshots` takes those that the README shows.
test.skip(process.env['CABILDO_SCREENSHOTS'] !== '1', 'taken when asked for');

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme, viewport: { width: 1280, height: 800 } });

    test('as the README shows it', async ({ page, town: { cabildo, story } }) => {
      mkdirSync(images, { recursive: true });
      // Votes over some seconds, so that there is something to see over time.
      await page.goto(`${cabildo.url}/live`);
      await expect(page.getByRole('row')).not.toHaveCount(0);
      const talk = (async () => {
        for (let i = 0; i < 24; i += 1)
          await cabildo.say(i % 3 === 0 ? 'Ana' : 'Beto', `¿Ya votaron todos los de la fila ${i + 1}?`);
      })();
      await Promise.all([talk, cabildo.votes(9_000, '--rate', '300/s')]);
      await expect(page.getByRole('listitem').first()).toBeVisible();
      await page.screenshot({ path: `${images}/live-${colorScheme}.png` });

      await page.goto(`${cabildo.url}/record?from=-5m&event=${story.correction}&tab=state`);
      await searched(page);
      await expect(drawer(page).locator('ins').first()).toBeVisible();
      await page.evaluate(() => document.fonts.ready);
      await page.screenshot({ path: `${images}/record-${colorScheme}.png` });
    });
  });
}
