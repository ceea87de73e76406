import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { once } from 'node:events';
import { Cabildo } from './cabildo.ts';
import { expect, rows, searched, test } from './base.ts';

const MANY = 100_000;
const FIRST = Date.parse('2026-11-01T00:00:00Z');

/** Messages of a talkative town, as an export of another journal would have them. */
async function write(path: string): Promise<void> {
  const file = createWriteStream(path);
  for (let i = 0; i < MANY; i += 1) {
    const hex = i.toString(16).padStart(12, '0');
    const event = {
      specversion: '1.0',
      id: `0190f3a0-0000-7000-8000-${hex}`,
      type: 'chat.message.posted',
      subject: `chat/room-${i % 20}`,
      time: new Date(FIRST + i * 5_000).toISOString(),
      actor: `neighbour-${i % 97}`,
      schemaversion: 1,
      data: { message: `0190f3a0-0000-7000-9000-${hex}`, text: `message number ${i}`, author: `neighbour-${i % 97}` },
    };
    if (!file.write(`${JSON.stringify(event)}\n`)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'finish');
}

test('a hundred thousand events scroll smoothly, from the newest to the oldest', async ({ page }) => {
  test.setTimeout(180_000);
  const cabildo = new Cabildo();
  try {
    const file = join(cabildo.folder, 'many.ndjson');
    await write(file);
    await cabildo.run('events', 'import', file, '--data', cabildo.folder);
    await cabildo.start();
    await expect
      .poll(async () => (await cabildo.read<{ total: number }>('events/hits?step=1d')).total, { timeout: 120_000 })
      .toBe(MANY);
    await page.goto(`${cabildo.url}/record?from=all`);
    await searched(page);
    await expect(rows(page).first()).toContainText(`message number ${MANY - 1}`);
    await expect(rows(page).first()).toHaveAttribute('aria-setsize', String(MANY));

    // As fast as a hand on the wheel goes, frame by frame; how long the frames take is what smooth means.
    const frames = await page.getByRole('listbox').evaluate(async (list) => {
      const took: number[] = [];
      let last = performance.now();
      for (let frame = 0; frame < 240; frame += 1) {
        list.scrollTop += 120;
        await new Promise(requestAnimationFrame);
        took.push(performance.now() - last);
        last = performance.now();
      }
      return took.sort((a, b) => a - b);
    });
    const [median, p95, longest] = [frames[120], frames[228], frames.at(-1)];
    console.log(
      `frames: median ${median?.toFixed(1)} ms, p95 ${p95?.toFixed(1)} ms, longest ${longest?.toFixed(1)} ms`,
    );
    expect(median).toBeLessThan(40);
    expect(p95).toBeLessThan(120);
    await expect(rows(page).filter({ hasText: 'message number' }).first()).toBeVisible();

    // In a few leaps through all of it: every place has its own event, and few rows are there at a time.
    for (const share of [0.1, 0.25, 0.9]) {
      const row = Math.floor(MANY * share);
      await page.getByRole('listbox').evaluate((list, y) => (list.scrollTop = y), row * 26);
      const shown = page.getByRole('listbox').locator(`[aria-posinset="${row + 1}"]`);
      await expect(shown).toContainText(`message number ${MANY - 1 - row}`, { timeout: 60_000 });
      expect(await rows(page).count()).toBeLessThan(100);
    }
    await page.keyboard.press('Shift+G');
    await expect(rows(page).last()).toContainText('message number 0');
    await page.keyboard.press('g');
    await expect(rows(page).first()).toContainText(`message number ${MANY - 1}`);
  } finally {
    await cabildo.remove();
  }
});
