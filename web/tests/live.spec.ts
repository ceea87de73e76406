import { expect, test } from './base.ts';

test('a tally grows as votes come, and so do the rates', async ({ page, own }) => {
  await own.write('POST', 'polls', { id: 'bands', question: '¿La mejor banda?' });
  await page.goto(`${own.url}/live`);
  await expect(page.getByRole('heading', { name: '¿La mejor banda?' })).toBeVisible();
  await expect(page.getByText('Nobody has voted yet.')).toBeVisible();
  await own.votes(500);
  await expect(page.getByText('500 voters')).toBeVisible();
  const bars = page.getByRole('region', { name: 'Tally' }).getByRole('listitem');
  await expect(bars.first()).toBeVisible();
  const tally = await own.read<{ options: { option: string; votes: number }[] }>('polls/bands/tally');
  const [winner] = tally.options;
  await expect(bars.first()).toContainText(winner!.option);
  await expect(bars.first()).toContainText(String(winner!.votes));

  // Events by type, the projections and who listens, from the pulse.
  await expect(page.getByRole('img', { name: /^Events per second, by type: .*poll\.ballot\.cast/ })).toBeVisible();
  await expect(page.getByRole('img', { name: /^Votes per second/ })).toBeVisible();
  const tallyRow = page.getByRole('row', { name: /^tally/ });
  await expect(tallyRow).toContainText('up to date');
  await expect(page.getByRole('region', { name: 'Connected' })).toContainText(/[1-9]\d*\s*live streams/);

  // Another poll, which comes up by itself, is chosen; the address remembers it.
  await own.write('POST', 'polls', { id: 'films', question: 'Which film?', options: ['Ixcanul', 'La Llorona'] });
  await page.getByRole('combobox', { name: 'Poll' }).selectOption({ label: 'Which film? (films)' });
  await expect(page).toHaveURL(/poll=films/);
  await expect(page.getByRole('heading', { name: 'Which film?' })).toBeVisible();
  await page.reload();
  await expect(page.getByRole('heading', { name: 'Which film?' })).toBeVisible();
  await page.goBack();
  await expect(page.getByRole('heading', { name: '¿La mejor banda?' })).toBeVisible();
});

test('a redraw comes at most five times a second, and nothing moves for those who asked for stillness', async ({
  page,
  own,
}) => {
  await own.write('POST', 'polls', { id: 'bands', question: '¿La mejor banda?' });
  await own.votes(50);
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await page.goto(`${own.url}/live`);
  await expect(page.getByText('50 voters')).toBeVisible();
  expect(
    await page
      .locator('.bar')
      .first()
      .evaluate((bar) => getComputedStyle(bar).transitionDuration),
  ).toBe('0s');
  const changes = page.evaluate(
    () =>
      new Promise<number[]>((resolve) => {
        const times: number[] = [];
        const figures = document.querySelector('.figures')!;
        new MutationObserver(() => times.push(performance.now())).observe(figures, {
          subtree: true,
          characterData: true,
          childList: true,
        });
        const check = setInterval(() => {
          if (!figures.textContent?.includes('1,050')) return;
          clearInterval(check);
          resolve(times);
        }, 50);
      }),
  );
  await own.votes(1_000);
  const times = await changes;
  const gaps = times.slice(1).map((time, i) => time - times[i]!);
  expect(times.length).toBeGreaterThan(1);
  // Two hundred milliseconds, less what a timer and a busy machine shift one mark against the next.
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  expect(mean).toBeGreaterThan(180);
});

test.describe('a poll that is not there', () => {
  test.use({ complaints: { allowed: [/status of 404/] } });

  test('is said in words', async ({ page, own }) => {
    await page.goto(`${own.url}/live?poll=gone`);
    await expect(page.getByRole('alert')).toHaveText('There is no poll gone. Choose another one.');
  });
});

test('without any poll the page says so, and fills by itself', async ({ page, own }) => {
  await page.goto(`${own.url}/live`);
  await expect(page.getByText('No poll has been opened yet.')).toBeVisible();
  await own.write('POST', 'polls', { id: 'bands', question: '¿La mejor banda?' });
  await expect(page.getByRole('heading', { name: '¿La mejor banda?' })).toBeVisible();
});
